"""Rows laid into lines of equal length, so that what differs from line to line is one batched product for all.

Shapes: N rows, L lines, W cells of a line.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Grid(NamedTuple):
    """Which row stands in which cell. A cell that is over holds some row again, and what comes of it is dropped."""

    num_lines: int
    row_X: Tensor | None
    """The row in each of the L * W cells, line by line; None: the rows stand so already."""
    cell_N: Tensor | None
    """The cell of each row that has one, by the rows' numbers."""

    def lay(self, x: Tensor) -> Tensor:
        """Rows [N, ...] as [L, W, ...]."""
        x = x if self.row_X is None else x.index_select(0, self.row_X)
        return x.view(self.num_lines, -1, *x.shape[1:])

    def take(self, y: Tensor) -> Tensor:
        """What came of each row that has a cell, [L, W, ...] as [N, ...]."""
        y = y.flatten(0, 1)
        return y if self.cell_N is None else y.index_select(0, self.cell_N)


def grid_of(lines: Sequence[Sequence[int]], num_rows: int, device: torch.device | str) -> Grid:
    """The grid whose lines hold these of so many rows."""
    width = max(map(len, lines))
    rows = [row for line in lines for row in (*line, *[line[-1] if line else 0] * (width - len(line)))]
    if rows == list(range(num_rows)) and all(len(line) == width for line in lines):
        return Grid(len(lines), None, None)
    cell_of = {row: at * width + place for at, line in enumerate(lines) for place, row in enumerate(line)}
    cells = [cell_of[row] for row in sorted(cell_of)]
    return Grid(len(lines), torch.tensor(rows, device=device), torch.tensor(cells, device=device))
