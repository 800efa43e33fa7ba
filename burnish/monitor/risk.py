"""Risk drift: a confidence sequence for the rate of wrong answers, which may be looked at after every label."""

import math
from collections.abc import Sequence

import numpy as np

from burnish.monitor.permutation import Floats
from burnish.stats import Estimate

GRID = 1001
BOLDEST = 0.75
"""Largest share of the wealth that a bet may lose; 1/2 to 3/4 in the paper."""


def risk_interval(values: Sequence[float], alpha: float = 0.05) -> Estimate:
    """Interval of a mean in [0, 1] that holds at every number of values at once, with chance 1 - alpha.

    Hedged capital of Waudby-Smith and Ramdas 2023, arXiv 2010.09686, with its predictable plug-in bets. Assumes a
    constant mean given the past: a rate that drifts is averaged over time. None without values.
    """
    x_N = np.asarray(values, dtype=float)
    if not len(x_N):
        return Estimate(None, None, None, 0)
    mean_G = np.linspace(0.0, 1.0, GRID)
    bet_N = plug_in_bets(x_N, alpha / 2)
    up = _log_capital(x_N, mean_G, bet_N, sign=1.0)
    down = _log_capital(x_N, mean_G, bet_N, sign=-1.0)
    kept = mean_G[np.maximum(up, down) - math.log(2.0) < math.log(1.0 / alpha)]
    mean = float(x_N.mean())
    step = 1.0 / (GRID - 1)
    low, high = (kept[0] - step, kept[-1] + step) if len(kept) else (mean, mean)
    return Estimate(mean, max(0.0, float(low)), min(1.0, float(high)), len(x_N))


def plug_in_bets(x_N: Floats, alpha: float) -> Floats:
    """Bet on each value from those before it: sqrt(2 log(1 / alpha) / (variance t log(1 + t)))."""
    t_N = np.arange(1, len(x_N) + 1)
    mean_N = (0.5 + np.cumsum(x_N)) / (t_N + 1)
    variance_N = (0.25 + np.cumsum((x_N - mean_N) ** 2)) / (t_N + 1)
    before_N = np.concatenate([[0.25], variance_N[:-1]])
    return np.asarray(np.sqrt(2 * math.log(1 / alpha) / (before_N * t_N * np.log1p(t_N))))


def evidence_above(values: Sequence[float], bound: float) -> float:
    """e-value against "the mean is at most `bound`", the highest along the way; at 1 / a or more with chance a at most.

    Each bet is the one that would have grown fastest on the values before (GRAPA, approximated, section B.2 of the
    paper), at most 3/4 of the wealth. Valid at any stopping time (Ville's inequality).
    """
    assert 0.0 < bound < 1.0, f"a bound of {bound} cannot be tested"
    log_wealth, highest = 0.0, 0.0
    total, squares = 0.5, 0.5
    for count, value in enumerate(values, start=1):
        mean = total / count
        variance = max(squares / count - mean * mean, 0.0)
        lead = max(mean - bound, 0.0)
        wager = min(lead / (variance + lead * lead), BOLDEST / bound) if lead > 0 else 0.0
        log_wealth += math.log1p(wager * (value - bound))
        highest = max(highest, log_wealth)
        total, squares = total + value, squares + value * value
    return math.exp(min(highest, 600.0))


def _log_capital(x_N: Floats, mean_G: Floats, bet_N: Floats, sign: float) -> Floats:
    """Log of the final capital of a gambler who bets on (or against) the mean being above each of the grid."""
    room_G = np.maximum(mean_G if sign > 0 else 1.0 - mean_G, 1e-9)
    total_G = np.zeros(len(mean_G))
    for value, bet in zip(x_N, bet_N, strict=True):
        total_G += np.log1p(sign * np.minimum(bet, BOLDEST / room_G) * (value - mean_G))
    return total_G
