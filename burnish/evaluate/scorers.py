"""What an answer scores against the expected one: labels, fields and free text, by one rule of normalisation.

A score is a number from 0 to 1, or None with the reason why the row could not be scored; None is never 0.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from burnish.data.answers import object_of, value_text
from burnish.records import Example, Task, TaskKind

FACTS_COLUMN = "facts"
"""Metadata column of a text task with words that the answer must contain, separated by semicolons."""

NO_PARTS: Mapping[str, float] = MappingProxyType({})
ARTICLES = frozenset({"a", "an", "the"})
NUMBER = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?|[-+]?\d+(\.\d+)?|[-+]?\.\d+")
LEADING_ZERO = re.compile(r"0\d")


class Score(NamedTuple):
    """What one answer scored."""

    value: float | None
    parts: Mapping[str, float] = NO_PARTS
    """Scores per field or per scorer; a part that does not apply to this row is absent."""
    why_missing: str = ""


def score(task: Task, example: Example, output: str) -> Score:
    """What `output` scores on this example, in the metric of the task's kind."""
    return TASK_SCORERS[task.kind](task, example, output)


def normalised(text: str) -> str:
    """The text as it is compared: the one rule of this project.

    Unicode NFKC and casefold; punctuation that does not stand between two letters or digits becomes a space (so
    "3.5", "self-employed" and "2024-05-01" stay whole, and a minus before a digit stays); the articles a, an and
    the are dropped unless nothing else is left; runs of white space become one space. After the answer
    normalisation of SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250), which deletes all ASCII punctuation and
    thereby makes "3.5" equal to "35".
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    padded = f" {folded} "
    kept = "".join(" " if _is_loose_punctuation(padded, at) else padded[at] for at in range(1, len(padded) - 1)).split()
    return " ".join([word for word in kept if word not in ARTICLES] or kept)


def _is_loose_punctuation(padded: str, at: int) -> bool:
    before, here, after = padded[at - 1], padded[at], padded[at + 1]
    if not unicodedata.category(here).startswith("P"):
        return False
    if here == "-" and after.isdigit() and not before.isalnum():
        return False
    return not (before.isalnum() and after.isalnum())


def exact(output: str, expected: str) -> float:
    """1 when both texts are the same after normalisation; a text of punctuation alone is compared as it stands."""
    said, wanted = normalised(output), normalised(expected)
    return float(said == wanted if said or wanted else output.strip() == expected.strip())


def number(output: str, expected: str) -> float:
    """1 when both texts hold the same single number ("$1,204.00" equals "1204"); without a number, as `exact`."""
    said, wanted = _numbers(output), _numbers(expected)
    if len(wanted) != 1:
        return exact(output, expected)
    return float(len(said) == 1 and said == wanted)


def token_f1(output: str, expected: str) -> float:
    """Harmonic mean of precision and recall over normalised words, repeats counted; 1 when both are empty.

    After SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250).
    """
    said, wanted = Counter(normalised(output).split()), Counter(normalised(expected).split())
    if not said or not wanted:
        return float(not said and not wanted)
    return 2.0 * (said & wanted).total() / (said.total() + wanted.total())


SCORERS: dict[str, Callable[[str, str], float]] = {
    "exact": exact,
    "number": number,  # "1,204.0" equals "1204"
    "token_f1": token_f1,
}
"""Scorer of a field by its name in the settings."""


def score_label(task: Task, example: Example, output: str) -> Score:
    """1 when the chosen label is the expected one, letter by letter; an answer outside of the labels is not scored."""
    expected = example.answer.strip()
    if expected not in task.labels:
        return Score(None, why_missing=f"unknown-label: {expected!r} is not among the {len(task.labels)} labels")
    return Score(float(output.strip() == expected))


def score_fields(task: Task, example: Example, output: str) -> Score:
    """Mean of the field scores; `parts` holds each of them and all_fields, 1 when every field is fully right.

    A field that a JSON object lacks counts as empty. Output that is no JSON object scores 0 on every field.
    """
    expected = object_of(example.answer)
    if expected is None:
        return Score(None, why_missing="bad-answer: the expected answer is not a JSON object")
    if not task.fields:
        return Score(None, why_missing="no-fields: the task names no fields")
    said = object_of(output)
    scores = {
        name: 0.0 if said is None else SCORERS[scorer](value_text(said.get(name)), value_text(expected.get(name)))
        for name, scorer in task.fields.items()
    }
    whole = float(all(value == 1.0 for value in scores.values()))
    return Score(sum(scores.values()) / len(scores), {**scores, "all_fields": whole})


def score_text(task: Task, example: Example, output: str) -> Score:
    """Token F1; `parts` holds exact, figures (see `figure_agreement`) and facts, where the row has such."""
    expected = example.answer
    if not expected.strip():
        return Score(None, why_missing="bad-answer: the expected answer is empty")
    parts = {"exact": exact(output, expected)}
    asked = " ".join(message.content for message in example.prompt)
    figures = figure_agreement(output, expected, asked)
    if figures is not None:
        parts["figures"] = figures
    facts = [fact for fact in example.slices.get(FACTS_COLUMN, "").split(";") if normalised(fact)]
    if facts:
        padded = f" {normalised(output)} "
        parts["facts"] = sum(f" {normalised(fact)} " in padded for fact in facts) / len(facts)
    return Score(token_f1(output, expected), parts)


TASK_SCORERS: dict[TaskKind, Callable[[Task, Example, str], Score]] = {
    "label": score_label,
    "fields": score_fields,
    "text": score_text,
}


def figure_agreement(output: str, expected: str, asked: str = "") -> float | None:
    """1 when every number and identifier of the expected answer is in the output and the output invents none.

    Invented is a number or identifier that stands neither in the expected answer nor in the question. None when
    neither answer holds any. Numbers written as words ("three") are not seen.
    """
    said, wanted = figures(output), figures(expected)
    if not said and not wanted:
        return None
    return float(wanted <= said and said <= wanted | figures(asked))


def figures(text: str) -> frozenset[str]:
    """Numbers in one notation ("1,204.50" is "1204.5") and identifiers: other words with a digit, e-mails, addresses.

    Digits after a leading zero ("0042") are an identifier.
    """
    found = set()
    for word in unicodedata.normalize("NFKC", text).casefold().split():
        bare = word.strip("\"'`.,;:!?()[]{}<>*").strip("$€£¥%")
        if NUMBER.fullmatch(bare) and not LEADING_ZERO.match(bare):
            found.add(_plain(bare))
        elif any(letter.isdigit() for letter in bare) or "@" in bare or "://" in bare:
            found.add(bare)
    return frozenset(found)


def _numbers(text: str) -> list[str]:
    """All numbers in the text in one notation; digits inside of a word such as B12 are none."""
    words = unicodedata.normalize("NFKC", text).replace("−", "-")
    return [_plain(match[0]) for match in re.finditer(rf"(?<![\w.])({NUMBER.pattern})(?![\w])", words)]


def _plain(text: str) -> str:
    """A number without thousands commas, plus sign, leading zeros and trailing decimal zeros; exact at any length."""
    whole, _, part = text.replace(",", "").lstrip("+-").partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    plain = f"{whole}.{part}" if part else whole
    return f"-{plain}" if text.startswith("-") and plain != "0" else plain
