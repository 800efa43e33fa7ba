"""A review item as a page may show it: what was asked, a draft where one is shown, and the keys that answer it.

What would lead a reviewer is not in it: the answer on file, who wrote a draft, which drafts are checks, and the odds.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from burnish.evaluate.groundedness import Stated, stated_in, unsupported
from burnish.loop.rubric import JUDGING, SUPPORTED
from burnish.records import Message, Task
from burnish.store.claims import Claim
from burnish.store.reviews import ReviewDecision, ReviewItem
from burnish.web.fields import Field, fields_of

KEYS = "1234567890bcdfhijklmnpqtvxyz"
"""Keys of labels, in their order; the letters left out mean something else on the page."""
WORDS = {
    "accept": "right as it is",
    "reject": "none of it is right",
    "out-of-scope": "out of scope",
    "skip": "skipped",
    "prefer-a": "the first is better",
    "prefer-b": "the second is better",
    "tie": "as good as each other",
}
"""Decisions without a text, as the page calls them."""


class Choice(NamedTuple):
    """A label that can be given, and the key that gives it; beyond the last key it is found by typing."""

    label: str
    key: str


class Piece(NamedTuple):
    """Part of a draft; `kind` says what it is where it was not found in what was asked."""

    text: str
    kind: str = ""


class Question(NamedTuple):
    """One item on the page."""

    name: str
    queue: str
    turn: int
    reason: str
    turns: tuple[Message, ...]
    draft: str
    pieces: tuple[Piece, ...]
    """The draft again, in parts; empty where it has no text to look at."""
    other: str
    choices: tuple[Choice, ...]
    """The labels of a label task; empty: the answer is written."""
    fields: tuple[Field, ...]
    is_on_file: bool
    """Whether reviewers may say that the answer on file is wrong: where the draft is meant to be it."""
    is_changeable: bool
    """Whether a better answer can be written: not where support alone is asked about."""


def question_of(claim: Claim, task: Task, known: Collection[str]) -> Question:
    """What a reviewer who holds the item is shown. `known` holds what needs no support in a draft.

    Where people judge what a judge is tested by, nothing is marked: a machine's doubt would lead them.
    """
    item = claim.item
    is_written = task.kind != "label" and item.queue != "preference"
    draft = item.draft if item.queue != "blind" else ""
    is_marked = is_written and item.purpose not in JUDGING
    doubts = unsupported(list(stated_in(draft)), _context(item, task), known) if is_marked else []
    fields = fields_of(task, draft, _by_field(doubts)) if is_written else ()
    return Question(
        name=item.name,
        queue=item.queue,
        turn=claim.turn,
        reason=item.reason,
        turns=item.messages,
        draft=draft,
        pieces=_pieces(draft, doubts) if is_written and draft and not fields else (),
        other=item.other if item.queue == "preference" else "",
        choices=_choices(task.labels) if task.kind == "label" and item.queue != "preference" else (),
        fields=fields,
        is_on_file=item.queue == "correction" and item.purpose == "gold",
        is_changeable=item.purpose != SUPPORTED.purpose,
    )


def decided_words(decision: ReviewDecision, item: ReviewItem) -> str:
    """What somebody decided, in a few words, with the beginning of what was asked."""
    said = decision.text if decision.kind in ("label", "edit", "gold-wrong") else WORDS[decision.kind]
    asked = item.messages[-1].content if item.messages else ""
    return f"“{_short(said, 60)}” on “{_short(asked, 60)}”"


def _short(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _choices(labels: Sequence[str]) -> tuple[Choice, ...]:
    return tuple(Choice(label, KEYS[at : at + 1]) for at, label in enumerate(labels))


def _context(item: ReviewItem, task: Task) -> str:
    return "\n".join([task.instruction, *(turn.content for turn in item.messages)])


def _by_field(doubts: Sequence[Stated]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for item, where in doubts:
        found[where] = (*found.get(where, ()), item.text)
    return found


def _pieces(draft: str, doubts: Sequence[Stated]) -> tuple[Piece, ...]:
    """The draft cut at what was not found; places count in its NFC form, which looks the same."""
    text = unicodedata.normalize("NFC", draft)
    found: list[Piece] = []
    at = 0
    for item, where in doubts:
        if not where and at <= item.start < item.end <= len(text):
            found += [Piece(text[at : item.start]), Piece(text[item.start : item.end], item.kind)]
            at = item.end
    return tuple(piece for piece in (*found, Piece(text[at:])) if piece.text)
