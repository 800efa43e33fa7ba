"""Is a slice worse than the rest? Exact tests for right and wrong, dealing out errors anew for all other scores.

Where rows share groups, whole groups are dealt: rows of one customer fail together, and counting them one by one would
find weaknesses that are one unlucky customer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from burnish.diagnose.rows import Bools, Floats, Ints

LEVEL = 0.05
"""One-sided level of all slices brought forward together, by Holm."""

MIN_ROWS = 5
"""Below five rows inside or outside of a slice nothing is tested, as in the comparison of two models."""

DEALS = 5000
"""Deals of a permutation test: the smallest p-value, 1/5001, times 16 candidates is still 0.003."""

CHUNK = 4_000_000
"""Numbers dealt at once, 32 MB."""


class Tested(NamedTuple):
    """The outcome of one test; without a p-value, why."""

    p_value: float | None
    why_missing: str = ""


def strengths(members_CN: Bools, error_N: Floats, group_N: Ints) -> Floats:
    """How many standard errors each slice's errors lie above their share of all errors, z [C]; 0 where it cannot say.

    Mean and variance are those of the deals of `worse_than_rest`, so the ranking is by what that test will see.
    """
    rest_N = error_N - error_N.mean()
    parts = _parts(members_CN, rest_N, group_N)
    between_C = parts.share_CG.var(axis=1) * len(parts.total_G) * (parts.total_G**2).sum()
    variance_C = between_C / max(len(parts.total_G) - 1, 1) + _variance_within(parts)
    excess_C = members_CN @ rest_N
    return np.where(variance_C > 1e-12, excess_C / np.sqrt(np.maximum(variance_C, 1e-12)), 0.0)


def worse_than_rest(
    members_CN: Bools, error_N: Floats, group_N: Ints, *, deals: int = DEALS, seed: int = 0
) -> tuple[Tested, ...]:
    """One-sided p-values of "the errors of this slice are higher than those of the rest", one per slice.

    Scores of 0 and 1 of ungrouped rows: Fisher's exact test (Fisher 1922), which never passes its level; a slice that
    could not reach 0.05 even if all its rows were wrong is not tested, which keeps the others' power and costs nothing
    (Tarone 1990). Others: a permutation test in which groups change places, and rows inside of groups that only partly
    belong to the slice. It is exact when the slice holds whole groups; for groups held in part it is exact in each of
    its two halves, and approximate where how many rows a group has in the slice goes with how large it is.
    """
    reasons = [_why_not(members_N, error_N, group_N) for members_N in members_CN]
    known = np.array([not reason for reason in reasons], dtype=bool)
    flat = len(np.unique(group_N)) == len(group_N)
    if not known.any():
        return tuple(Tested(None, reason) for reason in reasons)
    if flat and bool(np.isin(error_N, (0.0, 1.0)).all()):
        found = iter(_fisher(members_CN[known], error_N))
    else:
        found = iter(Tested(p) for p in _dealt(members_CN[known], error_N, group_N, deals, seed))
    return tuple(Tested(None, reason) if reason else next(found) for reason in reasons)


def _why_not(members_N: Bools, error_N: Floats, group_N: Ints) -> str:
    inside, outside = int(members_N.sum()), int((~members_N).sum())
    if min(inside, outside) < MIN_ROWS:
        return f"{inside} rows inside and {outside} outside on dev_b; each side needs {MIN_ROWS}"
    if len(np.unique(group_N[members_N])) < 2:
        return f"its {inside} rows on dev_b are one group, which cannot be told from the slice"
    if np.ptp(error_N) == 0.0:
        return "all rows of dev_b have the same score"
    return ""


def _fisher(members_CN: Bools, error_N: Floats) -> list[Tested]:
    rows, wrong = len(error_N), int(error_N.sum())
    inside_C = members_CN.sum(axis=1)
    wrong_C = (members_CN @ error_N).round().astype(int)
    p_C = stats.hypergeom.sf(wrong_C - 1, rows, wrong, inside_C)
    least_C = stats.hypergeom.sf(np.minimum(inside_C, wrong) - 1, rows, wrong, inside_C)
    return [
        Tested(float(p))
        if least <= LEVEL
        else Tested(None, f"{inside} rows on dev_b with {wrong} wrong in all could not show it at {LEVEL:.0%}")
        for p, least, inside in zip(p_C, least_C, inside_C, strict=True)
    ]


# Dealing out whole groups ---------------------------------------------------------------------------------------------


class _Parts(NamedTuple):
    """A slice as seen by groups: its share of each, and the rows of groups that it holds in part."""

    share_CG: Floats
    total_G: Floats
    """Summed error of each group, mean taken off."""
    inner_N: Ints
    """Rows of groups that some slice holds in part, group by group."""
    inner_group_N: Ints
    leaning_CN: Floats
    """Membership of those rows less the share of their group."""
    inner_error_N: Floats
    """Error of those rows less the mean of their group."""


def _parts(members_CN: Bools, rest_N: Floats, group_N: Ints) -> _Parts:
    order = np.argsort(group_N, kind="stable")
    grouped_N = group_N[order]
    starts = np.flatnonzero(np.r_[True, grouped_N[1:] != grouped_N[:-1]])
    size_G = np.diff(np.r_[starts, len(order)])
    number_N = np.repeat(np.arange(len(starts)), size_G)
    share_CG = np.add.reduceat(members_CN[:, order].astype(float), starts, axis=1) / size_G
    total_G = np.add.reduceat(rest_N[order], starts)
    partly_G = ((share_CG > 0) & (share_CG < 1)).any(axis=0)
    inner = np.flatnonzero(partly_G[number_N])
    at_N = number_N[inner]
    return _Parts(
        share_CG=share_CG,
        total_G=total_G,
        inner_N=order[inner],
        inner_group_N=at_N,
        leaning_CN=members_CN[:, order[inner]] - share_CG[:, at_N],
        inner_error_N=rest_N[order[inner]] - (total_G / size_G)[at_N],
    )


def _variance_within(parts: _Parts) -> Floats:
    """Summed over groups: squares of membership times squares of error over (rows - 1), [C]."""
    if not len(parts.inner_N):
        return np.zeros(len(parts.share_CG))
    starts = np.flatnonzero(np.r_[True, parts.inner_group_N[1:] != parts.inner_group_N[:-1]])
    size_G = np.diff(np.r_[starts, len(parts.inner_N)])
    leaning_CG = np.add.reduceat(parts.leaning_CN**2, starts, axis=1)
    error_G = np.add.reduceat(parts.inner_error_N**2, starts)
    return np.asarray(leaning_CG @ (error_G / np.maximum(size_G - 1, 1)))


def _dealt(members_CN: Bools, error_N: Floats, group_N: Ints, deals: int, seed: int) -> list[float]:
    rest_N = error_N - error_N.mean()
    parts = _parts(members_CN, rest_N, group_N)
    seen_C = members_CN @ rest_N
    random = np.random.default_rng(seed)
    hits_C = np.zeros(len(members_CN))
    for count in _chunks(deals, len(rest_N)):
        total_DG = random.permuted(np.tile(parts.total_G, (count, 1)), axis=1)
        excess_DC = total_DG @ parts.share_CG.T
        if len(parts.inner_N):
            keys_DN = parts.inner_group_N + random.random((count, len(parts.inner_N)))
            excess_DC += parts.inner_error_N[np.argsort(keys_DN, axis=1)] @ parts.leaning_CN.T
        hits_C += (excess_DC >= seen_C - 1e-9).sum(axis=0)
    return [float(p) for p in (1 + hits_C) / (1 + deals)]


def _chunks(deals: int, width: int) -> Sequence[int]:
    step = max(1, CHUNK // max(width, 1))
    return [min(step, deals - start) for start in range(0, deals, step)]
