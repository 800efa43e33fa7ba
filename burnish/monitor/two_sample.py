"""Input drift: can a classifier tell the window's texts from the reference's better than a coin, and by how much?"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from burnish.monitor.permutation import Bools, Floats, Ints, permutation_p

FOLDS = 5
RIDGE = 1.0
"""Penalty as a share of the rows; columns are scaled to variance 1."""


class TwoSample(NamedTuple):
    """How well window and reference can be told apart."""

    auc: float
    """Of held-out rows, mean over the folds; 0.5: not at all."""
    p: float
    suspicion_N: Floats
    """Held-out score of each row of the window; the highest are those that look least like the reference."""


def two_sample(reference_MD: Floats, window_ND: Floats, level: float, random: np.random.Generator) -> TwoSample:
    """Classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv 1610.06545), with an exact p-value.

    The classifier is Fisher's discriminant (ridge regression on the membership), cross-fitted over 5 folds. Unlike
    logistic regression its held-out scores are linear in the membership, so that tens of thousands of permutations are
    one product of matrices. Folds are drawn without regard to membership, which keeps the test exact.
    """
    x_RD = _scaled(np.concatenate([reference_MD, window_ND]))
    rows, members = len(x_RD), len(window_ND)
    fold_R = random.permutation(np.arange(rows) % FOLDS)
    parts = [x_RD[fold_R == fold] for fold in range(FOLDS)]
    solvers = [_solver(x_RD[fold_R != fold]) for fold in range(FOLDS)]

    def evidence(is_member_PR: Bools) -> Floats:
        y_PR = is_member_PR - members / rows
        pull = [y_PR[:, fold_R == fold] @ part for fold, part in enumerate(parts)]
        whole = np.sum(pull, axis=0)
        gains = [np.einsum("pd,pd->p", (whole - own) @ solver, own) for own, solver in zip(pull, solvers, strict=True)]
        return np.asarray(np.sum(gains, axis=0))

    is_member_R = np.arange(rows) >= rows - members
    score_R = _held_out(x_RD, is_member_R, fold_R, solvers)
    p = permutation_p(evidence, rows, members, level, random)
    return TwoSample(_auc(score_R, is_member_R, fold_R), p, score_R[is_member_R])


def _scaled(x_RD: Floats) -> Floats:
    spread_D = x_RD.std(axis=0)
    return np.asarray((x_RD - x_RD.mean(axis=0)) / np.where(spread_D > 1e-12, spread_D, 1.0))


def _solver(x_RD: Floats) -> Floats:
    """The matrix that turns sums of columns over rows of the training folds into the weights of the classifier."""
    inner_DD = x_RD.T @ x_RD
    return np.asarray(np.linalg.inv(inner_DD + RIDGE * len(x_RD) * np.eye(len(inner_DD))))


def _held_out(x_RD: Floats, is_member_R: Bools, fold_R: Ints, solvers: list[Floats]) -> Floats:
    y_R = is_member_R - is_member_R.mean()
    score_R = np.empty(len(x_RD))
    for fold, solver in enumerate(solvers):
        out = fold_R == fold
        score_R[out] = x_RD[out] @ (solver @ (x_RD[~out].T @ y_R[~out]))
    return score_R


def _auc(score_R: Floats, is_member_R: Bools, fold_R: Ints) -> float:
    """Mean over folds with rows of both kinds: scores of different folds are not on one scale."""
    found = []
    for fold in range(FOLDS):
        score, member = score_R[fold_R == fold], is_member_R[fold_R == fold]
        if 0 < member.sum() < len(member):
            found.append(area(score[~member], score[member]))
    return float(np.mean(found)) if found else 0.5


def area(low: Floats, high: Floats) -> float:
    """Chance that a value of `high` is above one of `low`, ties counting half (Mann and Whitney 1947)."""
    ranks = stats.rankdata(np.concatenate([low, high]))[len(low) :]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(low) * len(high)))
