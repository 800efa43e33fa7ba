"""Hallucination, first tier: what an answer states that its prompt does not, found by rules and without any model.

It looks at numbers, dates, identifiers, quotes and names. It finds what is not there; it cannot find what is there and
put together wrongly. Meant for tasks whose answers come from the prompt: a text to read, a message to extract from.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from burnish.data.answers import object_of
from burnish.evaluate.items import Item, Source, items_in
from burnish.evaluate.measure import Finding, Measure, answered, measured, no_answer, not_applicable
from burnish.records import Evaluation, Example, Task

NAME = "hallucination"
COUNTS = "Share of answers with a number, date, identifier, quote or name that the prompt does not support."
MIN_TAUGHT = 3
"""Groups in whose answers an item has to stand, unsupported, before it counts as knowledge of the trade."""
MIN_ITEMS = 10
MOST_IN_GOLD = 0.5
"""Above this share of unsupported items in the expected answers, answers do not come from their prompts at all."""

Context = Callable[[Example], str]


class Stated(NamedTuple):
    """An item of an answer, and the field that holds it."""

    item: Item
    where: str


def groundedness(
    task: Task,
    examples: Sequence[Example],
    evaluation: Evaluation,
    *,
    known: Collection[str] = frozenset(),
    context: Context | None = None,
) -> Measure:
    """Rows with something unsupported, as 1 and 0; every finding has its kind, its text and its place.

    `context` says what an answer may rest on; by default the instruction and all turns of the prompt. `known` holds
    items that need no support (see `taught`). An answer without items has nothing unsupported: 0. A label task has no
    such measure, nor one whose expected answers do not come from their prompts either; both say so.
    """
    if task.kind == "label":
        return not_applicable(NAME, COUNTS, "lower is better", "label: a label of a closed set states no facts")
    source_of = context or _prompt_with(task)
    pairs = answered(examples, evaluation)
    if why := not_grounded(task, [pair.example for pair in pairs], known=known, context=context):
        return not_applicable(NAME, COUNTS, "lower is better", why)
    rows = []
    for pair in pairs:
        why = no_answer(pair.row)
        if why:
            rows.append(pair.measured(None, why))
            continue
        stated = list(stated_in(pair.row.output))
        missing = unsupported(stated, source_of(pair.example), known)
        findings = [Finding(kind=i.kind, text=i.text, start=i.start, end=i.end, where=where) for i, where in missing]
        rows.append(pair.measured(float(bool(findings)), "", findings, len(stated)))
    return measured(NAME, COUNTS, "lower is better", rows)


def not_grounded(
    task: Task, examples: Sequence[Example], *, known: Collection[str] = frozenset(), context: Context | None = None
) -> str:
    """Why support says nothing of a task, by its expected answers: they do not come from their prompts. Empty: it does.

    Starts with a stable word and a colon. Too few statements to tell are no objection.
    """
    share = _share_in_gold(examples, context or _prompt_with(task), known)
    if share is None or share <= MOST_IN_GOLD:
        return ""
    return f"not-grounded: {share:.0%} of what the expected answers state is not in their prompts"


def taught(task: Task, examples: Sequence[Example], *, context: Context | None = None) -> frozenset[str]:
    """Items that the expected answers of three or more groups state without support: what the trade itself knows.

    The opening hours, the number of the hotline, the name of the office. To be taken from rows that the model learned
    from, and given to `groundedness` as `known`.
    """
    source_of = context or _prompt_with(task)
    groups: dict[str, set[str]] = defaultdict(set)
    for example in examples if task.kind != "label" else ():
        for item, _ in unsupported(list(stated_in(example.answer)), source_of(example)):
            groups[item.key].add(example.group or example.id)
    return frozenset(key for key, found in groups.items() if len(found) >= MIN_TAUGHT)


def stated_in(answer: str) -> Iterator[Stated]:
    """The items of an answer: of free text, or of each value of a JSON object."""
    for where, text in texts_of(answer):
        for item in items_in(text):
            yield Stated(item, where)


def texts_of(answer: str) -> list[tuple[str, str]]:
    """An answer as (field, text): the values of a JSON object, or the whole of it under the name ""."""
    value = object_of(answer)
    if value is None:
        return [("", answer)]
    return [(name, text) for name, part in value.items() if (text := _plain(part))]


def unsupported(stated: Sequence[Stated], context: str, known: Collection[str] = frozenset()) -> list[Stated]:
    """Those of the stated items that neither the context nor `known` holds."""
    if not stated:
        return []
    source = Source(context)
    return [one for one in stated if one.item.key not in known and not source.supports(one.item)]


def _plain(value: object) -> str:
    """The text of one value of a JSON object; true, false and null state nothing, lists are joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_plain, value)))
    return "" if value is None or isinstance(value, bool | dict) else json.dumps(value)


def _prompt_with(task: Task) -> Context:
    def context(example: Example) -> str:
        return "\n".join([task.instruction, *(turn.content for turn in example.prompt)])

    return context


def _share_in_gold(examples: Sequence[Example], source_of: Context, known: Collection[str]) -> float | None:
    """Share of unsupported items in the expected answers; None with too few of them to tell."""
    total = missing = 0
    for example in examples:
        stated = list(stated_in(example.answer))
        total += len(stated)
        missing += len(unsupported(stated, source_of(example), known))
    return missing / total if total >= MIN_ITEMS else None
