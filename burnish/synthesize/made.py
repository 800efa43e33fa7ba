"""A synthetic row with where it comes from; only rows that people wrote are parents: a row out of a made row drifts."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from burnish.data.answers import parse_fields
from burnish.data.provenance import HUMAN, PROVENANCE, SYNTHETIC, provenance
from burnish.errors import DataError
from burnish.fingerprint import fingerprint
from burnish.records import Example, Message, Provenance

Value = str | int | float


class Made(NamedTuple):
    """A synthetic row and where it comes from."""

    example: Example
    provenance: Provenance


def made_of(
    move: str,
    parents: Sequence[Example],
    messages: tuple[Message, ...],
    attributes: Mapping[str, str],
    *,
    generator: str = "",
    request: str = "",
) -> Made:
    """The row with its provenance; its group is the first parent's, so that kin never end up on two sides.

    Raises DataError when a parent was not written by people.
    """
    for parent in parents:
        if provenance(parent) != HUMAN:
            raise DataError(
                f"{parent.id} is {provenance(parent)}, so it cannot be the parent of a synthetic row",
                hint="only rows that people wrote are parents: rows made of made rows drift",
            )
    names = tuple(parent.id for parent in parents)
    content = [[turn.role, turn.content] for turn in messages]
    example = Example(
        id=f"synthetic-{fingerprint([move, names, content])[:16]}",
        messages=messages,
        group=parents[0].group,
        slices={**parents[0].slices, **attributes, PROVENANCE: SYNTHETIC},
        source=f"synthesize:{move}",
    )
    return Made(
        example,
        Provenance(example=example.id, move=move, generator=generator, parents=names, request=request),
    )


def asking(parent: Example, text: str) -> tuple[Message, ...]:
    """The parent's conversation with another last question."""
    at = max(place for place, turn in enumerate(parent.prompt) if turn.role == "user")
    return (*parent.messages[:at], Message(role="user", content=text), *parent.messages[at + 1 :])


def last_question(row: Example) -> str:
    """The text of the last turn of a user."""
    found = [turn.content for turn in row.prompt if turn.role == "user"]
    assert found, f"{row.id} has no question"
    return found[-1]


def values_of(row: Example) -> dict[str, Value]:
    """The values of a fields answer that can be swapped: words and numbers, not empty, not true or false."""
    found = (parse_fields(row.answer) or {}).items()
    return {
        name: value
        for name, value in found
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
    }


def seeded(seed: int, *parts: object) -> Random:
    """Chance that the seed and these parts decide."""
    return Random(fingerprint([seed, *map(str, parts)]))
