"""Prediction-powered inference: means from a few labels of people and a judge's opinion on every row.

The judge is never believed. It only makes the interval narrower where it agrees with people, and what it gets wrong on
the labelled rows is taken out. Paired differences (after - before) suit it best: what the judge gets wrong about both
models alike cancels. Below 50 labels there is no answer, only a reason: people alone are then as good, and safer.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Labels = Sequence[float | None] | Floats
"""One value a row, None (or NaN) where nobody was asked."""

FEWEST_LABELS = 50
FEWEST_GROUPS = 20
"""Below these the interval is too short, see `assisted_mean`."""
FEWEST_IN_STRATUM = 20
PADDING = 1.0
"""Squared errors that are added to those seen, so that labels without a single error do not prove a certainty. By
simulation of 50 labels of 500 rows (benchmarks/ppi.py): without it a nominal 95% is 92 to 93% where 10% of the pairs
differ, 85 to 87% where 5% do and 61% where 2% do; with it 97% or more there, and 95 to 96% where 30% differ."""


class Assisted(NamedTuple):
    """A mean with its interval; None where the labels cannot carry one, and `why` says so."""

    value: float | None
    low: float | None
    high: float | None
    se: float | None
    """Standard error by the paper's formula; the interval is a little wider, see `PADDING`."""
    num_labels: int
    num_rows: int
    trust: float = 0.0
    """How far the judge was used, 0 (people alone) to 1; the mean over strata by their size."""
    why: str = ""
    """Starts with a stable word and a colon."""


# A mean ---------------------------------------------------------------------------------------------------------------


def assisted_mean(
    people: Labels,
    judge: Sequence[float] | Floats,
    groups: Sequence[str] | None = None,
    strata: Sequence[str] | None = None,
    alpha: float = 0.05,
) -> Assisted:
    """Mean over all rows of what people would say: PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453).

    mean(Y) + t (mean(f of other rows) - mean(f of labelled rows)), with the trust t that makes it narrowest, cov(Y, f)
    / ((1 + n / N) var(f)), kept within 0 and 1. `strata` (slices) each have their own t and count by their size (Fisch
    et al. 2024, arXiv 2406.04291), so labels may be unevenly spread over them. `groups` are summed before they are
    squared (cluster-robust), which averages inside groups yet keeps the mean over rows, and a group may be labelled in
    part. The t quantile has as many degrees of freedom as labelled groups less strata.

    Assumes that the labelled rows of each stratum are drawn evenly at random, and values in [-1, 1].
    """
    y, f, asked = _rows(people, judge)
    n, rows = int(asked.sum()), len(y)
    names, stratum = _places(strata, rows)
    _, group = _places(groups, rows) if groups is not None else (None, np.arange(rows))
    num_groups = len(np.unique(group[asked]))
    why = _refusal(n, num_groups) or _thin_stratum(names, stratum, asked)
    if why:
        return Assisted(None, None, None, None, n, rows, why=why)
    value, trust = 0.0, 0.0
    influence = np.zeros(rows)
    for place in range(len(names)):
        inside = stratum == place
        share = float(inside.mean())
        part = _stratum_mean(y[inside], f[inside], group[inside])
        value, trust = value + share * part.value, trust + share * part.trust
        influence[inside] = share * part.influence
    se = math.sqrt(float((np.bincount(group, weights=influence) ** 2).sum()))
    return _interval(value, se, num_groups, num_groups - len(names), n, rows, trust, alpha)


class _Part(NamedTuple):
    """The mean of one stratum, and how much each of its rows moved it."""

    value: float
    trust: float
    influence: Floats


def _stratum_mean(y: Floats, f: Floats, group: NDArray[np.intp]) -> _Part:
    asked = ~np.isnan(y)
    n, others = int(asked.sum()), int((~asked).sum())
    t = _trust(y[asked], f[asked], f[~asked])
    errors = y[asked] - t * f[asked]
    influence = np.zeros(len(y))
    influence[asked] = _scaled(errors, group[asked]) / n
    value = float(errors.mean())
    if others:
        value += t * float(f[~asked].mean())
        influence[~asked] = t * _scaled(f[~asked], group[~asked]) / others
    return _Part(value, t, influence)


def _trust(y: Floats, f: Floats, f_others: Floats) -> float:
    """The weight of the judge that makes the variance smallest, 0 to 1."""
    spread = float(np.concatenate([f, f_others]).var(ddof=1))
    if spread < 1e-12 or not len(f_others):
        return 0.0
    return min(1.0, max(0.0, float(np.cov(y, f)[0, 1]) / ((1 + len(y) / len(f_others)) * spread)))


def _scaled(values: Floats, group: NDArray[np.intp]) -> Floats:
    """Deviations from the mean, stretched for the degree of freedom that the mean took."""
    count = len(np.unique(group))
    stretch = math.sqrt(count / (count - 1)) if count > 1 else 1.0
    return np.asarray((values - values.mean()) * stretch)


# Rows drawn with known probabilities ----------------------------------------------------------------------------------


def active_mean(
    people: Labels,
    judge: Sequence[float] | Floats,
    probabilities: Sequence[float] | Floats,
    groups: Sequence[str] | None = None,
    alpha: float = 0.05,
) -> Assisted:
    """Mean over all rows from rows asked for with known probabilities: mean of f + (Y - f) asked / p.

    Active statistical inference (Zrnic and Candes 2024, arXiv 2403.03208); unbiased for any probabilities above 0, each
    row drawn on its own. A row that was asked for and skipped is not one that nobody was asked about: leaving it None
    biases the mean, so ask someone else.
    """
    y, f, asked = _rows(people, judge)
    p = np.asarray(probabilities, dtype=float)
    assert len(p) == len(y), f"{len(y)} rows but {len(p)} probabilities"
    assert ((p > 0) & (p <= 1)).all(), "each row has a probability above 0 and up to 1"
    _, group = _places(groups, len(y)) if groups is not None else (None, np.arange(len(y)))
    n, num_groups = int(asked.sum()), len(np.unique(group[asked]))
    if why := _refusal(n, num_groups):
        return Assisted(None, None, None, None, n, len(y), why=why)
    terms = f + np.where(asked, (np.nan_to_num(y) - f) / p, 0.0)
    se = math.sqrt(float((np.bincount(group, weights=_scaled(terms, group)) ** 2).sum())) / len(y)
    return _interval(float(terms.mean()), se, num_groups, num_groups - 1, n, len(y), 1.0, alpha)


# Inside ---------------------------------------------------------------------------------------------------------------


def _rows(people: Labels, judge: Sequence[float] | Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    y, f = np.asarray(people, dtype=float), np.asarray(judge, dtype=float)
    assert len(y) == len(f), f"{len(y)} rows for people but {len(f)} for the judge"
    assert np.isfinite(f).all(), "the judge has to score every row"
    return y, f, ~np.isnan(y)


def _places(names: Sequence[str] | None, rows: int) -> tuple[list[str], NDArray[np.intp]]:
    if names is None:
        return ["all"], np.zeros(rows, dtype=np.intp)
    assert len(names) == rows, f"{rows} rows but {len(names)} names"
    kinds, place = np.unique(np.asarray(names), return_inverse=True)
    return [str(kind) for kind in kinds], place


def _refusal(labels: int, groups: int) -> str:
    if labels < FEWEST_LABELS:
        return f"few-labels: {labels} rows have a label of people; {FEWEST_LABELS} are needed"
    if groups < FEWEST_GROUPS:
        return f"few-groups: the labelled rows come from {groups} groups; {FEWEST_GROUPS} are needed"
    return ""


def _thin_stratum(names: Sequence[str], stratum: NDArray[np.intp], asked: NDArray[np.bool_]) -> str:
    counts = np.bincount(stratum[asked], minlength=len(names))
    thinnest = int(counts.argmin())
    if len(names) == 1 or counts[thinnest] >= FEWEST_IN_STRATUM:
        return ""
    return f"thin-slice: {names[thinnest]} has {counts[thinnest]} labels; {FEWEST_IN_STRATUM} are needed in each"


def _interval(
    value: float, se: float, groups: int, df: int, labels: int, rows: int, trust: float, alpha: float
) -> Assisted:
    half = float(stats.t.isf(alpha / 2, df)) * math.sqrt(se**2 + PADDING / groups**2)
    return Assisted(value, max(-1.0, value - half), min(1.0, value + half), se, labels, rows, trust)
