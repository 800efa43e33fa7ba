"""The score test of paired shares, with its interval, and its exact table for few rows."""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

from burnish.stats.groups import Floats

EXACT_ROWS = 400
"""Up to this many binary rows a loss is tested exactly (a second of work, once); the score test beyond errs up to 1.09
times its level at 600 rows, by enumeration at margins of 2, 5 and 10 points."""


def tango_z(wins: float | Floats, losses: float | Floats, n: float, gain: float) -> Floats:
    """Score statistic of "the true gain is `gain`", with the restricted maximum-likelihood loss rate (Tango 1998)."""
    wins, losses = np.asarray(wins, dtype=float), np.asarray(losses, dtype=float)
    b = -wins - losses + (2 * n - wins + losses) * gain
    lost = (np.sqrt(np.maximum(b * b + 8 * n * losses * gain * (1 - gain), 0.0)) - b) / (4 * n)
    variance = n * (2 * lost + gain * (1 - gain))
    shift = wins - losses - n * gain
    with np.errstate(divide="ignore", invalid="ignore"):
        z = shift / np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(np.where(np.abs(shift) < 1e-12, 0.0, np.where(variance > 1e-12, z, np.copysign(np.inf, shift))))


def tango_bounds(wins: float, losses: float, n: float, z: float) -> tuple[float, float]:
    """The gains at which the score statistic is z and -z (Tango 1998)."""
    seen, edge = (wins - losses) / n, 1 - 1e-9
    low = high = seen
    if seen > -edge:
        low = _root(lambda gain: float(tango_z(wins, losses, n, gain)) - z, -edge, seen)
    if seen < edge:
        high = _root(lambda gain: float(tango_z(wins, losses, n, gain)) + z, seen, edge)
    return low, high


def _root(function: object, low: float, high: float) -> float:
    return float(optimize.bisect(function, low, high, xtol=1e-9))


def no_loss_p(wins: float, losses: float, n: float, margin: float) -> float:
    """p-value against a loss of `margin` or more, exact up to EXACT_ROWS rows; broken counts are rounded against us."""
    if n > EXACT_ROWS:
        return float(stats.norm.sf(tango_z(wins, losses, n, -margin)))
    rows = math.floor(n + 1e-9)
    lost = min(rows, math.ceil(losses - 1e-9))
    return float(exact_table(rows, margin)[min(rows - lost, math.floor(wins + 1e-9)), lost])


@lru_cache(maxsize=16)
def exact_table(n: int, margin: float) -> Floats:
    """Exact p-value by [wins, losses]: the largest chance, over the loss rates at the margin, of a score as high."""
    wins, losses = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    kept = wins + losses <= n
    b, c = wins[kept].astype(float), losses[kept].astype(float)
    z = tango_z(b, c, n, -margin)
    order = np.argsort(-z, kind="stable")
    ways = special.gammaln(n + 1) - special.gammaln(b + 1) - special.gammaln(c + 1) - special.gammaln(n - b - c + 1)
    worst = np.zeros(len(b))
    for won in np.linspace(0.0, (1 - margin) / 2, 129):
        lost, tied = won + margin, 1 - 2 * won - margin
        chance = np.exp(
            ways + special.xlogy(b, won) + special.xlogy(c, lost) + special.xlogy(n - b - c, max(tied, 0.0))
        )
        worst = np.maximum(worst, np.cumsum(chance[order]))
    scores = z[order]
    last_of_tie = np.searchsorted(-scores, -scores + 1e-9, side="right") - 1
    table = np.ones((n + 1, n + 1))
    values = np.empty(len(b))
    values[order] = np.minimum(worst[last_of_tie], 1.0)
    table[kept] = values
    table.setflags(write=False)
    return table
