"""Named tensors as shards of at most 20 MB, small enough to move one by one; larger tensors are cut by rows.

The shards are the groups of a `burnish.train.checkpoint.Checkpoint`, which gives each its checksum and writes all or
none.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

SHARD_BYTES = 19_500_000
"""Most bytes of the tensors of one shard; with its header the file stays below 20 MB."""
ROWS = "@rows"
"""Between a tensor's name and the number of its part."""


def into_shards(
    tensors: Mapping[str, Tensor], kind: str, most_bytes: int = SHARD_BYTES
) -> dict[str, dict[str, Tensor]]:
    """The tensors in shards named KIND-000, KIND-001, ..., in their order, each as full as they allow."""
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        for key, part in _parts(name, tensor.detach().cpu().contiguous(), most_bytes):
            if shards[-1] and filled + part.nbytes > most_bytes:
                shards.append({})
                filled = 0
            shards[-1][key] = part
            filled += part.nbytes
    return {f"{kind}-{number:03d}": shard for number, shard in enumerate(shards)}


def from_shards(shards: Mapping[str, Mapping[str, Tensor]], kind: str) -> dict[str, Tensor]:
    """The tensors that `into_shards` laid into shards of this kind, put together again."""
    parts: dict[str, list[Tensor]] = {}
    for name in sorted(name for name in shards if name.rsplit("-", 1)[0] == kind):
        for key, part in sorted(shards[name].items()):
            parts.setdefault(key.split(ROWS)[0], []).append(part)
    return {name: found[0] if len(found) == 1 else torch.cat(found) for name, found in parts.items()}


def _parts(name: str, tensor: Tensor, most_bytes: int) -> list[tuple[str, Tensor]]:
    """The tensor whole, or by as many rows as a shard holds."""
    if tensor.nbytes <= most_bytes or tensor.ndim == 0:
        return [(name, tensor)]
    rows = max(1, most_bytes // (tensor.nbytes // len(tensor)))
    parts = [part.clone() for part in tensor.split(rows)]  # a view would be saved with all that it views
    return [(f"{name}{ROWS}{number:05d}", part) for number, part in enumerate(parts)]
