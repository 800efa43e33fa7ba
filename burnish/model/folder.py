"""What lies in a model folder, judged before a library opens it: no pickles, no code, no damage, a family we know."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from burnish.errors import ModelError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi", "phi3")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
FORBIDDEN_KEYS = {
    "auto_map": "brings code from the model's author",
    "trust_remote_code": "asks to run code from the model's author",
    "custom_pipelines": "brings code from the model's author",
    "custom_pipeline": "brings code from the model's author",
    "custom_generate": "brings code from the model's author",
    "_attn_implementation_internal": "can load a kernel from a hub (CVE-2026-4372)",
    "_experts_implementation_internal": "can load a kernel from a hub",
    "_attn_implementation": "can load a kernel from a hub",
    "attn_implementation": "can load a kernel from a hub",
    "use_kernels": "can load kernels from a hub",
    "kernel_config": "can load kernels from a hub",
    "auto_mapping": "brings classes from elsewhere",
    "quantization_config": "describes quantised weights, which burnish cannot train on",
}
_LEGACY_KEYS = {"architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "rope_theta"}
_LEGACY_KEYS |= {
    "rope_scaling",
    "_name_or_path",
    "_from_model_config",
    "pretraining_tp",
    "sliding_window_pattern",
    "_sliding_window_pattern",
}
_HARMLESS_VALUES: tuple[Any, ...] = (None, False, "eager", "sdpa", {})
MAX_JSON_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A model folder that may be loaded."""

    path: Path
    name: str
    config: Any
    """The family's config, made from the keys that the family knows."""
    weight_files: tuple[Path, ...]
    warnings: tuple[str, ...]

    @property
    def hashed_files(self) -> tuple[Path, ...]:
        """Files that make up the identity of the base."""
        return (*self.weight_files, self.path / "config.json", self.path / "tokenizer.json")


def inspect_folder(path: Path, name: str) -> Folder:
    """The folder's config and weight files, after every check that needs no loading. Raises ModelError."""
    if (path / "adapter_config.json").exists():
        raise ModelError(f"{name} is an adapter, not a base model", hint="Name the base that the adapter was made for.")
    weight_files = _weight_files(path, name)
    if not (path / "tokenizer.json").is_file():
        raise ModelError(
            f"{name} has no tokenizer.json", hint="Save the base's fast tokenizer into the folder (tokenizer.json)."
        )
    raw = read_json(path / "config.json", name)
    for file in ("config.json", "tokenizer_config.json", "generation_config.json", "special_tokens_map.json"):
        if (path / file).exists():
            refuse_keys(read_json(path / file, name), f"{file} of {name}")
    config, unknown = _config(raw, name)
    warnings = (
        [f"config.json has keys that this family does not know; ignored: {', '.join(unknown)}"] if unknown else []
    )
    for weights in weight_files:
        check_safetensors(weights)
    return Folder(path=path, name=name, config=config, weight_files=weight_files, warnings=tuple(warnings))


def read_json(path: Path, name: str) -> dict[str, Any]:
    """A small JSON object from a model folder. Raises ModelError when it is absent, too large or no JSON object."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ModelError(
                f"{path.name} of {name} is larger than 1 MiB", hint="A config is a few kilobytes; copy it again."
            )
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{name} has no {path.name}", hint="Copy the whole model folder.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} of {name} cannot be read: {error}", hint="Copy the file again.") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path.name} of {name} holds no JSON object", hint="Copy the file again.")
    return data


def refuse_keys(data: dict[str, Any], where: str) -> None:
    """Raises ModelError when a key could bring in code from elsewhere, at any depth."""
    for key, value in _all_keys(data):
        if key in FORBIDDEN_KEYS and value not in _HARMLESS_VALUES:
            raise ModelError(
                f"{where} has the key {key}, which {FORBIDDEN_KEYS[key]}; nothing was loaded",
                hint="Use a plain version of the model; delete the key if the model is of a known family without it.",
            )


def check_safetensors(path: Path) -> None:
    """Raises ModelError when the file's header and length do not agree, as after a broken copy."""
    try:
        with safe_open(str(path), framework="pt") as file:
            file.keys()
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"the weights in {path.name} are damaged: {error}", hint=f"Copy {path} again from where it came from."
        ) from error


def _weight_files(path: Path, name: str) -> tuple[Path, ...]:
    index = path / "model.safetensors.index.json"
    if (path / "model.safetensors").is_file():
        return (path / "model.safetensors",)
    if index.is_file():
        parts = read_json(index, name).get("weight_map")
        names = sorted({str(part) for part in parts.values()}) if isinstance(parts, dict) else []
        for part in names:
            if Path(part).name != part or not part.endswith(".safetensors") or not (path / part).is_file():
                raise ModelError(
                    f"{index.name} of {name} names {part!r}, which is not there", hint="Copy the whole folder."
                )
        if names:
            return tuple(path / part for part in names)
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
    if pickles:
        raise ModelError(
            f"{name} has its weights in {pickles[0]}, a format that can run code when it is opened; it was not opened",
            hint="Convert it to safetensors in a sandbox without network (safetensors' convert script), or take a "
            "revision with model.safetensors.",
        )
    raise ModelError(f"{name} has no model.safetensors", hint="Copy the whole model folder.")


def _config(raw: dict[str, Any], name: str) -> tuple[Any, list[str]]:
    from transformers import CONFIG_MAPPING

    family = raw.get("model_type")
    if family not in FAMILIES:
        raise ModelError(
            f"{name} is of the family {family!r}, which burnish does not know", hint=f"Known: {', '.join(FAMILIES)}."
        )
    kind: Any = CONFIG_MAPPING[family]
    known = {field.name for field in dataclasses.fields(kind)} | set(kind.attribute_map) | _LEGACY_KEYS
    unknown = sorted(key for key in raw if key not in known and key not in FORBIDDEN_KEYS)
    try:
        return kind.from_dict({key: value for key, value in raw.items() if key in known}), unknown
    except Exception as error:  # each config class has its own kinds of complaint
        raise ModelError(
            f"config.json of {name} cannot be used: {str(error)[:300]}", hint="Copy config.json of the base again."
        ) from error


def _all_keys(data: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield key, value
            yield from _all_keys(value)
    elif isinstance(data, list):
        for value in data:
            yield from _all_keys(value)
