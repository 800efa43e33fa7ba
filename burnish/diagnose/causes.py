"""Why a row is wrong, by fixed rules from a fixed list: the first rule that fits, with what it saw and what would help.

A rule reads symptoms, not minds: its cause is the likely one, to choose a remedy by, and every cause says its grounds.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from burnish.data.answers import object_of, value_text
from burnish.diagnose.neighbours import NEAREST, Neighbours, index_of, neighbours_of
from burnish.diagnose.rows import is_wrong
from burnish.diagnose.words import WORD, content_terms
from burnish.records import Evaluation, Example, RowResult, Task

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "format": "fix the format: constrain the output, state the form in the instruction, raise task.max_new_tokens",
        "refusal": "generate rows of this kind that are answered, and some that are rightly declined",
        "ambiguous or wrong gold": "ask people: have these rows labelled again, blind, and relabel or rule on them",
        "grounding": "generate rows whose answers stand in the prompt, and rows where the value is absent",
        "jargon": "add the terms to the term base, and generate rows that use them",
        "missing knowledge": "generate rows of this answer, or ask people for real ones",
        "spurious cue": "generate counterfactual rows: the same words, another answer",
        "wrong reasoning": "generate rows close to these, and ask people to correct a few",
    }
)
"""Every cause there is and its likely remedy; of causes equally frequent the earlier is named first."""

REFUSAL = re.compile(
    r"^\W*(?:(?:i'?m|i am) (?:sorry|afraid|unable|not able)\b|sorry\b|as an? (?:ai|language model)\b"
    r"|(?:unfortunately,? )?i (?:cannot|can not|can't|won't|will not|am unable|don't know|do not know)\b"
    r"|i (?:do not|don't) have (?:enough |the |any )?information\b)",
    re.IGNORECASE,
)
SAME_TEXT = 0.9
"""Similarity from which two texts are the same question."""

FEW_GOLD = 3
"""With fewer training rows of an answer than this, there was little to learn it from."""

FEW_SHARED = 2
"""Content terms in common up to which a nearest row is near by a cue and not by what it is about."""

JARGON_SHARE = 0.25
"""Share of a text's content terms that no training row has, from which they are what makes it hard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The likely cause of one wrong row."""

    name: str
    """A key of REMEDIES."""
    why: str
    """What the rule saw."""


def causes_of(
    looked: Evaluation,
    texts: Mapping[str, str],
    task: Task,
    train: Sequence[Example],
    *,
    suspects: Mapping[str, str] | None = None,
) -> dict[str, Cause]:
    """The likely cause of every wrong row of dev_a, by example id; the same rows give the same causes in any order.

    `texts` is what was asked, by example id; `suspects` maps ids whose gold answer is doubted to the answer
    suggested (see `gold.check_gold`); a doubt counts where the model and most of the nearest training rows share it.
    No rule asks a model. Grounding is judged where answers are copied from the prompt: fields, figures in free text.
    """
    wrong = sorted((row for row in looked.rows if is_wrong(row, looked.metric)), key=lambda row: row.example)
    index = index_of(train)
    asked = [texts[row.example] for row in wrong]
    gold = [row.expected for row in wrong] if task.kind == "label" else None
    around = neighbours_of(index, asked, gold) if index else [None] * len(wrong)
    common = _common_terms(texts.values())
    return {
        row.example: _cause(row, text, task, near, common, (suspects or {}).get(row.example))
        for row, text, near in zip(wrong, asked, around, strict=True)
    }


def _cause(
    row: RowResult, text: str, task: Task, near: Neighbours | None, common: Collection[str], suggested: str | None
) -> Cause:
    if why := _refusal(row, task):
        return Cause(name="refusal", why=why)
    if why := _format(row, task):
        return Cause(name="format", why=why)
    if why := _grounding(row, text, task):
        return Cause(name="grounding", why=why)
    if near is None:
        return Cause(name="missing knowledge", why="no training row has a word of content")
    if task.kind == "label" and (why := _ambiguous(row, near, suggested)):
        return Cause(name="ambiguous or wrong gold", why=why)
    if why := _jargon(text, near, common):
        return Cause(name="jargon", why=why)
    return _learnt(row, task, near)


def _refusal(row: RowResult, task: Task) -> str:
    """Declined what had an answer, or answered what should have been declined."""
    if row.output.strip() in task.labels:
        return ""
    said, wanted = REFUSAL.search(row.output), REFUSAL.search(row.expected)
    if bool(said) == bool(wanted):
        return ""
    return f"it declines: {said[0].strip()!r}" if said else "it answers where the gold answer declines"


def _format(row: RowResult, task: Task) -> str:
    said = row.output.strip()
    if row.stop_reason == "length":
        return f"cut off at the limit of {task.max_new_tokens} tokens"
    if not said:
        return "the output is empty"
    if task.kind == "label" and said not in task.labels:
        return f"not among the {len(task.labels)} labels: {said[:40]!r}"
    if task.kind == "fields":
        found = object_of(row.output)
        if found is None:
            return "the output is no JSON object"
        lacking = [name for name in task.fields if name not in found]
        if lacking:
            return f"the output lacks the field {lacking[0]!r}"
    return ""


def _grounding(row: RowResult, text: str, task: Task) -> str:
    """A field's value, or a figure of free text, that stands neither in the prompt nor in the gold answer."""
    asked = _plain(text)
    if task.kind == "fields":
        said, wanted = object_of(row.output) or {}, object_of(row.expected) or {}
        for name in task.fields:
            value, gold = _plain(said.get(name)), _plain(wanted.get(name))
            copied = not gold.strip() or gold in asked
            if copied and value.strip() and value != gold and value not in asked:
                return f"{name} is {said.get(name)!r}, which the prompt does not hold"
        return ""
    if task.kind == "text":
        figures = {word for word in _plain(row.output).split() if any(letter.isdigit() for letter in word)}
        invented = sorted(figures - set(asked.split()) - set(_plain(row.expected).split()))
        return f"{invented[0]!r} stands neither in the prompt nor in the gold answer" if invented else ""
    return ""


def _ambiguous(row: RowResult, near: Neighbours, suggested: str | None) -> str:
    """Confident learning, the model and most neighbours agree on another answer, or the same text has two answers."""
    gold = row.expected.strip()
    if suggested is not None and row.output.strip() == suggested and 2 * near.answers.count(suggested) > NEAREST:
        return (
            f"its gold answer is doubted, and {near.answers.count(suggested)} of {NEAREST} neighbours say {suggested!r}"
        )
    same = [answer for answer, likeness in zip(near.answers, near.similarity, strict=True) if likeness >= SAME_TEXT]
    others = [answer for answer in same if answer != gold]
    if not others or (near.nearest_gold >= SAME_TEXT and len(others) < len(same) - len(others)):
        return ""
    return f"{len(others)} training rows of nearly the same text have another answer, {others[0]!r}"


def _jargon(text: str, near: Neighbours, common: Collection[str]) -> str:
    """Terms of the trade that no training row has: those that other texts have too, or that are written like codes."""
    own = set(content_terms(text))
    codes = {word.casefold() for word in WORD.findall(text) if _is_code(word)}
    terms = [term for term in near.unseen if term in common or term in codes]
    if not terms or len(terms) < JARGON_SHARE * len(own):
        return ""
    return f"no training row has {', '.join(terms[:3])}"


def _learnt(row: RowResult, task: Task, near: Neighbours) -> Cause:
    """What is left: too few rows to learn from, a cue that misled, or rows enough and still wrong."""
    if near.gold < FEW_GOLD:
        return Cause(name="missing knowledge", why=f"{near.gold} training rows have this answer")
    said = row.output.strip()
    drawn = [shared for answer, shared in zip(near.answers, near.shared, strict=True) if answer == said]
    if task.kind == "label" and 2 * len(drawn) > len(near.answers) and sorted(drawn)[len(drawn) // 2] <= FEW_SHARED:
        why = f"{len(drawn)} of the {len(near.answers)} nearest training rows have its answer, by {max(drawn)} terms"
        return Cause(name="spurious cue", why=why)
    if near.near_gold < FEW_GOLD:
        return Cause(name="missing knowledge", why=f"{near.near_gold} training rows of this answer are near")
    return Cause(name="wrong reasoning", why=f"{near.near_gold} training rows of the right answer are near")


def _common_terms(texts: Collection[str]) -> frozenset[str]:
    """Terms of two texts and more, so that no slip of the pen is a term."""
    seen = Counter(term for text in texts for term in set(content_terms(text)))
    return frozenset(term for term, count in seen.items() if count > 1)


def _is_code(word: str) -> bool:
    """Written like an abbreviation or a code: "APR", "W-2", "b12"."""
    letters = [letter for letter in word if letter.isalpha()]
    digits = any(letter.isdigit() for letter in word)
    return bool(letters) and (digits or (2 <= len(letters) <= 6 and word.isupper()))


def _plain(value: Any) -> str:
    """Words alone, folded, with a space before and after, so that a value is looked for as whole words."""
    return f" {' '.join(WORD.findall(value_text(value).casefold()))} "
