"""Whether a model says that it cannot know, exactly where it cannot: on rows that people declared unanswerable.

Three measures, because one number hides the trade: a model that always declines has perfect recall.
"""

import re
from collections.abc import Callable, Collection, Sequence

from burnish.data.answers import object_of, value_text
from burnish.evaluate.measure import Answered, Measure, MeasuredRow, answered, measured, no_answer, not_applicable
from burnish.evaluate.scorers import normalised
from burnish.records import Evaluation, Example, Task

RECALL, PRECISION, NEEDLESS = "abstention recall", "abstention precision", "needless abstention"
COUNTS = {
    RECALL: "Share of unanswerable rows on which the model declines to answer.",
    PRECISION: "Share of the rows on which the model declines that are unanswerable.",
    NEEDLESS: "Share of answerable rows on which the model declines all the same.",
}
NOT_STATED = (
    "not stated",
    "not mentioned",
    "not specified",
    "not provided",
    "not given",
    "not available",
    "not enough information",
    "no information",
    "insufficient information",
    "unknown",
    "cannot be determined",
    "cannot determine",
    "can't determine",
    "cannot answer",
    "can't answer",
    "do not know",
    "don't know",
    "does not say",
    "doesn't say",
    "does not state",
    "doesn't state",
    "does not mention",
    "doesn't mention",
    "unanswerable",
    "none",
    "null",
    "n/a",
)
"""Phrases that decline; an answer of more than one word is looked through for those of more than one word."""
YES = frozenset({"unanswerable", "true", "yes", "1"})
"""Values of a column that declare a row unanswerable."""
FIRST_WORDS = 40
"""Words of an answer that are looked through: who declines says so at once."""


def abstention(
    task: Task,
    examples: Sequence[Example],
    evaluation: Evaluation,
    *,
    column: str = "",
    phrases: Sequence[str] = NOT_STATED,
) -> tuple[Measure, Measure, Measure]:
    """Abstention recall, abstention precision and needless abstention, in this order.

    A row is unanswerable where `column` says so (unanswerable, true, yes, 1), or without a column where its expected
    answer declines with one of `phrases`. Fields count one by one: a row's value is the share of its unanswerable
    fields left empty, null or declined; a column does not apply to them. A label task needs a label that is a phrase.
    Precision is for reading: which rows it counts depends on the model, so it is not pairable.
    """
    is_no = _decliner(phrases)
    pairs = answered(examples, evaluation)
    if task.kind == "label" and not any(is_no(label) for label in task.labels):
        why = "label: none of the labels declines to answer"
        return _none(why)
    rows = [_row(task, pair, column, is_no) for pair in pairs]
    if not any(should for row in rows for should, _ in row):
        return _none("no-unanswerable: no row is declared unanswerable")
    made = [[_measured(pair, row, name) for pair, row in zip(pairs, rows, strict=True)] for name in COUNTS]
    recall, precision, needless = made
    return (
        measured(RECALL, COUNTS[RECALL], "higher is better", recall),
        measured(PRECISION, COUNTS[PRECISION], "higher is better", precision, is_pairable=False),
        measured(NEEDLESS, COUNTS[NEEDLESS], "lower is better", needless),
    )


def declines(text: str, phrases: Collection[str] = NOT_STATED) -> bool:
    """Whether a text is empty or declines to answer with one of these phrases.

    A phrase of one word has to be the whole text, a longer one has to stand in its first 40 words.
    """
    return _decliner(phrases)(text)


def _decliner(phrases: Collection[str]) -> Callable[[str], bool]:
    plain = {normalised(phrase) or phrase.strip().casefold() for phrase in phrases}
    long = [f" {phrase} " for phrase in sorted(plain) if " " in phrase]

    def is_no(text: str) -> bool:
        said = normalised(re.sub(r"[_-]+", " ", text))
        if not said or said in plain or normalised(text) in plain:
            return True
        padded = f" {' '.join(said.split()[:FIRST_WORDS])} "
        return any(phrase in padded for phrase in long)

    return is_no


def _row(task: Task, pair: Answered, column: str, is_no: Callable[[str], bool]) -> list[tuple[bool, bool]]:
    """(unanswerable, declined) for each field of a fields task, else for the row."""
    if no_answer(pair.row):
        return []
    if task.kind == "fields":
        wanted, said = object_of(pair.example.answer) or {}, object_of(pair.row.output)
        return [
            (is_no(value_text(wanted.get(name))), said is not None and is_no(value_text(said.get(name))))
            for name in task.fields
        ]
    declared = pair.example.slices.get(column, "").strip().casefold() in YES
    should = declared if column else is_no(pair.example.answer)
    return [(should, is_no(pair.row.output))]


def _measured(pair: Answered, row: Sequence[tuple[bool, bool]], name: str) -> MeasuredRow:
    if name == PRECISION:
        counted = [float(should) for should, did in row if did]
        missing = "answered: the model does not decline here"
    else:
        counted = [float(did) for should, did in row if should == (name == RECALL)]
        missing = "answerable: not declared unanswerable" if name == RECALL else "unanswerable: declared so"
    if not counted:
        return pair.measured(None, no_answer(pair.row) or missing)
    return pair.measured(sum(counted) / len(counted), num_items=len(counted))


def _none(why: str) -> tuple[Measure, Measure, Measure]:
    return (
        not_applicable(RECALL, COUNTS[RECALL], "higher is better", why),
        not_applicable(PRECISION, COUNTS[PRECISION], "higher is better", why),
        not_applicable(NEEDLESS, COUNTS[NEEDLESS], "lower is better", why),
    )
