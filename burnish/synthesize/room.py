"""Room: how many synthetic rows each slice may still get, and how a number of rows is given out over wishes.

Numbers are whole and exact: a share is given out by largest remainders, and nothing depends on the order of the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from burnish.data.dedup import prompt_text
from burnish.records import Cell, Example
from burnish.synthesize.cells import ANSWER, Wish, holds_term


@dataclass(slots=True)
class Room:
    """Synthetic rows that each slice may still get."""

    left: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, wish: Wish, most: int) -> int:
        """How many rows of a wish there is room for, at most `most`."""
        return min([most, *(self.left[key] for key in wish.keys)])

    def take(self, wish: Wish, count: int) -> None:
        """Fills the slices of a wish with so many rows."""
        for key in wish.keys:
            self.left[key] -= count


def room_for(
    wishes: Sequence[Sequence[Wish]], human: Sequence[Example], made: Sequence[Example], most_per_human: float
) -> Room:
    """The room of all slices that wishes name: so many rows for each of people's, less those that are there."""
    room = Room()
    for wish in (wish for group in wishes for wish in group):
        for key in wish.keys:
            if key not in room.left:
                own = sum(_counts_for(row, key) for row in human)
                there = sum(_counts_for(row, key) for row in made)
                room.left[key] = max(0, int(most_per_human * own + 1e-9) - there)
    return room


def cells_within(wishes: Sequence[Sequence[Wish]], shares: Sequence[int], room: Room) -> tuple[Cell, ...]:
    """The wishes with their numbers; what finds no room in its own purpose is offered to the others in turn."""
    counts: list[list[int]] = []
    left = 0
    for group, share in zip(wishes, shares, strict=True):
        given = _given(group, share, room)
        counts.append(given)
        left += share - sum(given)
    for group, had in zip(wishes, counts, strict=True):
        more = _given(group, left, room)
        left -= sum(more)
        had[:] = [old + new for old, new in zip(had, more, strict=True)]
    return tuple(
        replace(wish.cell, count=count)
        for group, given in zip(wishes, counts, strict=True)
        for wish, count in zip(group, given, strict=True)
        if count
    )


def split_exactly(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in whole parts as the weights say, by largest remainders (Hamilton), ties to the earlier part."""
    whole = sum(weights)
    if total <= 0 or whole <= 0:
        return [0] * len(weights)
    exact = [total * weight / whole for weight in weights]
    parts = [int(share + 1e-9) for share in exact]
    order = sorted(range(len(parts)), key=lambda at: (-round(exact[at] - parts[at], 9), at))
    for at in order[: total - sum(parts)]:
        parts[at] += 1
    return parts


def _given(group: Sequence[Wish], share: int, room: Room) -> list[int]:
    """At most `share` rows over the wishes by weight; a full slice passes its part on to the others."""
    counts = [0] * len(group)
    left = share
    while left > 0:
        is_open = [wish.weight > 0 and room.of(wish, left) > 0 for wish in group]
        parts = split_exactly(left, [wish.weight if one else 0.0 for wish, one in zip(group, is_open, strict=True)])
        if not sum(parts):
            break
        for at, part in enumerate(parts):
            taken = min(part, room.of(group[at], part))
            room.take(group[at], taken)
            counts[at] += taken
            left -= taken
    return counts


def _counts_for(row: Example, key: tuple[str, str]) -> bool:
    column, value = key
    if column == ANSWER:
        return row.answer == value
    return holds_term(prompt_text(row), value.split("\n")) if not column else row.slices.get(column) == value
