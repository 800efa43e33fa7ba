"""How many of the surest answers may be trusted, so that few of those are wrong: fixed-sequence testing.

Learn then Test (Angelopoulos, Bates, Candes, Jordan and Lei 2021, arXiv 2110.01052): each place in the order of falling
confidence is a hypothesis "more than the target share of answers above it are wrong", tested one after the other.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

MOST_STARTS = 3
"""Places from which thresholds are tried, each at its share of delta. With one, a single wrong answer among the surest
ends it all: simulated with 240 rows and 5% of the answers wrong wherever, 10% of the cases are then answered, 27% with
two starts and 49% with four; where sure answers are always right, two cost 3% of the answered cases and four 15%."""


class Sure(NamedTuple):
    """An answer whose truth is known."""

    confidence: float
    is_wrong: bool


class _Start(NamedTuple):
    """Where one walk through the thresholds begins, and its level."""

    num_answered: int
    level: float


def num_trusted(answers: Sequence[Sure], target: float, delta: float) -> int:
    """How many of the answers, given the surest first, may be trusted; 0: none.

    Of the cases like them at least as sure, at most `target` are wrong, with probability 1 - delta. Each step tests the
    exact binomial tail of the wrong ones among the first k. Assumes independent answers, and that the share of wrong
    ones rises as confidence falls (elsewhere the bound is approximate).
    """
    assert all(one.confidence >= other.confidence for one, other in itertools.pairwise(answers)), "unsorted"
    return max((_walk(answers, start, target) for start in _starts(len(answers), target, delta)), default=0)


def fewest_rows(target: float, delta: float) -> int:
    """Answers without an error that refute "more than target are wrong" at this level: below, nothing is trusted."""
    return math.ceil(math.log(delta) / math.log(1.0 - target) - 1e-9)


def _starts(num_rows: int, target: float, delta: float) -> list[_Start]:
    """Up to three starts, in equal ratios from the fewest rows that can prove anything; none where all are too few.

    They depend on the number of rows alone, and share delta.
    """
    for count in range(MOST_STARTS, 0, -1):
        first = fewest_rows(target, delta / count)
        if first <= num_rows:
            steps = [round(first * (num_rows / first) ** (place / count)) for place in range(count)]
            return [_Start(step, delta / count) for step in steps]
    return []


def _walk(answers: Sequence[Sure], start: _Start, target: float) -> int:
    """Rows answered at the last threshold that passes, one after the other from the start; 0: not even the first.

    Rows of equal confidence are answered together or not at all, so the walk goes from one end of such rows to the
    next. Beginning within them it sees more of the least sure ones than there are, which errs on the safe side.
    """
    passed, wrong = 0, 0
    for place, row in enumerate(answers, start=1):
        wrong += row.is_wrong
        is_end = place == len(answers) or answers[place].confidence < row.confidence
        if place < start.num_answered or not is_end:
            continue
        if float(stats.binom.cdf(wrong, place, target)) > start.level:
            break
        passed = place
    return passed
