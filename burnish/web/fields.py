"""An answer with fields as a form shows it: one line a field, so that nobody has to write JSON."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from burnish.data.answers import compact_fields, object_of, value_text
from burnish.records import Task

PREFIX = "field:"
"""Begins the name of the input that holds a field; the field's name follows."""


class Field(NamedTuple):
    """A field with its value as text."""

    name: str
    value: str
    doubts: tuple[str, ...] = ()
    """Parts of the value that were not found in what was asked."""


def fields_of(task: Task, answer: str, doubts: Mapping[str, tuple[str, ...]]) -> tuple[Field, ...]:
    """Every field of the task, then others of the answer; none where the task has no fields or the answer is no object.

    An empty answer has all fields, empty.
    """
    found = object_of(answer) if answer else {}
    if task.kind != "fields" or found is None:
        return ()
    names = dict.fromkeys((*task.fields, *found))
    return tuple(Field(name, value_text(found.get(name)), doubts.get(name, ())) for name in names)


def answer_from(form: Mapping[str, str], task: Task, before: str) -> str:
    """The answer that a form's fields come to: the one before where nothing was changed, else compact JSON.

    A value that stays as it was keeps its type; a changed one becomes a number where it was or is scored as one.
    """
    known = object_of(before) or {}
    told = {name.removeprefix(PREFIX): value.strip() for name, value in form.items() if name.startswith(PREFIX)}
    found = {name: _value(text, known.get(name), task.fields.get(name, "")) for name, text in told.items()}
    if not any(told.values()):
        return ""
    if {**dict.fromkeys(found), **known} == found:
        return before
    return compact_fields(json.dumps(found, ensure_ascii=False), tuple(task.fields))[0]


def _value(text: str, before: Any, scorer: str) -> Any:
    if text == value_text(before):
        return before
    if isinstance(before, bool | int | float) or scorer == "number":
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, bool | int | float) else text
    return text
