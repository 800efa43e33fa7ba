"""Packing: documents laid into rows of equal length with almost no padding, cut only where they are too long.

The fullest row that still has room takes the next piece, longest pieces first (Ding et al. 2024, Fewer Truncations
Improve Language Modeling, arXiv 2404.10830). Pieces of a row do not see each other, and each counts its positions from
0, so a dialogue is read as it will be asked: from its beginning.
Shapes: B rows, T positions.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipes.base.documents import Documents

IGNORED = -100
"""Target of a position that is not learned from."""


class Piece(NamedTuple):
    """A stretch of tokens that is read as one: all but its last are input, all but its first are learned."""

    start: int
    end: int

    @property
    def width(self) -> int:
        """Positions that it takes in a row."""
        return self.end - self.start - 1


Row = list[Piece]


class Batch(NamedTuple):
    """Rows as the model takes them."""

    ids_BT: Tensor
    target_BT: Tensor
    position_BT: Tensor
    piece_BT: Tensor
    """Number of the piece within its row; -1 on padding."""

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device, sent without waiting."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))

    def split(self, rows: int) -> list["Batch"]:
        """The batch in parts of so many rows."""
        return [Batch(*parts) for parts in zip(*(part.split(rows) for part in self), strict=True)]


def cut(documents: Documents, which: NDArray[np.int64], context: int, drawn: np.random.Generator) -> list[Piece]:
    """The pieces of these documents, each at most `context` wide; a long one is first cut at a random place.

    Neighbouring pieces share a token: the last target of one is the first input of the next, so each token but a
    document's first is learned exactly once.
    """
    pieces: list[Piece] = []
    offsets = drawn.integers(1, context + 1, len(which))
    bounds = zip(documents.starts[which].tolist(), documents.starts[which + 1].tolist(), strict=True)
    for (start, end), offset in zip(bounds, offsets.tolist(), strict=True):
        if end - start - 1 <= context:
            pieces.append(Piece(start, end))
            continue
        cuts = [start, *range(start + offset, end - 1, context), end - 1]
        pieces += [Piece(before, after + 1) for before, after in pairwise(cuts)]
    return [piece for piece in pieces if piece.width > 0]


def pack(pieces: Sequence[Piece], context: int) -> list[Row]:
    """Rows that hold every piece once, each at most `context` wide."""
    rows: list[Row] = []
    with_room: dict[int, list[int]] = defaultdict(list)
    rooms = 0  # bit n is set where a row with room for n more is known, so the tightest one is found by arithmetic
    for piece in sorted(pieces, key=lambda piece: -piece.width):
        fitting = rooms >> piece.width << piece.width
        if fitting:
            room = (fitting & -fitting).bit_length() - 1
            index = with_room[room].pop()
            rooms &= ~(0 if with_room[room] else 1 << room)
        else:
            room, index = context, len(rows)
            rows.append([])
        rows[index].append(piece)
        left = room - piece.width
        with_room[left].append(index)
        rooms |= 1 << left
    return rows


def batch_of(rows: Sequence[Row], ids: NDArray[np.uint16], context: int) -> Batch:
    """These rows as tensors, padded behind their last piece."""
    shape = (len(rows), context)
    ids_BT, target_BT = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    position_BT, piece_BT = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
    for b, row in enumerate(rows):
        at = 0
        for number, piece in enumerate(row):
            here = slice(at, at + piece.width)
            ids_BT[b, here] = ids[piece.start : piece.end - 1]
            target_BT[b, here] = ids[piece.start + 1 : piece.end]
            position_BT[b, here] = np.arange(piece.width)
            piece_BT[b, here] = number
            at += piece.width
    return Batch(*(torch.from_numpy(part) for part in (ids_BT, target_BT, position_BT, piece_BT)))
