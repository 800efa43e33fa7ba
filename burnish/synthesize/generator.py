"""What a generator reads and writes: seeds as plain documents, its lines back as rows, and how far it only remembers.

A document is a card of the task, the attributes of a kind of row, some rows of people of that kind, and one row more.
Training has its loss on every token of it (Chen et al. 2024, NOMAD, arXiv 2410.20362, find that a generator wants its
prompts learned, too); sampling stops where the last row would begin. Every row is one line.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np

from burnish.data.answers import compact_fields, parse_fields
from burnish.fingerprint import fingerprint
from burnish.records import Example, Interval, Message, Task
from burnish.synthesize.duplicates import copies_of
from burnish.synthesize.ensemble import share_of
from burnish.synthesize.guards import Drop, said_by
from burnish.synthesize.made import Made, made_of

MOVE = "generator"
"""The move under which its rows are known."""
UNLIKELY = "unlikely"
"""Less likely under the generator than nearly all real rows that it had not seen."""
MOST_SHOTS = 3
"""Rows of people in a prompt: a verifier that has seen none of them has to be left, see `ensemble.verify_labels`."""
HELD_OUT_SHARE = 0.1
MOST_MEMORISED = 0.02
"""Share of samples that may be copies of a seed."""
BAND = 0.99
"""Quantile of held-out rows' loss per token above which a sample is unlikely."""
LONGEST_CARD = 300
"""Letters of the task's instruction that the card holds."""
END = "\n"
"""Ends a row."""
SEPARATOR = "\t"
"""Between question and answer where the answer is written, too."""

ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
ESCAPED = re.compile(r"\\(.)|(\\)$", re.DOTALL)
CARDS = {
    "label": "Messages, sorted by their answer.",
    "fields": "Messages and the fields found in them.",
    "text": "Messages and their answers.",
}


class Document(NamedTuple):
    """A text to learn from: what a prompt would be, and the row that follows it."""

    example: str
    """Id of the row."""
    head: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A prompt for one new row, and the rows of people in it, the leading one first."""

    head: str
    shots: tuple[Example, ...]


class HeldOut(NamedTuple):
    """Seeds to learn from, and seeds that tell when to stop; no group is on both sides."""

    learned: tuple[Example, ...]
    held: tuple[Example, ...]


def is_learnable(example: Example) -> bool:
    """Whether a seed is one question and its answer, so that one line can hold it; a system message may stand before.

    Conversations of several turns are left out: their last turn alone may not make sense.
    """
    turns = [turn.role for turn in example.messages if turn.role != "system"]
    return turns == ["user", "assistant"]


def line_of(example: Example, task: Task) -> str:
    """A row as one line: the question, and behind a tab the answer where it is no label."""
    question = _escaped(_question(example))
    return question if task.kind == "label" else f"{question}{SEPARATOR}{_escaped(example.answer)}"


def head_of(lead: Example, shots: Sequence[Example], task: Task, columns: Sequence[str]) -> str:
    """The card of the task, the leading row's attributes and the shots' lines, up to where another row begins."""
    card = " ".join([CARDS[task.kind], *task.instruction.split()])[:LONGEST_CARD]
    attributes = [f"answer: {_escaped(lead.answer)}"] if task.kind == "label" else []
    attributes += [f"{column}: {_escaped(lead.slices[column])}" for column in columns if lead.slices.get(column)]
    lines = [f"- {line_of(shot, task)}" for shot in shots]
    return "\n".join([card, *attributes, *lines, "-"])


def document_of(example: Example, shots: Sequence[Example], task: Task, columns: Sequence[str]) -> Document:
    """The document that ends with this row."""
    return Document(example.id, head_of(example, shots, task, columns), f" {line_of(example, task)}{END}")


def documents_of(
    examples: Sequence[Example],
    pool: Sequence[Example],
    task: Task,
    columns: Sequence[str],
    *,
    seed: int,
    most_shots: int = MOST_SHOTS,
) -> list[Document]:
    """A document for each example, with up to `most_shots` rows of its kind out of the pool, none of its own group."""
    near = Kin(pool, task, columns)
    found = []
    for example in examples:
        random = Random(fingerprint(["document", seed, example.id]))
        shots = near.shots(example, random.randint(0, most_shots), random)
        found.append(document_of(example, shots, task, columns))
    return found


class Kin:
    """Rows by kind: those with the same answer and columns first, then those with the same answer."""

    def __init__(self, rows: Sequence[Example], task: Task, columns: Sequence[str]) -> None:
        self.task, self.columns = task, columns
        self.close: dict[tuple[str, ...], list[Example]] = defaultdict(list)
        self.same: dict[str, list[Example]] = defaultdict(list)
        for row in rows:
            self.close[self._kind(row)].append(row)
            self.same[self._answer(row)].append(row)

    def shots(self, example: Example, count: int, random: Random) -> tuple[Example, ...]:
        """Up to `count` rows like this one, of other groups, those that are most alike in kind before others."""
        found: dict[str, Example] = {}
        for rows in (self.close[self._kind(example)], self.same[self._answer(example)]):
            fitting = [row for row in rows if row.group != example.group and row.id not in found]
            drawn = random.sample(fitting, min(count - len(found), len(fitting)))
            found |= {row.id: row for row in drawn}
        return tuple(found.values())

    def _answer(self, row: Example) -> str:
        return row.answer if self.task.kind == "label" else ""

    def _kind(self, row: Example) -> tuple[str, ...]:
        return (self._answer(row), *(row.slices.get(column, "") for column in self.columns))


def draft_of(lead: Example, kin: Kin, *, seed: int, most_shots: int = MOST_SHOTS) -> Draft:
    """A prompt for a row like the leading seed, which it shows with some of its kin, in random order."""
    random = Random(fingerprint(["draft", seed, lead.id]))
    near = kin.shots(lead, random.randint(0, most_shots - 1), random)
    shown = random.sample([lead, *near], 1 + len(near))
    return Draft(head=head_of(lead, shown, kin.task, kin.columns), shots=(lead, *near))


def row_of(draft: Draft, text: str, task: Task, *, generator: str, seed: int) -> Made | None:
    """The row that a sampled line says, with its provenance; None when the line is no row of this task.

    The line ends before `END`. System message, group and columns are the leading seed's, and so is a label.
    """
    told = parsed_line(text, task)
    if told is None:
        return None
    lead = draft.shots[0]
    system = tuple(turn for turn in lead.prompt if turn.role == "system")
    question, answer = told
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer or lead.answer))
    request = fingerprint([draft.head, seed])
    return made_of(MOVE, draft.shots, (*system, *turns), {}, generator=generator, request=request)


def parsed_line(text: str, task: Task) -> tuple[str, str] | None:
    """Question and answer of a line, the answer empty for a label task; None when it is malformed."""
    parts = [_plain(part) for part in text.strip(" \n").split(SEPARATOR)]
    wanted = 1 if task.kind == "label" else 2
    if len(parts) != wanted or any(part is None or not part.strip() for part in parts):
        return None
    question, answer = [*(part.strip() for part in parts if part is not None), ""][:2]
    if task.kind == "fields":
        if list(parse_fields(answer) or {}) != list(task.fields):
            return None
        answer = compact_fields(answer, list(task.fields))[0]
    return question, answer


def split_held_out(rows: Sequence[Example], *, seed: int, share: float = HELD_OUT_SHARE) -> HeldOut:
    """A share of the rows, by whole groups, one group at least; who is held out depends on seed and group alone."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    held: set[str] = set()
    wanted, there = share * len(rows), 0
    for name in sorted(groups, key=lambda name: fingerprint(["held out", seed, name])):
        if there >= wanted:
            break
        held.add(name)
        there += len(groups[name])
    return HeldOut(tuple(row for row in rows if row.group not in held), tuple(row for row in rows if row.group in held))


def memorised_share(samples: Sequence[Example], seeds: Sequence[Example], task: Task) -> Interval:
    """The share of samples that are copies of a seed: Jaccard similarity of their 8-word runs above a half.

    A text of fewer words is one run, so short ones count only word for word. Samples of one prompt are alike, so the
    interval is somewhat too short.
    """
    told = copies_of([said_by(row, task) for row in samples], [said_by(row, task) for row in seeds])
    return share_of(sum(told), len(told))


def unlikely(losses: Mapping[str, float], real: Sequence[float], *, band: float = BAND) -> tuple[Drop, ...]:
    """The samples whose loss per token is above nearly all real rows' that the generator had not seen.

    `losses` are by row id. With n real rows a quantile above 1 - 1/n is their largest loss. None without real rows.
    """
    if not real:
        return ()
    limit = float(np.quantile(np.asarray(real), band, method="higher"))
    return tuple(Drop(name, f"{UNLIKELY}: {loss:.2f} nats") for name, loss in losses.items() if not loss <= limit)


def band_of(losses: Mapping[str, float], real: Sequence[float]) -> Callable[[Sequence[Example]], Sequence[Drop]]:
    """The step of a sieve that drops unlikely samples; rows without a loss, which others made, pass."""
    return lambda rows: unlikely({row.id: losses[row.id] for row in rows if row.id in losses}, real)


def _question(example: Example) -> str:
    return next(turn.content for turn in example.messages if turn.role == "user")


def _escaped(text: str) -> str:
    return "".join(ESCAPES.get(letter, letter) for letter in text.strip())


def _plain(text: str) -> str | None:
    """The text that was escaped; None when something else than an escape stands behind a backslash."""
    letters = {escape[1]: letter for letter, escape in ESCAPES.items()}
    if any(found.group(1) not in letters for found in ESCAPED.finditer(text)):
        return None
    return ESCAPED.sub(lambda found: letters[found.group(1)], text)
