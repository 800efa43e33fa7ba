"""Label shift: whether a model's answers come in other shares than on dev rows, and what the true shares then are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from burnish.monitor.permutation import Bools, Floats, Ints, permutation_p
from burnish.stats.rates import Estimate

WORST_CONDITION = 30.0
"""Norm of the inverse of the confusion matrix (columns sum to 1) from which solving multiplies noise too much: so much
does it stretch an error in the shares of answers."""
BOOTSTRAPS = 200
CONFUSED = "confused: the model mixes up labels on dev rows, so its answers cannot be turned into shares"


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
    at, known = {name: place for place, name in enumerate(names)}, len(set(expected))
    y_M, said_M, now_N = (np.array([at[name] for name in words]) for words in (expected, answered, window))
    p = _chi_squared_p(said_M, now_N, len(names), level, random)
    joint_KL = np.zeros((len(names), known))
    np.add.at(joint_KL, (said_M, y_M), 1.0)
    now_K = np.bincount(now_N, minlength=len(names)).astype(float)
    joints_BKL, nows_BK = _resampled(joint_KL, random), _resampled(now_K, random)
    distance = Estimate(
        _distance(joint_KL, now_K),
        *_middle([_distance(*one) for one in zip(joints_BKL, nows_BK, strict=True)]),
        len(now_N),
    )
    before = tuple(float(share) for share in joint_KL.sum(axis=0) / len(y_M))
    solved, why = solve_shares(joint_KL, now_K)
    if solved is None:
        return LabelShift(p, distance, names[:known], (), before, why)
    found = [solve_shares(*one)[0] for one in zip(joints_BKL, nows_BK, strict=True)]
    solutions = [solution for solution in found if solution is not None]
    bounds = [_middle([float(solution[place]) for solution in solutions]) for place in range(known)]
    shares = tuple(Estimate(float(solved[place]), *bounds[place], len(now_N)) for place in range(known))
    return LabelShift(p, distance, names[:known], shares, before, "")


def solve_shares(joint_KL: Floats, now_K: Floats) -> tuple[Floats | None, str]:
    """Label shares of a window, clipped to be shares; None with the reason where dev cannot tell labels apart.

    `joint_KL` counts dev rows by answer and label, the labels first among the answers; `now_K` counts the window's
    answers. Answers that are no label are left out on both sides.
    """
    labels = joint_KL.shape[1]
    prior_L = joint_KL.sum(axis=0)
    if (prior_L <= 0).any():
        return None, "unseen: a label has no dev row"
    given_LL = joint_KL[:labels] / prior_L
    try:
        inverse_LL = np.linalg.inv(given_LL)
    except np.linalg.LinAlgError:
        return None, CONFUSED
    if np.abs(inverse_LL).sum(axis=0).max() > WORST_CONDITION:
        return None, CONFUSED
    solved_L = np.clip(inverse_LL @ now_K[:labels], 0.0, None)
    return np.asarray(solved_L / max(float(solved_L.sum()), 1e-12)), ""


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


def _resampled(counts: Floats, random: np.random.Generator) -> Floats:
    """Bootstrap samples of a table of counts."""
    total = int(counts.sum())
    return random.multinomial(total, (counts / total).ravel(), size=BOOTSTRAPS).reshape(-1, *counts.shape).astype(float)


def _distance(joint_KL: Floats, now_K: Floats) -> float:
    return float(np.abs(joint_KL.sum(axis=1) / joint_KL.sum() - now_K / now_K.sum()).sum() / 2)


def _middle(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Limits of the middle 95%; None where too few samples could be solved."""
    if len(values) < BOOTSTRAPS // 2:
        return None, None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
