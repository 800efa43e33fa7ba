"""What people said of answers, beside what the judge says of the same ones: the sample that admits a judge, or not.

Reviewers see neither the judge's verdict nor which model wrote an answer. Hidden checks are left out: they are wrong on
purpose, and easier than what models get wrong.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np
from scipy import stats

from burnish.evaluate.groundedness import not_grounded
from burnish.loop.rubric import QUESTIONS, SUPPORTED, UNKNOWN, Piece, Question, Verdicts, piece_of
from burnish.loop.seeds import Seeds
from burnish.records import Example, Interval
from burnish.review.admission import Admission, admit, objection
from burnish.review.agreement import Rating
from burnish.review.decisions import Outcome

NOT_SAID = "none"
"""Rating of a judge whose reply was of no use: it agrees with nobody."""
FEWEST_ANSWERS = 20
"""Answers below which nothing is said of a judge's liking for long ones."""
VERDICT_OF = {"accept": True, "edit": False, "reject": False}
"""What a decision on a draft says of it; out-of-scope, gold-wrong and skip say nothing of the draft alone."""


class PeoplesVerdict(NamedTuple):
    """What one reviewer said to one question about one answer."""

    piece: Piece
    example: str
    reviewer: str
    is_yes: bool
    seq: int
    """Its place in the log."""


def questions_of(seeds: Seeds) -> tuple[Question, ...]:
    """The questions that a task has: support is asked about only where expected answers come from their prompts."""
    why = not_grounded(seeds.task, seeds.of("dev_a"))
    return tuple(one for one in QUESTIONS if one is not SUPPORTED or not why)


def peoples_verdicts(found: Sequence[Outcome]) -> dict[Question, list[PeoplesVerdict]]:
    """What people said of answers, by the question they were asked, in the order in which they said it."""
    told: dict[Question, list[PeoplesVerdict]] = {question: [] for question in QUESTIONS}
    for one in found:
        item = one.item
        if item.queue != "correction" or item.is_check or not item.draft:
            continue
        piece = piece_of(item.messages, item.draft, item.given)
        told[question_of(item.purpose)] += [
            PeoplesVerdict(piece, item.example, made.reviewer, VERDICT_OF[made.kind], made.seq)
            for made in one.decisions
            if made.kind in VERDICT_OF and made.item == item.name
        ]
    return {question: sorted(said, key=lambda one: one.seq) for question, said in told.items()}


def question_of(purpose: str) -> Question:
    """What an item of this purpose asks about its draft."""
    return SUPPORTED if purpose == SUPPORTED.purpose else QUESTIONS[0]


def shares_of(told: Sequence[PeoplesVerdict]) -> dict[str, float]:
    """Share of reviewers who said yes, by the key of the answer; the last word of each."""
    held = {(one.piece.key, one.reviewer): one.is_yes for one in told}
    by_piece: dict[str, list[bool]] = defaultdict(list)
    for (key, _), is_yes in held.items():
        by_piece[key].append(is_yes)
    return {key: sum(said) / len(said) for key, said in by_piece.items()}


def admission_of(question: Question, told: Sequence[PeoplesVerdict], verdicts: Verdicts, seeds: Seeds) -> Admission:
    """The test of a judge against people on every answer that both have judged, and on each slice."""
    judge = {key: _word(question, said) for key, said in verdicts.said.items()}
    ratings = [Rating(one.piece.key, one.reviewer, _word(question, one.is_yes)) for one in told]
    return admit(verdicts.version, judge, ratings, _slices(told, seeds))


def objection_of(admission: Admission, told: Sequence[PeoplesVerdict], verdicts: Verdicts) -> str:
    """Why the judge may not score, beginning with a stable word and a colon; empty: it may."""
    if len(verdicts.models) > 1:
        names = ", ".join(verdicts.models)
        return f"mixed-judge: several models answered for it ({names}); give another judge.model, which is asked anew"
    return objection(admission, [verdicts.said.get(one.piece.key) is one.is_yes for one in told])


def refused_slices(admission: Admission) -> frozenset[str]:
    """Slices on which enough people judged to test a judge, and it failed; its scores there count for nothing."""
    return frozenset(
        name for name, one in admission.slices.items() if name != "all" and one.omega is not None and one.why
    )


def scores_of(
    pieces: Mapping[str, Piece], rows: Mapping[str, Example], verdicts: Verdicts, refused: Set[str]
) -> dict[str, float]:
    """The judge's score of each piece by example; a half, which says nothing, on slices where it was refused."""
    return {
        name: UNKNOWN
        if refused & {f"{column}={value}" for column, value in rows[name].slices.items()}
        else verdicts.score(piece.key)
        for name, piece in pieces.items()
    }


def length_bias(told: Sequence[PeoplesVerdict], verdicts: Verdicts) -> Interval:
    """Spearman's correlation of an answer's length with how much better the judge finds it than people do.

    Over 0: the judge likes long answers more than people do. The interval is Fisher's, with the variance of Bonett and
    Wright (2000). Empty where answers are few or all alike.
    """
    shares = shares_of(told)
    length = {one.piece.key: len(one.piece.answer) for one in told}
    keys = sorted(key for key in shares if verdicts.said.get(key) is not None)
    liked = [verdicts.score(key) - shares[key] for key in keys]
    sizes = [length[key] for key in keys]
    if len(keys) < FEWEST_ANSWERS or len(set(liked)) < 2 or len(set(sizes)) < 2:
        return Interval(value=None, low=None, high=None, n=len(keys))
    value = float(stats.spearmanr(sizes, liked).statistic)
    middle = float(np.arctanh(np.clip(value, -0.999999, 0.999999)))
    half = 1.96 * float(np.sqrt((1 + value**2 / 2) / (len(keys) - 3)))
    return Interval(value=value, low=float(np.tanh(middle - half)), high=float(np.tanh(middle + half)), n=len(keys))


def _word(question: Question, is_yes: bool | None) -> str:
    return NOT_SAID if is_yes is None else question.yes if is_yes else question.no


def _slices(told: Sequence[PeoplesVerdict], seeds: Seeds) -> Mapping[str, Sequence[str]]:
    """The slices of each answer's example."""
    by_id = {row.id: row.slices for rows in seeds.by_role.values() for row in rows}
    return {
        one.piece.key: [
            f"{column}={slices[column]}"
            for slices in [by_id.get(one.example, {})]
            for column in seeds.columns
            if column in slices
        ]
        for one in told
    }
