"""Output drift: length, refusals, unsupported statements and seconds of a window's answers against those of before."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from burnish.monitor.permutation import Bools, Floats, permutation_p
from burnish.monitor.two_sample import area

FEWEST = 20
"""Values on either side below which a quantity is not compared."""


class Shift(NamedTuple):
    """How one quantity of the answers has moved."""

    before: float
    """Its mean, or its median where it is no rate."""
    now: float
    effect: float
    """Difference of the rates; for other quantities how far the chance of being larger is from 1/2. 0 to 1."""
    p: float


def shift_of(
    before: Sequence[float], now: Sequence[float], level: float, random: np.random.Generator, *, is_rate: bool
) -> Shift | None:
    """Two-sided permutation test of the ranks (Wilcoxon 1945), or of the rates where values are 0 and 1.

    None with fewer than 20 values on either side. Assumes rows that are exchangeable: seconds of a busy hour are alike
    within the hour, so that for them only a large effect says something.
    """
    old_M, new_N = np.asarray(before, dtype=float), np.asarray(now, dtype=float)
    if min(len(old_M), len(new_N)) < FEWEST:
        return None
    rank_R = stats.rankdata(np.concatenate([old_M, new_N]))
    rank_R = rank_R - rank_R.mean()

    def unlike(is_member_DR: Bools) -> Floats:
        return np.asarray(np.abs(is_member_DR @ rank_R))

    p = permutation_p(unlike, len(rank_R), len(new_N), level, random)
    if is_rate:
        return Shift(float(old_M.mean()), float(new_N.mean()), float(abs(new_N.mean() - old_M.mean())), p)
    return Shift(float(np.median(old_M)), float(np.median(new_N)), abs(area(old_M, new_N) - 0.5), p)
