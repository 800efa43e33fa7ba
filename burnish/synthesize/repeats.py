"""People's rows again, where fewer rows were kept than were planned: the cheapest way to make a rare answer count.

On a small base repeating beats rules where filters leave few rows (benchmarks/synthesis.md), and needs no audit.
"""

from collections.abc import Sequence
from dataclasses import replace

from burnish.data.provenance import HUMAN, provenance
from burnish.records import Cell, Example
from burnish.synthesize.cells import NOISE, in_cell

MOST_TIMES = 10
"""A row of people is there at most so often."""


def top_up(cells: Sequence[Cell], kept: Sequence[Example], people: Sequence[Example]) -> list[Example]:
    """Rows of people in each cell, each in turn, as many as the cell got too few of; each repeat has an id of its own.

    A kept row counts for the first cell that it is in and that still lacks one. Rough rows are not made up for. Same
    arguments, same rows.
    """
    plain = [cell for cell in cells if NOISE not in cell.columns]
    lacking = [cell.count for cell in plain]
    for row in kept:
        place = next((at for at, cell in enumerate(plain) if lacking[at] > 0 and in_cell(row, cell)), None)
        if place is not None:
            lacking[place] -= 1
    times: dict[str, int] = {}
    found = []
    for cell, count in zip(plain, lacking, strict=True):
        own = [row for row in people if provenance(row) == HUMAN and in_cell(row, cell)]
        for at in range(min(count, (MOST_TIMES - 1) * len(own))):
            row = own[at % len(own)]
            times[row.id] = times.get(row.id, 1) + 1
            if times[row.id] <= MOST_TIMES:
                found.append(replace(row, id=f"{row.id}-again{times[row.id]}"))
    return found
