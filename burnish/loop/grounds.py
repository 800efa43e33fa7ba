"""Which parts of people's answers come from their prompts: the same parts of a made row's answer must, too.

For answers that are fields or texts. What people's own answers often state without their prompts is not asked of made
rows, and that is said. Rules alone, as in the first tier of the measure of hallucination.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from burnish.data.answers import parse_fields, value_text
from burnish.evaluate.groundedness import taught
from burnish.evaluate.items import KINDS, Source, items_in
from burnish.evaluate.scorers import normalised
from burnish.records import Example, Task

MOST_FAILED = 0.05
"""Share of people's rows that may fail a check; above it the check is not used."""
FEWEST_ROWS = 10
"""Rows of people that must state something of a kind before made rows are held to it."""
MOST_VALUES = 20
ROWS_A_VALUE = 10
"""A field is a closed set when people's rows have at most 20 values of it, and ten rows for each."""


class Statement(NamedTuple):
    """Something that an answer states."""

    part: str
    """The field, or of a text the kind of thing: number, date, identifier, quote, name."""
    key: str
    """As it is compared with what others say."""
    is_supported: bool
    """Whether the prompt says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What is asked of an answer."""

    task: Task
    checked: tuple[str, ...]
    """Parts that people's answers take from their prompts."""
    closed: Mapping[str, frozenset[str]]
    """Fields with a closed set of values, and the values that people's rows have."""
    known: frozenset[str]
    """Keys of things in a text that the trade knows without being told."""
    notes: tuple[str, ...]
    """Which checks are not used, and why."""


def grounds_of(seeds: Sequence[Example], task: Task) -> Grounds:
    """What people's rows say can be asked of made ones; of a label task nothing."""
    known = taught(task, seeds) if task.kind == "text" else frozenset()
    stated: dict[str, list[bool]] = defaultdict(list)
    for seed in seeds:
        failed: dict[str, bool] = {}
        for one in statements(seed, task, known):
            failed[one.part] = failed.get(one.part, False) or not one.is_supported
        for part, is_failed in failed.items():
            stated[part].append(is_failed)
    parts = KINDS if task.kind == "text" else tuple(sorted(stated))
    checked, notes = [], []
    closed = _closed(seeds) if task.kind == "fields" else {}
    for part in parts:
        rows = stated[part]
        share = sum(rows) / len(rows) if rows else 0.0
        if len(rows) >= FEWEST_ROWS and share <= MOST_FAILED:
            checked.append(part)
        elif rows and part not in closed:
            why = (
                f"{share:.0%} of people's own rows" if len(rows) >= FEWEST_ROWS else f"only {len(rows)} rows state one"
            )
            notes.append(f"not held against the prompt: {part} ({why})")
    return Grounds(task=task, checked=tuple(checked), closed=closed, known=known, notes=tuple(notes))


def objections(row: Example, grounds: Grounds) -> tuple[str, ...]:
    """What speaks against an answer, each as a reason to drop the row; nothing for what is not checked."""
    found = [
        f"unsupported: {one.part}"
        for one in statements(row, grounds.task, grounds.known)
        if one.part in grounds.checked and not one.is_supported
    ]
    values = values_of(row)
    new = [
        f"new-value: {name}" for name, known in grounds.closed.items() if name in values and values[name] not in known
    ]
    return tuple(dict.fromkeys([*found, *new]))


def statements(row: Example, task: Task, known: frozenset[str] = frozenset()) -> list[Statement]:
    """What an answer states and whether its prompt says so: each value of fields, each item of a text."""
    if task.kind == "label":
        return []
    prompt = "\n".join([task.instruction, *(turn.content for turn in row.prompt)])
    source, padded = Source(prompt), f" {normalised(prompt)} "
    if task.kind == "text":
        return [
            Statement(item.kind, item.key, item.key in known or source.supports(item)) for item in items_in(row.answer)
        ]
    return [
        Statement(name, normalised(text), _says(text, source, padded))
        for name, text in values_of(row).items()
        if normalised(text)
    ]


def values_of(row: Example) -> dict[str, str]:
    """The values of an answer that is a flat JSON object, as texts; a null is empty."""
    return {name: value_text(value) for name, value in (parse_fields(row.answer) or {}).items()}


def _says(text: str, source: Source, padded: str) -> bool:
    """Whether a prompt says a value: word for word, or all its numbers, dates and names in another form."""
    if f" {normalised(text)} " in padded:
        return True
    items = items_in(text)
    return bool(items) and all(source.supports(item) for item in items)


def _closed(seeds: Sequence[Example]) -> dict[str, frozenset[str]]:
    values: dict[str, list[str]] = defaultdict(list)
    for seed in seeds:
        for name, text in values_of(seed).items():
            values[name].append(text)
    return {
        name: frozenset(found)
        for name, found in sorted(values.items())
        if 2 <= len(set(found)) <= min(MOST_VALUES, len(found) // ROWS_A_VALUE)
    }
