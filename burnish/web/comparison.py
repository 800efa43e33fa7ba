"""One comparison: what was asked, by which rules, who answered it, and who that was, kept back until it is picked."""

import random
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException

from burnish.data.dataset import load_examples
from burnish.loop.project import Project
from burnish.records import Example, Message
from burnish.registry import models
from burnish.store.roles import current_roles
from burnish.web.faults import PATH
from burnish.web.worker import Worker

ROLE = "dev_a"
"""The one role whose rows may be taken: dev_b chooses, the vaults judge, the audit checks, and all stay unseen."""
LONGEST_PROMPT = 8_000
"""Characters of a typed prompt."""
MOST_TOKENS = 512
LARGEST_SEED = 2**31 - 1
UNTOLD = "The models could not answer. Whoever runs the server finds the reason in its log, compare.log."
MOST_BLIND = 64
"""Blind comparisons that are remembered until somebody picks; the oldest goes first."""
PICKS = {"a": "A is better", "b": "B is better", "same": "No difference"}


class Piece(NamedTuple):
    """A run of words of an answer."""

    text: str
    differs: bool
    """The other answer has other words here."""


class Asked(NamedTuple):
    """What the form said, as it was filled in."""

    one: str
    two: str
    prompt: str = ""
    row: str = ""
    blind: bool = False
    tokens: str = ""
    seed: str = ""


class Compared(NamedTuple):
    """A comparison: what was asked, the models in the order of the answers, and the answers."""

    asked: Asked
    names: tuple[str, str]
    answers: list[dict[str, Any]]


@dataclass(slots=True)
class Blind:
    """Comparisons whose models are not told yet, by a key that nobody can guess."""

    kept: OrderedDict[str, Compared] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, compared: Compared) -> str:
        """Keeps it until it is picked, and gives its key."""
        key = secrets.token_urlsafe(16)
        with self.lock:
            self.kept[key] = compared
            while len(self.kept) > MOST_BLIND:
                self.kept.popitem(last=False)
        return key

    def take(self, key: str) -> Compared:
        """The comparison of that key, once. Raises HTTPException 409 for one that was picked or is too old."""
        with self.lock:
            found = self.kept.pop(key, None)
        if found is None:
            raise HTTPException(409, "This comparison was picked already, or is too old. Ask again.")
        return found


def asked_in(form: Mapping[str, str]) -> Asked:
    """What the form says."""
    return Asked(
        one=form.get("one", ""),
        two=form.get("two", ""),
        prompt=form.get("prompt", ""),
        row=form.get("row", ""),
        blind=form.get("blind") == "yes",
        tokens=form.get("tokens", ""),
        seed=form.get("seed", ""),
    )


def compare(project: Project, worker: Worker, asked: Asked) -> Compared:
    """Both answers, in random order when blind. Raises HTTPException with what the reader can mend."""
    names = [asked.one, asked.two]
    known = {version.name for version in models(project.store)}
    if not known.issuperset(names):
        raise HTTPException(400, "Choose two models of this project.")
    if asked.one == asked.two:
        raise HTTPException(400, "Choose two different models.")
    usual = project.settings.task.max_new_tokens
    question = {
        "prompt": [{"role": turn.role, "content": turn.content} for turn in _prompt(project, asked)],
        "max_new_tokens": _number(asked.tokens, "The limit of tokens", 1, max(MOST_TOKENS, usual), usual),
        "seed": _number(asked.seed, "The seed", 0, LARGEST_SEED, None),
    }
    if asked.blind:
        random.SystemRandom().shuffle(names)
    told = worker.ask({**question, "models": names})
    if "error" in told:
        words = told["error"]
        raise HTTPException(400, f"{words[:1].upper()}{words[1:]}." if words and not PATH.search(words) else UNTOLD)
    return Compared(asked, (names[0], names[1]), told["answers"])


def _prompt(project: Project, asked: Asked) -> Sequence[Message]:
    """The turns that the models see. Raises HTTPException for an empty or long text, and a row not to be taken."""
    if asked.row:
        return row_of(project, asked.row).prompt
    if not asked.prompt.strip():
        raise HTTPException(400, "The prompt is empty: type one, or take a row below.")
    if len(asked.prompt) > LONGEST_PROMPT:
        raise HTTPException(400, f"The prompt has {len(asked.prompt)} characters; {LONGEST_PROMPT} is the most.")
    return [Message(role="user", content=asked.prompt.replace("\r\n", "\n"))]


def _number(text: str, what: str, least: int, most: int, usual: int | None) -> int | None:
    text = text.strip()
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and least <= int(text) <= most):
        raise HTTPException(400, f"{what} has to be a whole number from {least} to {most}.")
    return int(text)


def row_of(project: Project, name: str) -> Example:
    """A row of dev_a. Raises HTTPException 404 for any other, as if it were not there."""
    if current_roles(project.store).get(name) == ROLE:
        for example in load_examples(project.store):
            if example.id == name:
                return example
    raise HTTPException(404, "There is no such row in dev_a.")


def word_differences(one: str, two: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces, those marked that the other does not have at that place; words are kept whole."""
    first, second = (re.findall(r"\s+|[^\s]+", text) for text in (one, two))
    pieces: tuple[list[Piece], list[Piece]] = ([], [])
    for kind, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        for side, words in ((0, first[a:b]), (1, second[c:d])):
            if words:
                pieces[side].append(Piece("".join(words), kind != "equal"))
    return pieces
