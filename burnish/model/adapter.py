"""Adapters on disk, in PEFT's folder format: adapter_config.json and adapter_model.safetensors, nothing else.

What is loaded is judged first: an adapter of another base, of another shape, with weights that are no numbers, or that
fits no layer is refused, because a server would otherwise answer with the plain base and say nothing.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from burnish.errors import ModelError
from burnish.fingerprint import fingerprint_bytes
from burnish.model.base import Base
from burnish.model.folder import PICKLES, check_safetensors, read_json, refuse_keys
from burnish.model.forward import forward_hidden, logits_of, output_head
from burnish.model.lora import PEFT_PREFIX, AdapterSpec, LoraBank
from burnish.model.lora_linear import LoraLinear
from burnish.records import Message, ModelVersion
from burnish.store.files import write_atomic

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MAX_RANK = 4096
PLAIN: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM", None),
    "bias": ("none",),
    "init_lora_weights": (True, False, None, "gaussian", "kaiming"),
}
"""Values of adapter_config.json that mean plain LoRA; every other key must be off, or one of `_FREE`."""

_FREE = {"base_model_name_or_path", "revision", "r", "lora_alpha", "target_modules", "lora_dropout", "inference_mode"}
_FREE |= {
    "peft_version",
    "ensure_weight_tying",
    "exclude_modules",
    "runtime_config",
    "megatron_core",
    "qalora_group_size",
}
_OFF: tuple[Any, ...] = (None, False, 0, "", [], {})


def save_adapter(folder: Path, *, spec: AdapterSpec, state: Mapping[str, Tensor], base: Base) -> None:
    """Writes an adapter so that PEFT and every tool that reads its format can load it; files are whole or absent.

    The weights' metadata carry the base's hash, by which `load_adapter` knows its base again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    modules = sorted({name.removeprefix(PEFT_PREFIX).rsplit(".lora_", 1)[0] for name in state})
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "revision": base.revision,
        "r": spec.rank,
        "lora_alpha": spec.alpha,
        "target_modules": _target_names(modules, base.model),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
        "use_rslora": False,
        "use_dora": False,
    }
    facts = {"format": "pt", "name": spec.name, "seed": str(spec.seed), "base_hash": base.base_hash}
    tensors = {name: state[name].detach().float().cpu().contiguous() for name in sorted(state)}
    write_atomic(folder / WEIGHTS, _sorted_header(safetensors.torch.save(tensors, facts)))
    write_atomic(folder / CONFIG, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def _sorted_header(data: bytes) -> bytes:
    """The same safetensors file with its metadata in order: the library writes them in another order each time."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    spelled = json.dumps(header, separators=(",", ":")).encode()
    spelled += b" " * (-len(spelled) % 8)
    return len(spelled).to_bytes(8, "little") + spelled + data[end:]


class Adapter(NamedTuple):
    """An adapter as it is read from a folder."""

    spec: AdapterSpec
    state: dict[str, Tensor]
    """Its weights under PEFT's names."""


def load_adapter(folder: Path, base: Base) -> Adapter:
    """An adapter's shape and its weights under PEFT's names, float32 on the CPU, after all checks.

    Raises ModelError when the folder holds no plain LoRA adapter in safetensors, when it is damaged or not finite, or
    when it does not belong to this base. Sizes are judged from the header, before memory is taken.
    """
    shape = adapter_shape(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        pickles = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
        found = (
            f"only {pickles[0]}, a format that can run code when it is opened; it was not opened"
            if pickles
            else "no weights"
        )
        raise ModelError(f"the adapter {folder.name} has {found}", hint=f"An adapter's weights are in {WEIGHTS}.")
    check_safetensors(weights)
    with safe_open(str(weights), framework="pt") as file:
        facts = file.metadata() or {}
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        if facts.get("base_hash", base.base_hash) != base.base_hash:
            raise ModelError(
                f"the adapter {folder.name} was made for another base than {base.name}: for the one with hash "
                f"{facts['base_hash'][:12]}, not {base.base_hash[:12]}",
                hint="Load the base that the adapter was trained on, with the same tokenizer and chat template.",
            )
        _check_shapes(folder.name, shapes, shape.rank, linear_sizes(base.model))
        state = {name: file.get_tensor(name).float() for name in shapes}
    broken = sorted(name for name, tensor in state.items() if not torch.isfinite(tensor).all())
    if broken:
        raise ModelError(
            f"the adapter {folder.name} has weights that are not finite, such as {broken[0]}",
            hint="It comes from a run that diverged; take an earlier version or train again with a smaller lr.",
        )
    seed = int(facts["seed"]) if facts.get("seed", "").isdigit() else 0
    return Adapter(
        AdapterSpec(name=facts.get("name", folder.name), seed=seed, rank=shape.rank, alpha=shape.alpha), state
    )


def load_registered(folder: Path, version: ModelVersion, base: Base) -> Adapter:
    """The adapter of a registered version, if it is the registered one and was made for this base; else ModelError."""
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{version.name} is a whole model and no adapter", hint="Serve it as a base of its own.")
    if version.base_hash != base.base_hash or version.template_hash != base.chat.template_hash:
        raise ModelError(
            f"{version.name} was made for another base or chat template than the one that is loaded",
            hint="Set base and revision in burnish.yaml to those of the version.",
        )
    adapter = load_adapter(folder, base)
    if (found := adapter_hash(adapter.state)) != version.adapter_hash:
        raise ModelError(
            f"the weights of {version.name} have the hash {found[:12]}, registered is {version.adapter_hash[:12]}",
            hint="Roll back, or train it again.",
        )
    return adapter


def adapter_hash(state: Mapping[str, Tensor]) -> str:
    """sha256 over the names in order and the weights' float32 bytes, as 64 hex digits."""
    chunks = []
    for name in sorted(state):
        chunks += [name.encode() + b"\0", state[name].detach().float().cpu().contiguous().numpy().tobytes()]
    return fingerprint_bytes(chunks)


@torch.inference_mode()
def changes_logits(base: Base, bank: LoraBank, slot: int) -> bool:
    """True when the adapter in this slot changes the base's answer to a probe at all; one that does not is useless."""
    tokens_BT = torch.tensor([base.chat.render_prompt([Message(role="user", content="Hello, who are you?")])])
    answers = []
    for use in (None, slot):
        with bank.use(use):
            hidden_BTD = forward_hidden(base.model, tokens_BT.to(base.device))
        answers.append(logits_of(output_head(base.model), hidden_BTD[:, -1]))
    return not torch.equal(*answers)


def linear_sizes(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of every layer that can carry an adapter, by name, whether a bank is attached or not."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    sizes = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLinear):
            sizes[name] = (module.linear.in_features, module.linear.out_features)
        elif isinstance(module, nn.Linear) and module is not head and name.rpartition(".")[0] not in sizes:
            sizes[name] = (module.in_features, module.out_features)
    return sizes


def _target_names(modules: list[str], model: nn.Module) -> list[str]:
    """Last names where they select exactly these layers, as in most adapters; full names otherwise."""
    short = sorted({name.rsplit(".", 1)[-1] for name in modules})
    selected = sorted(name for name in linear_sizes(model) if name.rsplit(".", 1)[-1] in short)
    return short if selected == modules else modules


class AdapterShape(NamedTuple):
    """What adapter_config.json says of an adapter's size; its update is scaled by alpha / rank."""

    rank: int
    alpha: float


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and no whole model."""
    return (folder / CONFIG).exists()


def adapter_shape(folder: Path) -> AdapterShape:
    """Rank and alpha from adapter_config.json. Raises ModelError for anything that is not plain LoRA."""
    config = read_json(folder / CONFIG, f"the adapter {folder.name}")
    refuse_keys(config, f"{CONFIG} of {folder.name}")
    for key, value in config.items():
        is_plain = value in PLAIN[key] if key in PLAIN else key in _FREE or value in _OFF
        if not is_plain:
            raise ModelError(
                f"the adapter {folder.name} is not plain LoRA: {key} is {value!r}",
                hint="Train it as LoRA without DoRA, rsLoRA, extra modules or patterns, or merge it into its base.",
            )
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_RANK:
        raise ModelError(
            f"the adapter {folder.name} has rank {rank!r}", hint=f"Ranks from 1 to {MAX_RANK} are accepted."
        )
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha) or alpha <= 0:
        raise ModelError(f"the adapter {folder.name} has alpha {alpha!r}", hint="Alpha is a positive number.")
    if "peft_type" not in config:
        raise ModelError(f"{CONFIG} of {folder.name} names no peft_type", hint="Copy the adapter's folder again.")
    return AdapterShape(rank, float(alpha))


def _check_shapes(
    name: str, shapes: Mapping[str, tuple[int, ...]], rank: int, layers: Mapping[str, tuple[int, int]]
) -> None:
    hint = "The adapter belongs to another base, or its files to different adapters; look at its adapter_config.json."
    expected = {}
    for layer, (size_in, size_out) in layers.items():
        expected[f"{PEFT_PREFIX}{layer}.lora_A.weight"] = (rank, size_in)
        expected[f"{PEFT_PREFIX}{layer}.lora_B.weight"] = (size_out, rank)
    strangers = sorted(set(shapes) - set(expected))
    if len(strangers) == len(shapes):
        example = f", such as {strangers[0]}" if strangers else ""
        raise ModelError(
            f"none of the {len(shapes)} weights of the adapter {name} fits a layer here{example}", hint=hint
        )
    if strangers:
        raise ModelError(f"the adapter {name} has weights for layers that this base lacks: {strangers[0]}", hint=hint)
    for key, shape in shapes.items():
        if shape != expected[key]:
            raise ModelError(f"in the adapter {name}, {key} is {shape}, not {expected[key]}", hint=hint)
        twin = key.replace("lora_A", "lora_B") if "lora_A" in key else key.replace("lora_B", "lora_A")
        if twin not in shapes:
            raise ModelError(f"the adapter {name} has {key} without its twin {twin}", hint=hint)
