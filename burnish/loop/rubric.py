"""What a judge is asked about an answer: whether it is right, and whether the text it answers supports all of it.

Reviewers are asked the same two questions about the same answers. The rules stand in the system message and everything
from data in one JSON object of the user message, so that an answer which gives orders stays data.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from burnish.fingerprint import fingerprint
from burnish.records import Message, Task
from burnish.synthesize.questions import DATA_ONLY, reply_object


class Question(NamedTuple):
    """One property of an answer, as a judge and as a reviewer is asked about it."""

    name: str
    purpose: str
    """Of the review items that ask people the same."""
    counts: str
    """What a yes says, in one sentence for a report."""
    reason: str
    """Why a reviewer is asked, and how to answer."""
    rules: str
    yes: str
    no: str
    if_empty: bool
    """The verdict on an empty answer, which nobody is asked about."""
    needs_quote: bool = False
    """Whether a no has to quote the answer's words that it objects to."""


RIGHT = Question(
    name="right",
    purpose="calibration",
    counts="Share of answers that would do as they stand.",
    reason="Asked because two models are compared. Accept the answer if it would do as it stands; else edit or reject.",
    rules=(
        "You judge one answer to a message. It is right when a careful expert of this task would send it as it stands, "
        "and wrong when something in it is false, missing or not asked for. Judge what it says: neither length nor "
        "polish makes an answer better. A `reference` is an answer that a person gave; another one may be right, too."
    ),
    yes="right",
    no="wrong",
    if_empty=False,
)
SUPPORTED = Question(
    name="supported",
    purpose="support",
    counts="Share of answers that state nothing but what stands in the message.",
    reason="Asked about support alone. Accept if everything that the answer states stands in the text; else reject.",
    rules=(
        "You judge whether the `message` supports every statement of an answer to it. Politeness, questions and what "
        "follows plainly from the message need no support. An answer that states little is supported, however useless. "
        "Where a statement is not supported, quote it from the answer, word by word, as `statement`."
    ),
    yes="supported",
    no="unsupported",
    if_empty=True,
    needs_quote=True,
)
QUESTIONS = (RIGHT, SUPPORTED)
CANARY = "canary"
"""Purpose of items that ask people which of two versions answered a real conversation better."""
JUDGING = (*(question.purpose for question in QUESTIONS), CANARY)
"""Purposes of items that ask people about models' answers, which teach nothing."""


class Piece(NamedTuple):
    """An answer to be judged. Nothing in it says who wrote the answer."""

    messages: tuple[Message, ...]
    """The prompt."""
    answer: str
    reference: str = ""
    """A person's answer; empty: none is known, or it is this one."""

    @property
    def key(self) -> str:
        """Identity of what is judged: prompt and answer, spaces aside."""
        return fingerprint([[[turn.role, turn.content] for turn in self.messages], plain(self.answer)])


def piece_of(messages: Sequence[Message], answer: str, given: str) -> Piece:
    """An answer with the one on file as its reference, where that is another one."""
    return Piece(tuple(messages), answer, "" if plain(given) == plain(answer) else given)


def plain(text: str) -> str:
    """The text with its white space made one."""
    return " ".join(text.split())


def rules_of(question: Question) -> str:
    """The system message of a question; part of the judge's version."""
    form = f'{{"verdict": "{question.yes}" or "{question.no}"'
    form += ', "statement": "where it is unsupported"}' if question.needs_quote else ', "why": "in some words"}'
    return f"{question.rules} {DATA_ONLY} Its form: {form}"


def judging(question: Question, piece: Piece, task: Task) -> tuple[Message, ...]:
    """The question about one answer; of the prompt it holds every turn."""
    turns: list[Mapping[str, str]] = [{"role": turn.role, "text": turn.content} for turn in piece.messages]
    data: dict[str, Any] = {"task": task.instruction} if task.instruction else {}
    data |= {"message": turns, "answer": piece.answer}
    data |= {"reference": piece.reference} if piece.reference and not question.needs_quote else {}
    text = json.dumps(data, ensure_ascii=False, indent=1)
    return (Message(role="system", content=rules_of(question)), Message(role="user", content=text))


class Said(NamedTuple):
    """A verdict, or what is wrong with the reply."""

    is_yes: bool | None
    fault: str = ""


def read_verdict(text: str, question: Question, piece: Piece) -> Said:
    """The verdict in a reply. A no without a quote of the answer, where one is asked for, is none."""
    data = reply_object(text)
    said = data.get("verdict") if data is not None else None
    if data is None or said not in (question.yes, question.no):
        return Said(None, f"it is no JSON object with `verdict`, {question.yes} or {question.no}")
    quote = data.get("statement")
    if said == question.no and question.needs_quote and not _stands_in(quote, piece.answer):
        return Said(None, "`statement` does not quote the answer word by word")
    return Said(said == question.yes)


UNKNOWN = 0.5
"""Score of an answer on which the judge said nothing usable. What a judge gets wrong is taken out of a gain, so this
costs precision and never truth; leaving such rows out would pick rows by what the models wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What a judge said to one question about some answers."""

    version: str
    """Identity of the judge, the models that answered for it included."""
    said: Mapping[str, bool | None]
    """By the key of the piece; None: no usable reply."""
    models: Mapping[str, int] = field(default_factory=dict)
    """Usable answers by the model that says it gave them."""

    @property
    def num_unusable(self) -> int:
        """Answers on which nothing usable was said."""
        return sum(one is None for one in self.said.values())

    def score(self, key: str) -> float:
        """1 for yes, 0 for no, a half where nothing usable was said."""
        said = self.said[key]
        return UNKNOWN if said is None else float(said)


NO_VERDICTS = Verdicts(version="", said={})


def _stands_in(quote: Any, answer: str) -> bool:
    words = plain(quote).casefold() if isinstance(quote, str) else ""
    return bool(words) and words in plain(answer).casefold()
