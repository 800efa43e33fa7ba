"""Prefixes of the rows of a pass in stacks of like length: attention meets all of a stack in one product a layer.

With a product for each prefix, 32 adapters that have a prefix each took half of a step (LOG.md).
Shapes: F prefixes of a stack, G key heads of size E, P positions of the longest, B rows that have one of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from burnish.model.cache import Prefix
from burnish.model.grid import Grid, grid_of

SPARE_SHARE = 0.5
"""Prefixes that no row has any more stay in a stack up to this share: their rows' adapters are asked again soon, and to
stack 32 prefixes of 34 tokens anew takes as long as a tenth of a step."""


class Stack(NamedTuple):
    """Prefixes of like length, filled up to the longest."""

    prefixes: tuple[Prefix, ...]
    layers: tuple[tuple[Tensor, Tensor], ...]
    """Keys and values of every layer, [F, G, P, E] each."""
    hidden_FP: Tensor | None
    """0 where a prefix has a position, the type's lowest number where not; None: all are equally long."""


class Shared(NamedTuple):
    """Rows of a pass and the stack that holds the prefix of each."""

    stack: Stack
    rows_B: Tensor | None
    """The rows, counted from the first of the pass; None: all."""
    grid: Grid
    """Of these rows, counted among themselves; a line for each prefix of the stack."""
    hidden_BP: Tensor | None
    """`hidden_FP` of each row's prefix."""


class Stacks:
    """The stacks of one session; those that its rows use are kept between passes."""

    def __init__(self) -> None:
        self._kept: dict[int, Stack] = {}

    def of(self, prefixes: Sequence[Prefix | None], *, is_all: bool) -> list[Shared]:
        """The stacks that rows with these prefixes see; `is_all`: they are all rows of the session."""
        by_size: dict[int, list[int]] = {}
        for row, prefix in enumerate(prefixes):
            if prefix is not None:
                by_size.setdefault(len(prefix.tokens).bit_length(), []).append(row)
        if is_all:
            self._kept = {size: stack for size, stack in self._kept.items() if size in by_size}
        found = []
        for size, rows in by_size.items():
            each = [prefix for row in rows if (prefix := prefixes[row]) is not None]
            stack = self._stack(size, list({id(prefix): prefix for prefix in each}.values()), is_all=is_all)
            found.append(_shared(stack, rows, each, len(prefixes)))
        return found

    def _stack(self, size: int, wanted: list[Prefix], *, is_all: bool) -> Stack:
        kept = self._kept.get(size)
        known = {id(prefix) for prefix in kept.prefixes} if kept else set()
        most = len(wanted) + int(SPARE_SHARE * len(wanted))
        if kept and len(known) <= most and known.issuperset(map(id, wanted)):
            return kept
        if not is_all:
            return _stacked(wanted)
        new = {id(prefix) for prefix in wanted}
        spare = [prefix for prefix in kept.prefixes if id(prefix) not in new] if kept else []
        self._kept[size] = _stacked([*wanted, *spare[: most - len(wanted)]])
        return self._kept[size]


def _stacked(prefixes: Sequence[Prefix]) -> Stack:
    """One prefix is not copied."""
    if len(prefixes) == 1:
        return Stack((prefixes[0],), tuple((keys[None], values[None]) for keys, values in prefixes[0].layers), None)
    lengths = [len(prefix.tokens) for prefix in prefixes]
    layers = []
    for parts in zip(*(prefix.layers for prefix in prefixes), strict=True):
        keys, values = (_filled([part[at] for part in parts], max(lengths)) for at in range(2))
        layers.append((keys, values))
    hidden_FP = None
    if min(lengths) < max(lengths):
        place_P = torch.arange(max(lengths), device=layers[0][0].device)
        is_over_FP = place_P >= torch.tensor(lengths, device=place_P.device)[:, None]
        hidden_FP = torch.zeros_like(is_over_FP, dtype=layers[0][0].dtype)
        hidden_FP.masked_fill_(is_over_FP, torch.finfo(hidden_FP.dtype).min)
    return Stack(tuple(prefixes), tuple(layers), hidden_FP)


def _filled(parts: Sequence[Tensor], length: int) -> Tensor:
    """Parts [G, P, E] of any length as [F, G, longest, E], zeros behind the shorter ones."""
    whole = parts[0].new_zeros(len(parts), parts[0].shape[0], length, parts[0].shape[2])
    for line, part in zip(whole, parts, strict=True):
        line[:, : part.shape[1]] = part
    return whole


def _shared(stack: Stack, rows: Sequence[int], each: Sequence[Prefix], num_rows: int) -> Shared:
    line_of = {id(prefix): line for line, prefix in enumerate(stack.prefixes)}
    lines: list[list[int]] = [[] for _ in stack.prefixes]
    for at, prefix in enumerate(each):
        lines[line_of[id(prefix)]].append(at)
    device = stack.layers[0][0].device
    hidden_BP = None
    if stack.hidden_FP is not None:
        hidden_BP = stack.hidden_FP[torch.tensor([line_of[id(prefix)] for prefix in each], device=device)]
    rows_B = None if len(rows) == num_rows else torch.tensor(rows, device=device)
    return Shared(stack, rows_B, grid_of(lines, len(each), device), hidden_BP)
