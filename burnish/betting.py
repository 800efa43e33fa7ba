"""Tests by betting: evidence about a mean that may be looked at after every outcome, and acted on at any of them.

Somebody who bets against a claim with fair odds does not get rich while the claim is true: a capital of 1 ever reaches
1/alpha with a probability of at most alpha (Ville 1939). The capital is the e-value. Nothing is assumed of the outcomes
but their bounds and that each has, given all before it, a mean on the claim's side; they need no common distribution.
Bets on means: Waudby-Smith, Ramdas (2023), arXiv:2010.09686; on two samples: Shekhar, Ramdas (2023), arXiv:2112.09162.
We mix fixed bets instead of adapting one: the mixture is in closed form and needs no prior guess.
"""

from collections.abc import Iterable, Sequence
from math import log
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BETS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Shares of the capital that are put on each outcome, side by side: the best one for a mean difference of d is about
d divided by its variance, so these fit differences from 1 to 50 points."""
STEP = 0.005
"""Between the means that an interval tries."""


How = Literal["said", "compared", "equal"]
"""How an outcome came: its user said it, both versions' answers were compared, or these were the same."""


class Outcome(NamedTuple):
    """What came of one conversation."""

    is_challenger: bool
    """Whether the challenger answered it."""
    value: float
    """0 (bad) to 1 (good); where both versions' answers were compared challenger minus champion, -1 to 1."""
    how: How = "said"


class Interval(NamedTuple):
    """A mean of n differences, and the bounds that hold at every look together; None where there is nothing yet."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def log_wealth(gains: Sequence[float] | Floats, *, scale: float = 1.0) -> Floats:
    """Log capital against "the mean gain is not above 0", before and after each gain: n + 1 values, the first one 0.

    Gains lie in [-scale, scale], and capital(n) = mean over BETS of prod (1 + bet gain / scale).
    """
    parts = np.asarray(gains, dtype=np.float64) / scale
    assert parts.size == 0 or np.abs(parts).max() <= 1.0, "gains beyond their bounds make no fair bet"
    logs = np.zeros((len(BETS), parts.size + 1))
    np.cumsum(np.log1p(np.outer(BETS, parts)), axis=1, out=logs[:, 1:])
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - log(len(BETS)))


def staged_wealth(gains: Sequence[float] | Floats, starts: Sequence[int], num_stages: int) -> Floats:
    """Log capital of `num_stages` equal parts, of which part k stays idle until starts[k] gains are in; n + 1 values.

    A mean of e-processes is one, so 1/alpha bounds all stages together, and a change at a late stage is seen as quickly
    as one at the first: its part has not lost its capital to better days. A part whose stage never came stays idle.
    """
    values = np.asarray(gains, dtype=np.float64)
    parts = np.zeros((num_stages, values.size + 1))
    for stage, start in enumerate(starts[:num_stages]):
        parts[stage, start:] = log_wealth(values[start:])
    return np.asarray(np.logaddexp.reduce(parts, axis=0) - log(num_stages))


def differences(outcomes: Iterable[Outcome]) -> list[float]:
    """Challenger minus champion, in [-1, 1], from outcomes of two arms in the order in which they came.

    A difference is made whenever both arms have outcomes that are in none: the mean of the ones minus the mean of the
    others. Its mean is the true difference where chance draws a conversation's arm: when one is made follows from the
    arms alone, never from a value. A small share thus meets the mean of many, with half the variance of one.

    Comparisons are differences already, and wait by themselves: half of one comes from conversations of either arm, so
    that equal versions have a mean of 0 also where those are compared of which users said nothing. Equal answers are
    known at once and others when somebody has compared them, so each sort waits for its own.
    """
    waiting: dict[How, tuple[list[float], list[float]]] = {how: ([], []) for how in get_args(How)}
    found = []
    for outcome in outcomes:
        champion, challenger = waiting[outcome.how]
        (challenger if outcome.is_challenger else champion).append(outcome.value)
        if champion and challenger:
            ours, theirs = sum(challenger) / len(challenger), sum(champion) / len(champion)
            found.append(ours - theirs if outcome.how == "said" else (ours + theirs) / 2)
            waiting[outcome.how] = ([], [])
    return found


def mean_interval(gains: Sequence[float], alpha: float) -> Interval:
    """The mean of gains in [-1, 1], and the bounds of the means that no bettor has disproved.

    They hold at level 1 - alpha at all looks at once, in steps of STEP, rounded outwards; each side has half of alpha.
    """
    values = np.asarray(gains, dtype=np.float64)
    if not values.size:
        return Interval(None, None, None, 0)
    low = _last_disproved(values, log(2 / alpha))
    high = -_last_disproved(-values, log(2 / alpha))
    return Interval(float(values.mean()), round(low, 4), round(high, 4), values.size)


def _last_disproved(values: Floats, limit: float) -> float:
    """The highest mean, on a grid of STEP, that the capital against "not above it" has disproved; -1 where none is.

    The capital falls as the mean that is claimed rises, as each gain relative to its bound, (x - m) / (1 + |m|), does.
    """
    held, gone = round(2 / STEP), 0
    while held - gone > 1:
        middle = (held + gone) // 2
        mean = middle * STEP - 1
        if _capital(values - mean, 1 + abs(mean)) >= limit:
            gone = middle
        else:
            held = middle
    return gone * STEP - 1


def _capital(gains: Floats, scale: float) -> float:
    """The last log capital alone."""
    logs = np.log1p(np.outer(BETS, gains / scale)).sum(axis=1)
    return float(np.logaddexp.reduce(logs) - log(len(BETS)))
