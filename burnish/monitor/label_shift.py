"""Label shift: whether a model's answers come in other shares than on dev rows, and what the true shares then are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from burnish.monitor.permutation import Bools, Floats, Ints, permutation_p
from burnish.stats import Estimate

WORST_CONDITION = 30.0
"""Condition number of the confusion matrix from which solving it multiplies noise more than it corrects."""
BOOTSTRAPS = 400


class LabelShift(NamedTuple):
    """How the answers of a window differ from those on dev rows."""

    p: float
    distance: Estimate
    """Total variation between the shares of answers, 0 to 1, with its 95% bootstrap interval: how much has moved."""
    labels: tuple[str, ...]
    """Labels with a share of their own, most frequent on dev first."""
    shares: tuple[Estimate, ...]
    """True share of each in the window by BBSE, with its 95% bootstrap interval; empty where it cannot be solved."""
    before: tuple[float, ...]
    """Share of each on dev."""
    why: str
    """Why there are no shares; starts with a stable word and a colon."""


def label_shift(
    expected: Sequence[str], answered: Sequence[str], window: Sequence[str], level: float, random: np.random.Generator
) -> LabelShift:
    """Tests a window's answers against those on dev rows, and solves for its true label shares.

    The test is chi-squared on answers, by permutation (BBSD, Rabanser et al. 2019, arXiv 1810.11953). The shares are
    BBSE (Lipton, Wang and Smola 2018, arXiv 1802.03916): C w = answers of the window, C the joint shares of answer and
    label on dev. It assumes that within each label texts are as before: where new labels came in, it misleads.
    """
    names = _ordered(expected, answered, window)
    at = {name: place for place, name in enumerate(names)}
    y_M, said_M, now_N = (np.array([at[name] for name in words]) for words in (expected, answered, window))
    p = _chi_squared_p(said_M, now_N, len(names), level, random)
    drawn = [_resampled(y_M, said_M, now_N, random) for _ in range(BOOTSTRAPS)]
    moved = [_distance(said, now, len(names)) for _, said, now in drawn]
    distance = Estimate(_distance(said_M, now_N, len(names)), *_middle(moved), len(now_N))
    known = len(set(expected))
    before = tuple(float(share) for share in _shares(y_M, len(names))[:known])
    solved, why = solve_shares(y_M, said_M, now_N, known)
    if solved is None:
        return LabelShift(p, distance, names[:known], (), before, why)
    solutions = [found for found in (solve_shares(*one, known)[0] for one in drawn) if found is not None]
    bounds = [_middle([solution[place] for solution in solutions]) for place in range(known)]
    shares = tuple(Estimate(float(solved[place]), *bounds[place], len(now_N)) for place in range(known))
    return LabelShift(p, distance, names[:known], shares, before, "")


def solve_shares(y_M: Ints, said_M: Ints, now_N: Ints, labels: int) -> tuple[Floats | None, str]:
    """Label shares of the window, clipped to be shares; None with the reason where dev cannot tell labels apart.

    Labels are numbers from 0; answers from `labels` on are no labels and left out on both sides.
    """
    kept = said_M < labels
    joint = np.zeros((labels, labels))
    np.add.at(joint, (said_M[kept], y_M[kept]), 1.0 / max(1, len(y_M)))
    prior = joint.sum(axis=0)
    if (prior <= 0).any():
        return None, "unseen: a label has no dev row with a usable answer"
    given = joint / prior
    if float(np.linalg.cond(given)) > WORST_CONDITION:
        return None, "confused: the model mixes up labels on dev rows, so its answers cannot be turned into shares"
    solved = np.clip(np.linalg.solve(given, _shares(now_N[now_N < labels], labels)), 0.0, None)
    return np.asarray(solved / max(solved.sum(), 1e-12)), ""


def _ordered(expected: Sequence[str], answered: Sequence[str], window: Sequence[str]) -> tuple[str, ...]:
    """Labels of dev rows, most frequent first, then other answers."""
    labels = sorted(set(expected), key=lambda name: (-list(expected).count(name), name))
    return (*labels, *sorted({*answered, *window} - set(labels)))


def _chi_squared_p(said_M: Ints, now_N: Ints, kinds: int, level: float, random: np.random.Generator) -> float:
    """By permutation: with few rows a label the chi-squared distribution is no guide."""
    hot_RK = np.eye(kinds)[np.concatenate([said_M, now_N])]
    total_K = np.maximum(hot_RK.sum(axis=0), 1e-12)

    def unlike(is_member_DR: Bools) -> Floats:
        return np.asarray((((is_member_DR.astype(float) @ hot_RK) - total_K * share) ** 2 / total_K).sum(axis=1))

    share = len(now_N) / len(hot_RK)
    return permutation_p(unlike, len(hot_RK), len(now_N), level, random)


def _resampled(y_M: Ints, said_M: Ints, now_N: Ints, random: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    rows, later = random.integers(0, len(y_M), len(y_M)), random.integers(0, len(now_N), len(now_N))
    return y_M[rows], said_M[rows], now_N[later]


def _shares(at_N: Ints, kinds: int) -> Floats:
    return np.asarray(np.bincount(at_N, minlength=kinds) / max(1, len(at_N)))


def _distance(said_M: Ints, now_N: Ints, kinds: int) -> float:
    return float(np.abs(_shares(said_M, kinds) - _shares(now_N, kinds)).sum() / 2)


def _middle(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Limits of the middle 95%; None where too few samples could be solved."""
    if len(values) < BOOTSTRAPS // 2:
        return None, None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
