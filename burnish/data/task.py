"""What a project's examples ask of a model: a closed set of labels, a JSON object with fields, or free text."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from burnish.config import Settings
from burnish.data.answers import is_label_like, parse_fields
from burnish.data.quality import snippet
from burnish.errors import DataError
from burnish.records import Example, Task, TaskKind

Key = TypeVar("Key", str, tuple[str, ...])

METRICS: dict[TaskKind, str] = {"label": "accuracy", "fields": "field_accuracy", "text": "token_f1"}
MOST_LABELS = 1_000
LONGEST_LABEL = 200
"""Characters; a longer answer is a text."""
MOST_VARYING_FIELDS = 20
"""Objects whose keys differ are fields up to so many keys together; a model has to write each of them every time."""
MOST_NUMBER_LABELS = 20
"""More different numbers than this are amounts or results, not classes."""
NUMBER = re.compile(r"[-+$€£]?\d[\d.,]*%?")
FEW_LABELS = 200
"""Up to so many different short answers are labels when each occurs twice on average; of more, each five times."""


def task_of(examples: Sequence[Example], settings: Settings) -> Task:
    """The task, with the labels and fields found in the data where the settings leave them open.

    Labels are ordered by frequency, then by name; fields as in the commonest answer, the rarer ones behind. The order
    of the examples does not matter. Raises DataError when the answers do not fit the kind of task.
    """
    asked = settings.task
    answers = Counter(example.answer for example in examples)
    if not answers:
        raise DataError("there is no example to find the task in", hint="add some: burnish data add FILE")
    labels: tuple[str, ...] = ()
    fields = dict(asked.fields)
    if asked.kind == "label":
        labels = _configured(answers, asked.labels) if asked.labels else _found_labels(answers)
    elif asked.kind == "fields" and not fields:
        fields = dict.fromkeys(_found_fields(answers), "exact")
    return Task(
        kind=asked.kind,
        labels=labels,
        fields=fields if asked.kind == "fields" else {},
        instruction=asked.instruction,
        max_new_tokens=asked.max_new_tokens,
        metric=METRICS[asked.kind],
    )


def guess_kind(examples: Sequence[Example]) -> TaskKind:
    """The kind of task that the answers look like.

    fields: flat JSON objects that all have the same keys, or few keys together; label: short answers that recur; else
    text.
    """
    answers = Counter(example.answer for example in examples)
    if not answers:
        return "text"
    if _are_fields(answers):
        return "fields"
    total, distinct = answers.total(), len(answers)
    num_numbers = sum(count for answer, count in answers.items() if NUMBER.fullmatch(answer))
    if distinct > MOST_NUMBER_LABELS and 2 * num_numbers > total:
        return "text"
    recurs = distinct <= 2 or (distinct <= FEW_LABELS and 2 * distinct <= total) or 5 * distinct <= total
    return "label" if recurs and all(is_label_like(answer) for answer in answers) else "text"


def _are_fields(answers: Iterable[str]) -> bool:
    found = [parse_fields(answer) for answer in answers]
    keys = {frozenset(one) for one in found if one is not None}
    named = frozenset().union(*keys)
    return None not in found and bool(named) and (len(keys) == 1 or len(named) <= MOST_VARYING_FIELDS)


def _configured(answers: Counter[str], labels: tuple[str, ...]) -> tuple[str, ...]:
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise DataError(f"task.labels names {twice[0]!r} twice", hint="name every label once")
    known = set(labels)
    unknown = [(label, count) for label, count in _ordered(answers) if label not in known]
    if unknown:
        shown = ", ".join(f"{snippet(label, 40)!r} ({count:,})" for label, count in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise DataError(
            f"{sum(count for _, count in unknown):,} examples have answers that task.labels does not name: "
            f"{shown}{more}",
            hint="add them to task.labels in burnish.yaml, or leave task.labels empty to take all that occur",
        )
    return labels


def _found_labels(answers: Counter[str]) -> tuple[str, ...]:
    total, distinct = answers.total(), len(answers)
    longest = max(answers, key=len)
    if distinct > MOST_LABELS or (total >= 20 and 2 * distinct > total) or len(longest) > LONGEST_LABEL:
        raise DataError(
            f"{distinct:,} different answers in {total:,} examples, the longest of {len(longest):,} characters, "
            "look like free text, not like labels",
            hint="set task.kind: text in burnish.yaml (or --task text), or name another column by data.answer",
        )
    return tuple(label for label, _ in _ordered(answers))


def _found_fields(answers: Counter[str]) -> tuple[str, ...]:
    keys: Counter[tuple[str, ...]] = Counter()
    for answer, count in answers.items():
        found = parse_fields(answer)
        if found is not None:
            keys[tuple(found)] += count
    if not any(keys):
        raise DataError(
            f"no answer is a flat JSON object with a field; the first is {snippet(min(answers), 60)!r}",
            hint="a fields task needs one in every answer; otherwise set task.kind: label or text",
        )
    ordered = [key for found, _ in _ordered(keys) for key in found]
    return tuple(dict.fromkeys(ordered))


def _ordered(counts: Counter[Key]) -> Iterable[tuple[Key, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
