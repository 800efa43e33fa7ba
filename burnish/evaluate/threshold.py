"""The confidence above which a model may answer by itself: set on one set of rows so that few of its answers are wrong.

Learn then Test (Angelopoulos, Bates, Candes, Jordan and Lei 2021, arXiv 2110.01052): each confidence is a hypothesis
"more than the target share of answers above it are wrong", and the lowest one that is refuted is the threshold.
"""

import math
from dataclasses import dataclass

from burnish.fingerprint import fingerprint
from burnish.records import Evaluation, RowResult
from burnish.selective import Sure, fewest_rows, num_trusted

TARGET = 0.10
"""Share of wrong answers among those that a model gives by itself, at most."""
DELTA = 0.05
"""Chance that the threshold lets through more than the target."""
RIGHT_FROM = {"token_f1": 0.5}
"""Score from which an answer counts as right, by metric; all others: 1, every part of it right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The confidence above which a model answers by itself, and what it was set on."""

    value: float | None
    """Probability of the answer that has to be exceeded, 0 to 1; None: everything is handed off, see `why`."""
    target: float
    delta: float
    num_rows: int
    """Rows it was set on, one of each group."""
    num_answered: int
    """Of these, the rows above the threshold, and the wrong ones among them."""
    num_wrong: int
    why: str = ""
    """Why there is none; starts with a stable word and a colon."""


def confidence(row: RowResult) -> float | None:
    """Probability that the model gives to its whole answer, the end of the turn included; None where it gave none.

    It is not taken relative to the other labels, whose sums an evaluation does not keep: a tuned model leaves almost
    nothing to other texts, and a threshold needs no more than the order of rows.
    """
    return None if row.logprob is None else math.exp(min(0.0, row.logprob))


def is_right(row: RowResult, metric: str) -> bool | None:
    """Whether a person could let the answer pass, see `RIGHT_FROM`; None where it has no score."""
    return None if row.score is None else row.score >= RIGHT_FROM.get(metric, 1.0)


def calibrate(evaluation: Evaluation, *, target: float = TARGET, delta: float = DELTA) -> Threshold:
    """The lowest threshold above which at most `target` of the answers are wrong, with probability 1 - delta.

    Fixed-sequence testing with up to three starts: rows in falling confidence, k of them answered, k growing; each
    "error above X(k+1) is more than target" is tested by the exact binomial tail of the wrong ones among the first k,
    which are independent draws from above X(k+1) whatever that is. So no grid has to be chosen, and k itself
    is the sequence. One row of each group is used, by a hash of its id, as rows of a group are alike.

    Assumes that cases to come are like these rows, that the share of wrong answers above a threshold rises as the
    threshold falls (elsewhere the bound is approximate), and that these rows did not choose the model: a choice of the
    best of a few by the same rows makes the errors look a little fewer than they are.
    """
    judged = _judged(evaluation)
    needed = fewest_rows(target, delta)
    if len(judged) < needed:
        why = f"too-few: {len(judged)} independent rows with a score; {needed} without an error are the least"
        return _nothing(len(judged), target, delta, why)
    best = num_trusted(judged, target, delta)
    if not best:
        why = f"not-proven: at no confidence is it shown that at most {100 * target:g}% of the answers are wrong"
        return _nothing(len(judged), target, delta, why)
    return Threshold(
        value=judged[best].confidence if best < len(judged) else 0.0,
        target=target,
        delta=delta,
        num_rows=len(judged),
        num_answered=best,
        num_wrong=sum(row.is_wrong for row in judged[:best]),
    )


def _nothing(num_rows: int, target: float, delta: float, why: str) -> Threshold:
    return Threshold(value=None, target=target, delta=delta, num_rows=num_rows, num_answered=0, num_wrong=0, why=why)


def _judged(evaluation: Evaluation) -> list[Sure]:
    """One scored answer of each group, the surest first."""
    kept: dict[str, tuple[str, Sure]] = {}
    for row in evaluation.rows:
        sure, right = confidence(row), is_right(row, evaluation.metric)
        if sure is None or right is None:
            continue
        group, order = row.group or row.example, fingerprint(row.example)
        if group not in kept or order < kept[group][0]:
            kept[group] = (order, Sure(sure, not right))
    return sorted((judged for _, judged in kept.values()), key=lambda judged: (-judged.confidence, judged.is_wrong))
