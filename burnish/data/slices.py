"""Which columns are reported by, and the slices of an example, written "column=value"."""

from collections.abc import Sequence

from burnish.config import Settings
from burnish.errors import DataError
from burnish.records import Example, Task

MOST_VALUES = 20
ANSWER = "answer"
"""The column under which the labels of a label task are slices."""


def slice_columns(examples: Sequence[Example], settings: Settings) -> tuple[str, ...]:
    """The metadata columns to report by: those that the settings name, else every one with 2 to 20 different values.

    Raises DataError when the settings name a column that no example has.
    """
    values: dict[str, set[str]] = {}
    for example in examples:
        for column, value in example.slices.items():
            seen = values.setdefault(column, set())
            if len(seen) <= MOST_VALUES:
                seen.add(value)
    for column in settings.data.slices:
        if column not in values:
            raise DataError(
                f"data.slices names {column!r}, but no example has that column",
                hint=f"the columns are {', '.join(sorted(values)[:20]) or 'none'}",
            )
    if settings.data.slices:
        return settings.data.slices
    return tuple(sorted(name for name, seen in values.items() if 2 <= len(seen) <= MOST_VALUES and name != ANSWER))


def slices_of(example: Example, columns: Sequence[str], task: Task) -> tuple[str, ...]:
    """The slices that an example is in: "channel=web", and "answer=LABEL" in a label task."""
    own = tuple(f"{column}={example.slices[column]}" for column in columns if column in example.slices)
    return (*own, f"{ANSWER}={example.answer}") if task.kind == "label" else own
