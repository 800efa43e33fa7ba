"""A base with an adapter added into its weights, as one whole model: tensor by tensor, and as a folder for any reader.

The sum is taken in float32 and rounded once to the type of the base's weights, which is the type that was measured.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from burnish.errors import StorageError
from burnish.model.adapter import Adapter
from burnish.model.base import Base, find_folder
from burnish.model.folder import read_json
from burnish.model.lora import PEFT_PREFIX
from burnish.store.files import shown_size, told_error, write_atomic
from burnish.talk import Talk

SHARD_BYTES = 4 * 10**9
"""Most bytes of one file of weights; a larger model is written in several."""
COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
TEMPLATE = "chat_template.jinja"


@torch.no_grad()
def whole_tensors(base: Base, adapter: Adapter) -> Iterator[tuple[str, Tensor]]:
    """Every weight by its name in the base, in the model's order, on the CPU; a tied head is left out.

    Only the weight that is being looked at is copied.
    """
    spec, state = adapter
    for name, weight in weights_of(base).items():
        layer = f"{PEFT_PREFIX}{name.removesuffix('.weight')}"
        if f"{layer}.lora_A.weight" not in state:
            yield name, weight.cpu()
            continue
        update = spec.alpha / spec.rank * (state[f"{layer}.lora_B.weight"] @ state[f"{layer}.lora_A.weight"])
        yield name, (weight.cpu().float() + update).to(weight.dtype)


def weights_of(base: Base) -> dict[str, Tensor]:
    """The base's own weights by name; of two that share their memory only the first."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, weight in base.model.state_dict().items():
        if weight.data_ptr() not in seen:
            seen.add(weight.data_ptr())
            found[name] = weight
    return found


def size_of(base: Base) -> int:
    """Bytes of the base's weights."""
    return sum(weight.numel() * weight.element_size() for weight in weights_of(base).values())


def save_whole(folder: Path, base: Base, adapter: Adapter, talk: Talk, *, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes weights, config, tokenizer and chat template, so that transformers and `load_base` read the folder."""
    shards = _shards(base, shard_bytes)
    place = {name: file for file, names in shards.items() for name in names}
    batch: dict[str, Tensor] = {}
    with talk.track("write weights", len(place), "tensors") as advance:
        for name, tensor in whole_tensors(base, adapter):
            batch[name] = tensor.contiguous()
            if len(batch) == len(shards[place[name]]):
                with writing(folder):
                    safetensors.torch.save_file(batch, folder / place[name], {"format": "pt"})
                advance(len(batch), place[name])
                batch = {}
    if len(shards) > 1:
        index = {"metadata": {"total_size": size_of(base)}, "weight_map": place}
        write_atomic(folder / "model.safetensors.index.json", _spelled(index))
    _save_settings(folder, base)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tells a full disk where the library that writes names no cause, as safetensors and numpy do."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise told_error(error, "writing weights", folder) from error
        raise StorageError(
            f"weights could not be written in {folder} ({error}): {shown_size(shutil.disk_usage(folder).free)} free",
            hint="free some space, or raise the quota, and run the same command again",
        ) from error


def _shards(base: Base, shard_bytes: int) -> dict[str, list[str]]:
    """The files and the names in each, in the model's order."""
    parts: list[list[str]] = [[]]
    room = shard_bytes
    for name, weight in weights_of(base).items():
        size = weight.numel() * weight.element_size()
        if parts[-1] and size > room:
            parts.append([])
            room = shard_bytes
        parts[-1].append(name)
        room -= size
    if len(parts) == 1:
        return {"model.safetensors": parts[0]}
    return {f"model-{at:05d}-of-{len(parts):05d}.safetensors": names for at, names in enumerate(parts, 1)}


def _save_settings(folder: Path, base: Base) -> None:
    source = find_folder(base.name, base.revision)
    for name in COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if not base.tokenizer.chat_template:
        write_atomic(folder / TEMPLATE, base.chat.source.encode())
    config = {key: value for key, value in read_json(source / "config.json", base.name).items() if key != "torch_dtype"}
    write_atomic(folder / "config.json", _spelled(config | {"dtype": base.precision}))
    write_atomic(folder / "generation_config.json", _spelled(_generation(base)))


def _generation(base: Base) -> dict[str, Any]:
    """How it was measured: the likeliest token, up to the end of the turn."""
    ends = {"eos_token_id": list(base.chat.end_ids), "pad_token_id": base.chat.pad_id}
    start = base.tokenizer.bos_token_id
    return {"do_sample": False, **ends, **({} if start is None else {"bos_token_id": start})}


def _spelled(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


@contextmanager
def holding(base: Base, tensors: Mapping[str, Tensor]) -> Iterator[Base]:
    """The base with other weights while the block runs; a name that is left out keeps its own."""
    parameters = dict(base.model.named_parameters())
    before = {name: parameters[name].data for name in tensors}
    try:
        for name, tensor in tensors.items():
            parameters[name].data = tensor.to(before[name])
        yield base
    finally:
        for name, tensor in before.items():
            parameters[name].data = tensor
