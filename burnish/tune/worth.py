"""What a batch is worth on one set of rows: the mean paired difference over several seeds, and how sure it is.

Two things vary: which rows were asked, and how each training came out. Rows are seen in plenty; trainings are two or
three a batch, so their variance is pooled over all batches of an analysis, which assumes that it is alike for all.
Shapes: S seeds, N rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from burnish.records import Interval
from burnish.stats.beliefs import belief_of_gain
from burnish.stats.groups import cluster_t
from burnish.stats.pairs import paired_interval, paired_p

ALPHA = 0.05
Floats = NDArray[np.float64]


class Luck(NamedTuple):
    """Variance of one training's mean difference from seed to seed, pooled over batches."""

    variance: float
    df: int
    """Batches times (seeds - 1); 0: one seed, so luck was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Differences of a batch on the same rows for each seed: with all rows minus without the batch."""

    d_SN: Floats
    groups: tuple[str, ...]

    @property
    def means_S(self) -> Floats:
        """Mean difference of each seed."""
        return np.asarray(self.d_SN.mean(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """The gain that a batch brings, in score units, 0-1."""

    gain: Interval
    p_value: float | None
    """Two-sided, unadjusted; None without information."""
    p_harmful: float | None
    """Posterior probability that removal improves the score."""
    num_changed: int
    """Rows whose score differs, on average over the seeds."""


def pooled_luck(batches: Sequence[Paired]) -> Luck:
    """How much a training's mean difference varies with its seed, over all batches of an analysis."""
    squares = sum(float(((one.means_S - one.means_S.mean()) ** 2).sum()) for one in batches)
    df = sum(len(one.d_SN) - 1 for one in batches)
    return Luck(squares / df if df else 0.0, df)


def worth_of(batch: Paired, luck: Luck) -> Worth:
    """Gain, interval, p-value and posterior of one batch.

    Variance: of rows, group-robust, plus that of seeds less what the two share (two-way clustering; Cameron, Gelbach
    and Miller 2011), never below that of rows. Interval: those of rows and of seeds combined (MOVER; Zou and Donner
    2008). Posterior: Dirichlet(1/2) on the paired table of rows, as `belief_of_gain`, widened by the seeds' part as a t
    with the degrees of freedom that they leave (Satterthwaite 1946). It knows nothing of other batches: of those that
    do nothing about one in ten passes 0.9. With few batches and seeds the seeds' part is rough; with one seed it is
    left out, and then all is too sure.
    """
    d_N = np.asarray(batch.d_SN.mean(axis=0))
    num_changed = int((d_N != 0).sum())
    if not len(d_N):
        return Worth(gain=Interval(value=None, low=None, high=None, n=0), p_value=None, p_harmful=None, num_changed=0)
    extra = _seed_part(batch, luck)
    belief = belief_of_gain(list(d_N), batch.groups)
    total = belief.sd**2 + extra
    freedom = total**2 / extra**2 * luck.df if extra else math.inf
    return Worth(
        gain=_interval(d_N, batch.groups, extra, luck.df),
        p_value=_p_value(d_N, batch.groups, extra, luck.df) if num_changed else None,
        p_harmful=float(distributions.t.cdf(-belief.mean / math.sqrt(total), freedom)),
        num_changed=num_changed,
    )


def _seed_part(batch: Paired, luck: Luck) -> float:
    """Variance of the mean that seeds add to that of rows, at least 0."""
    seeds = len(batch.d_SN)
    if seeds < 2:
        return 0.0
    return max(0.0, luck.variance / seeds - _shared(batch))


def _shared(batch: Paired) -> float:
    """Variance of the mean from what belongs to one group of rows in one seed: it is in both of the others."""
    residual_SN = batch.d_SN - batch.d_SN.mean()
    _, place = np.unique(np.asarray(batch.groups), return_inverse=True)
    cells = [np.bincount(place, weights=residual_N) for residual_N in residual_SN]
    squares = float((np.concatenate(cells) ** 2).sum())
    count = sum(map(len, cells))
    return squares / batch.d_SN.size**2 * count / max(1, count - 1)


def _interval(d_N: Floats, groups: Sequence[str], extra: float, df: int) -> Interval:
    rows = paired_interval(list(d_N), groups, ALPHA)
    if rows.value is None or rows.low is None or rows.high is None or not extra:
        return Interval(**rows._asdict())
    seeds = float(distributions.t.isf(ALPHA / 2, df)) * math.sqrt(extra)
    return Interval(
        value=rows.value,
        low=max(-1.0, rows.value - math.hypot(rows.value - rows.low, seeds)),
        high=min(1.0, rows.value + math.hypot(rows.high - rows.value, seeds)),
        n=rows.n,
    )


def _p_value(d_N: Floats, groups: Sequence[str], extra: float, df: int) -> float | None:
    """The larger of the test on rows alone and t with both variances (degrees of freedom: Satterthwaite 1946)."""
    by_rows = paired_p(list(d_N), groups, two_sided=True)
    if by_rows is None or not extra:
        return by_rows
    test = cluster_t(list(d_N), groups)
    total = test.se**2 + extra
    freedom = total**2 / (test.se**4 / max(1, test.df) + extra**2 / df)
    return max(by_rows, float(2 * distributions.t.sf(abs(test.mean) / math.sqrt(total), freedom)))
