"""Keys and values of the texts being continued, one row each, in buffers that grow and never hold more than was asked.

Shapes: S rows of the buffers, C columns, G key heads of size E, N new tokens, P tokens of a prefix. A row's token lies
in a column of that row; what a column means is its owner's business.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

COLUMN_STEP = 32
"""Columns come in steps: a contiguous buffer is read several times faster than a slice of a wider one, and kernels that
are made for each new shape are then made once in 32 tokens."""


class Prefix(NamedTuple):
    """What several prompts begin with, computed once, with one adapter."""

    tokens: tuple[int, ...]
    layers: tuple[tuple[Tensor, Tensor], ...]
    """Keys and values of every layer, [G, P, E] each."""


class KeyValues:
    """Keys and values of all layers, [S, G, C, E] each; zeros where nothing was written."""

    def __init__(self, num_layers: int) -> None:
        self.num_rows, self.num_columns = 0, 0
        self._layers: list[tuple[Tensor, ...]] = [()] * num_layers

    def make_room(self, rows: int, columns: int) -> None:
        """Sees to it that so many rows and columns exist; what is there stays."""
        columns = -(-columns // COLUMN_STEP) * COLUMN_STEP
        if rows > self.num_rows or columns > self.num_columns:
            more = max(rows, min(2 * self.num_rows, rows + 64)) if rows > self.num_rows else self.num_rows
            self._resize(more, max(columns, self.num_columns))

    def trim(self, rows: int, columns: int) -> None:
        """Lets go of what is more than twice as much as these rows and columns need."""
        columns = -(-max(columns, 1) // COLUMN_STEP) * COLUMN_STEP
        if 2 * columns <= self.num_columns or 2 * rows + 8 < self.num_rows:
            self._resize(max(rows, 1), min(columns, self.num_columns))

    def write(self, layer: int, parts: tuple[Tensor, Tensor], rows: Tensor | int, columns: Tensor | slice) -> None:
        """Puts keys and values in place: [N, G, E] by two index tensors, or [G, P, E] into a stretch of one row."""
        if not self._layers[layer]:
            heads, size = parts[0].shape[-2:] if isinstance(rows, Tensor) else parts[0].shape[-3::2]
            shape = (self.num_rows, heads, self.num_columns, size)
            self._layers[layer] = tuple(part.new_zeros(shape) for part in parts)
        for buffer, part in zip(self._layers[layer], parts, strict=True):
            buffer[rows, :, columns] = part

    def rows(self, layer: int, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Keys and values of rows first to last - 1, all columns."""
        keys, values = self._layers[layer]
        return keys[first:last], values[first:last]

    def move(self, source: int, target: int) -> None:
        """Copies a row over another."""
        for buffer in (buffer for layer in self._layers for buffer in layer):
            buffer[target] = buffer[source]

    def prefix(self, row: int, tokens: Sequence[int]) -> Prefix:
        """A row as a prefix of these tokens."""
        length = len(tokens)
        layers = tuple(
            (keys[row, :, :length].clone(), values[row, :, :length].clone()) for keys, values in self._layers
        )
        return Prefix(tuple(tokens), layers)

    def _resize(self, rows: int, columns: int) -> None:
        for number, layer in enumerate(self._layers):
            self._layers[number] = tuple(_resized(buffer, rows, columns) for buffer in layer)
        self.num_rows, self.num_columns = rows, columns


def _resized(buffer: Tensor, rows: int, columns: int) -> Tensor:
    new = buffer.new_zeros(rows, buffer.shape[1], columns, buffer.shape[3])
    kept_rows, kept = min(rows, buffer.shape[0]), min(columns, buffer.shape[2])
    new[:kept_rows, :, :kept] = buffer[:kept_rows, :, :kept]
    return new


def bytes_per_token(model: nn.Module) -> int:
    """Memory of one token's keys and values in all layers."""
    config: Any = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    itemsize = torch.finfo(next(model.parameters()).dtype).bits // 8
    return int(2 * config.num_hidden_layers * config.num_key_value_heads * size * itemsize)
