"""Which adapter of a bank every row gets, and how rows are put together so that its products are few and large.

Shapes: K slots of the bank, G groups of rows, N rows, L lines of a grid.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from burnish.model.grid import Grid, grid_of

GRID_ROWS = 32
"""Mean rows a slot up to which a mixed batch is one batched product: with 8 adapters on 32 rows a layer of 320 to 864
took 63 us so and 127 us slot by slot; on 512 rows that changes (LOG.md, "Rows of different adapters")."""


class Grouped(NamedTuple):
    """Equal, contiguous groups of rows, group g on slot slots[g]."""

    slots: tuple[int, ...]
    num_rows: int | None
    """None: any number, all on the one slot."""


class Pieces(NamedTuple):
    """Many rows a slot, in any order; the rows of no slot get the base alone."""

    rows_of: tuple[tuple[int, slice | Tensor], ...]
    """A slice where a slot's rows stand together."""
    num_rows: int


class Lines(NamedTuple):
    """Few rows a slot, in any order, laid into a grid, each line of it on one slot."""

    grid: Grid
    slot_L: Tensor | None
    """None: line l is on slot l, and there are as many lines as slots."""
    rows_N: Tensor | None
    """The rows of the grid in order; the other ones get the base alone. None: there are no others."""
    num_rows: int


Route = Grouped | Pieces | Lines


def route_of(slots: Sequence[int] | int, num_slots: int, device: torch.device) -> Route | None:
    """The way for rows of these slots, or for all rows where it is one; None: all get the base alone, as -1 does."""
    if isinstance(slots, int):
        return None if slots == -1 else Grouped((slots,), None)
    rows_of: dict[int, list[int]] = {}
    for row, slot in enumerate(slots):
        rows_of.setdefault(slot, []).append(row)
    if -1 not in rows_of and len({len(rows) for rows in rows_of.values()}) == 1 and _are_together(rows_of):
        return Grouped(tuple(rows_of), len(slots))
    others = rows_of.pop(-1, [])
    if not rows_of:
        return None
    count = len(slots) - len(others)
    if count > GRID_ROWS * len(rows_of):
        return Pieces(tuple((slot, _piece(rows, device)) for slot, rows in rows_of.items()), len(slots))
    lines = _lines(rows_of, num_slots)
    slot_L = None if [slot for slot, _ in lines] == list(range(num_slots)) else [slot for slot, _ in lines]
    return Lines(
        grid_of([rows for _, rows in lines], len(slots), device),
        None if slot_L is None else torch.tensor(slot_L, device=device),
        torch.tensor(sorted(row for rows in rows_of.values() for row in rows), device=device) if others else None,
        len(slots),
    )


def _are_together(rows_of: Mapping[int, Sequence[int]]) -> bool:
    return all(rows[-1] - rows[0] == len(rows) - 1 for rows in rows_of.values())


def _piece(rows: Sequence[int], device: torch.device) -> slice | Tensor:
    if rows[-1] - rows[0] == len(rows) - 1:
        return slice(rows[0], rows[-1] + 1)
    return torch.tensor(rows, device=device)


def _lines(rows_of: Mapping[int, Sequence[int]], num_slots: int) -> list[tuple[int, Sequence[int]]]:
    """Lines as long as most rows of a slot; where that were mostly zeros, of the mean, and long slots take several.

    Where most slots have rows the other ones get a line, too: to read their factors costs less than to pick the rest.
    """
    longest, count = max(map(len, rows_of.values())), sum(map(len, rows_of.values()))
    if longest * len(rows_of) <= 2 * count:
        known = range(num_slots) if 2 * len(rows_of) > num_slots else sorted(rows_of)
        return [(slot, rows_of.get(slot, ())) for slot in known]
    width = -(-count // len(rows_of))
    return [
        (slot, rows[start : start + width])
        for slot, rows in sorted(rows_of.items())
        for start in range(0, len(rows), width)
    ]
