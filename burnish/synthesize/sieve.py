"""The steps that a made row has to pass, one after the other; each names the rows that it drops, and why."""

from collections.abc import Callable, Mapping, Sequence

from burnish.records import Example
from burnish.synthesize.guards import Drop, Guarded

Step = Callable[[Sequence[Example]], Sequence[Drop]]
"""Rows that it does not like, out of those that earlier steps left."""

LEAK, TOO_LONG, LIMIT, SURPLUS = "leak", "too-long", "limit", "surplus"
"""Too like a row that measures; more tokens than an example may have; its slice is full; more than was asked for."""


def sieve(rows: Sequence[Example], steps: Sequence[Step]) -> Guarded:
    """The rows that every step keeps, in their order, and the drops in the order in which they fell."""
    left = list(rows)
    drops: list[Drop] = []
    for step in steps:
        found = step(left)
        gone = {drop.example for drop in found}
        drops += found
        left = [row for row in left if row.id not in gone]
    return Guarded(kept=tuple(left), drops=tuple(drops))


def surplus(rows: Sequence[Example], cell_of: Mapping[str, int], wanted: Sequence[int]) -> tuple[Drop, ...]:
    """The rows of each cell beyond the number that was asked for, the last ones."""
    room = list(wanted)
    drops = []
    for row in rows:
        cell = cell_of[row.id]
        room[cell] -= 1
        if room[cell] < 0:
            drops.append(Drop(row.id, SURPLUS))
    return tuple(drops)
