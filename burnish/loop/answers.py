"""The answers of champion and challenger to the rows of dev_a, kept beside a round so that people can judge them.

They are written before the gate is asked. Rows are judged in one random order that is the same for every round, and
people's scores count as far as that order has no gap: whatever part of it is done is a random sample.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from burnish.fingerprint import fingerprint
from burnish.loop.past import round_folder
from burnish.loop.project import Project
from burnish.loop.rubric import Piece, Question, piece_of, plain
from burnish.loop.seeds import Seeds
from burnish.records import Evaluation, Example, as_json, from_json
from burnish.store.files import write_atomic

ANSWERS_FILE = "answers.json"
LOOKED_AT = ("dev_a", "train")
"""Roles of rows that people may see; after a promotion what was dev_a trains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPair:
    """What both models said to one row."""

    example: str
    before: str
    after: str

    @property
    def is_same(self) -> bool:
        """Both said the same, spaces aside: nobody has to judge the difference."""
        return plain(self.before) == plain(self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Both models on all rows, and the judges that scored them."""

    champion: str
    challenger: str
    rows: tuple[AnswerPair, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version of the judge by question; empty before it was asked, or without one."""


def answers_of(before: Evaluation, after: Evaluation) -> Answers:
    """The answers to the rows that both models were asked."""
    said = {row.example: row for row in after.rows if row.stop_reason != "error"}
    rows = tuple(
        AnswerPair(example=row.example, before=row.output, after=said[row.example].output)
        for row in before.rows
        if row.stop_reason != "error" and row.example in said
    )
    return Answers(champion=before.model, challenger=after.model, rows=rows)


def save_answers(project: Project, number: int, answers: Answers) -> None:
    """Writes the answers of a round; the same again changes nothing."""
    folder = round_folder(project, number)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / ANSWERS_FILE, json.dumps(as_json(answers), indent=1, ensure_ascii=False).encode())


def load_answers(path: Path) -> Answers:
    """What `save_answers` wrote."""
    return from_json(Answers, json.loads(path.read_text(encoding="utf-8")))


def last_answers(project: Project, *, before: int | None = None) -> tuple[int, Answers] | None:
    """Number and answers of the latest round, or of the latest one before another; None where there are none."""
    paths = sorted(project.rounds_folder.glob(f"[0-9]*/{ANSWERS_FILE}"), key=lambda path: int(path.parent.name))
    known = [path for path in paths if before is None or int(path.parent.name) < before]
    return (int(known[-1].parent.name), load_answers(known[-1])) if known else None


def visible(answers: Answers, seeds: Seeds) -> tuple[Answers, dict[str, Example]]:
    """The answers to rows that are there still and may be looked at, and those rows by id."""
    rows = {row.id: row for role in LOOKED_AT for row in seeds.of(role)}
    return replace(answers, rows=tuple(pair for pair in answers.rows if pair.example in rows)), rows


def in_order(rows: Sequence[AnswerPair], seed: int) -> list[AnswerPair]:
    """The rows in the order in which they are judged: by a hash, so that neither models nor rounds change it."""
    return sorted(rows, key=lambda pair: fingerprint([seed, "judged", pair.example]))


def pieces_of(pair: AnswerPair, row: Example) -> tuple[Piece, Piece]:
    """Both answers as they are judged, the champion's first; a judge never gets them in this order."""
    return (piece_of(row.prompt, pair.before, row.answer), piece_of(row.prompt, pair.after, row.answer))


def differences(
    answers: Answers, rows: Mapping[str, Example], question: Question, shares: Mapping[str, float], seed: int
) -> dict[str, float]:
    """People's score of the challenger's answer less that of the champion's, by example, up to the first gap.

    `shares` holds people's scores by the key of an answer. Two answers that are the same differ by 0, and an empty one
    has the score that the question gives it.
    """
    found: dict[str, float] = {}
    for pair in in_order(answers.rows, seed):
        known = [_score(piece, question, shares) for piece in pieces_of(pair, rows[pair.example])]
        told = [score for score in known if score is not None]
        if not pair.is_same and len(told) < len(known):
            break
        found[pair.example] = 0.0 if pair.is_same else told[1] - told[0]
    return found


def _score(piece: Piece, question: Question, shares: Mapping[str, float]) -> float | None:
    return shares.get(piece.key) if piece.answer.strip() else float(question.if_empty)
