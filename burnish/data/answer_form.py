"""Answers of a text task that look as if another kind were meant: objects to take apart, labels to choose from."""

from collections import Counter
from collections.abc import Iterable

from burnish.data.answers import is_label_like, object_of
from burnish.data.problem import CheckedRows, Problem
from burnish.data.task import MOST_LABELS


def form_problems(rows: CheckedRows) -> Iterable[Problem]:
    """What is said of a text task whose answers could be scored better than by the words that they share."""
    if rows.task.kind != "text":
        return
    answers = Counter(example.answer for example in rows.examples)
    objects = [example for example in rows.examples if object_of(example.answer) is not None]
    if 2 * len(objects) > len(rows.examples):
        rest = (
            "a JSON object, and they are nested, or have many keys in all, or some are none: they are learned and "
            "scored as texts, by the words that they share, and may come out as no JSON. Flat objects with a few keys "
            "make a task of kind fields, which is scored field by field and always parses"
        )
        yield rows.problem("json-as-text", "warning", objects, "answer is", "answers are each", rest)
    elif 2 * len(answers) <= answers.total() and len(answers) <= MOST_LABELS and all(map(is_label_like, answers)):
        yield Problem(
            name="labels-as-text",
            severity="note",
            count=answers.total(),
            message=f"there are {len(answers):,} different answers, all short, and most recur. If they are labels, "
            "set task.kind: label in burnish.yaml (or --task label): then the likeliest is chosen, right or wrong",
        )
