"""Beliefs about a gain: posteriors of a paired difference, and those of many slices pulled toward each other."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from burnish.stats.groups import cluster_t, is_binary
from burnish.stats.pairs import effective_counts


class Belief(NamedTuple):
    """A posterior for a gain, summarised by its mean and standard deviation."""

    mean: float
    sd: float


def belief_of_gain(differences: Sequence[float], groups: Sequence[str] | None = None) -> Belief:
    """Posterior mean and sd of the mean difference, Dirichlet(1/2) on the four cells of the paired table, closed form.

    For differences in [-1, 1] other than -1, 0, 1 it is too wide. With groups, at the effective number of rows.
    """
    wins, losses, rows = effective_counts(np.asarray(differences, dtype=float), groups)
    gained, lost = (wins + 0.5) / (rows + 2), (losses + 0.5) / (rows + 2)
    mean = gained - lost
    return Belief(mean, math.sqrt((gained + lost - mean**2) / (rows + 3)))


def posterior_gain(
    differences: Sequence[float],
    threshold: float = 0.0,
    groups: Sequence[str] | None = None,
    *,
    draws: int = 20_000,
    seed: int = 0,
) -> float:
    """P(mean difference > threshold) by seeded draws from Dirichlet(1/2) on the four cells of the paired table.

    The prior weighs two rows, so it is usable at any n (Bowyer et al. 2025, arXiv 2503.01747). Differences other than
    -1, 0, 1 use Student's t around the group-robust mean instead. With groups, at the effective number of rows.
    """
    d = np.asarray(differences, dtype=float)
    if not len(d):
        return 0.5
    test = cluster_t(d, groups)
    if not is_binary(d) and test.se > 0:
        return float(stats.t.sf((threshold - test.mean) / test.se, test.df))
    wins, losses, rows = effective_counts(d, groups)
    cells = np.random.default_rng(seed).dirichlet([wins + 0.5, losses + 0.5, max(rows - wins - losses, 0) + 1.0], draws)
    return float((cells[:, 0] - cells[:, 1] > threshold).mean())


def shrink_gains(beliefs: Sequence[Belief]) -> tuple[Belief, ...]:
    """Beliefs about the gains of slices pulled toward their common mean by what their spread does not explain.

    Normal-normal empirical Bayes with the moment estimate of the spread between slices (DerSimonian and Laird 1986).
    Overlapping slices are treated as independent, which pulls a little too much.
    """
    if len(beliefs) < 3:
        return tuple(beliefs)
    mean = np.array([belief.mean for belief in beliefs])
    weight = 1.0 / np.maximum([belief.sd for belief in beliefs], 1e-6) ** 2
    centre = float((weight * mean).sum() / weight.sum())
    excess = float((weight * (mean - centre) ** 2).sum()) - (len(mean) - 1)
    spread = max(1e-6, excess / float(weight.sum() - (weight**2).sum() / weight.sum()))
    precision = weight + 1.0 / spread
    shrunk = (weight * mean + centre / spread) / precision
    return tuple(Belief(float(m), float(p**-0.5)) for m, p in zip(shrunk, precision, strict=True))
