"""A value with its interval: a share of rows, or a mean score in [0, 1]."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from burnish.stats.groups import cluster_t, design_effect, is_binary, is_flat


class Estimate(NamedTuple):
    """A value with its interval over n rows; low and high are None where n cannot support an interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def wilson(successes: float, n: float, alpha: float = 0.05, *, df: int | None = None) -> Estimate:
    """Score interval of a share of independent rows (Wilson 1927): near-nominal on average down to n of about 10.

    It dips below nominal for single shares near 0 or 1; use `clopper_pearson` where the bound must hold always.
    With `df` the t quantile replaces the normal one (few groups; Franco, Little, Louis and Slud 2019).
    """
    if n <= 0:
        return Estimate(None, None, None, 0)
    z = float(stats.t.isf(alpha / 2, df)) if df else float(stats.norm.isf(alpha / 2))
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, middle - half)
    high = 1.0 if successes >= n else min(1.0, middle + half)
    return Estimate(share, low, high, math.ceil(n))


def clopper_pearson(successes: int, n: int, alpha: float = 0.05) -> Estimate:
    """Exact interval of a share of independent rows (Clopper and Pearson 1934): covers at least 1 - alpha, always."""
    if n <= 0:
        return Estimate(None, None, None, 0)
    low = float(stats.beta.ppf(alpha / 2, successes, n - successes + 1)) if successes else 0.0
    high = float(stats.beta.isf(alpha / 2, successes + 1, n - successes)) if successes < n else 1.0
    return Estimate(successes / n, low, high, n)


def mean_interval(values: Sequence[float], groups: Sequence[str] | None = None, alpha: float = 0.05) -> Estimate:
    """Interval of a mean score in [0, 1]; `groups` names the group of each row, None makes each row its own.

    Scores of 0 and 1: Wilson, with groups at the effective number of rows n / design effect (Franco et al. 2019), since
    a normal interval is too short for small n (Bowyer et al. 2025, arXiv 2503.01747). Other scores: group-robust t
    (Miller 2024, arXiv 2411.00640). Equal scores: Wilson again, as no score in [0, 1] varies more than a coin.
    """
    scores = np.asarray(values, dtype=float)
    if not len(scores):
        return Estimate(None, None, None, 0)
    test = cluster_t(scores, groups)
    mean, n = float(scores.mean()), len(scores)
    if test.p_greater is None and n > 1:
        return Estimate(mean, None, None, n)
    if is_binary(scores) or test.se == 0.0:
        effective = n / design_effect(scores, groups)
        bounds = wilson(mean * effective, effective, alpha, df=None if is_flat(groups) else test.df)
        return Estimate(mean, bounds.low, bounds.high, n)
    half = float(stats.t.isf(alpha / 2, test.df)) * test.se
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), n)
