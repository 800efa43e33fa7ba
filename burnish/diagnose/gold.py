"""Gold answers that may be wrong, by cross-validated confident learning, and the symmetric queue that people see.

A model that did not see a row must be surer of another answer than it usually is where that answer is given.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from burnish.blas import one_thread
from burnish.diagnose.rows import Floats, Ints
from burnish.diagnose.words import content_terms

FOLDS = 5
MOST_TERMS = 20_000
"""Words and pairs of words that the classifier reads, the most frequent, each in two texts at least."""

INVERSE_PENALTY = 1.0
"""C of the logistic regression. Of 163 wrong labels planted in 2011 rows of 15 labels (the claims example) 1 finds 132
and 3 finds 130; at 10, a small set's wrong labels are learnt by heart and its right ones doubted."""

MOST_STEPS = 100
"""Steps of the classifier's optimiser at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A gold answer that is doubted."""

    example: str
    given: str
    suggested: str
    margin: float
    """Out-of-fold probability of the suggested answer less that of the given one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldCheck:
    """Which gold answers are doubted and which agree with what was expected of them."""

    suspects: tuple[Suspect, ...]
    """Largest margin first."""
    agreements: tuple[str, ...]
    """Ids of the rows that were judged and are not doubted, sorted."""
    not_judged: tuple[str, ...]
    """Ids of rows whose answer has too few groups for every fold to learn it, sorted."""
    noise_share: float
    """Estimated share of wrong gold answers among the rows judged; too high where agreement_share is low."""
    agreement_share: float
    """Share of the judged rows whose likeliest answer out of fold is the gold answer: how much its doubts are worth."""


class _Judged(NamedTuple):
    """Rows whose answers every fold can learn."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    """The different answers, sorted."""
    label_N: Ints
    p_NK: Floats


def check_gold(
    ids: Sequence[str],
    texts: Sequence[str],
    answers: Sequence[str],
    groups: Sequence[str],
    *,
    probabilities: Floats | None = None,
    seed: int = 0,
) -> GoldCheck:
    """Rows whose gold answer confident learning doubts; pass train and dev_a together, for more rows teach more.

    `probabilities` [N, K] may be given by the caller: out of fold, with a column for each different answer, sorted;
    otherwise they come from TF-IDF and logistic regression in 5 folds that keep groups whole. Answers in fewer than 5
    groups are not judged. Assumes that wrong labels depend on the true label, not on the text (Northcutt et al. 2021).
    """
    order = sorted(range(len(ids)), key=lambda at: ids[at])
    spread = Counter(answer for answer, _ in {(answers[at], groups[at]) for at in order})
    judged = [at for at in order if spread[answers[at]] >= FOLDS]
    left_out = tuple(ids[at] for at in order if spread[answers[at]] < FOLDS)
    names = sorted({answers[at] for at in judged})
    if len(names) < 2:
        return GoldCheck(
            suspects=(), agreements=(), not_judged=tuple(ids[at] for at in order), noise_share=0.0, agreement_share=0.0
        )
    label_N = np.array([names.index(answers[at]) for at in judged])
    if probabilities is None:
        rows = [texts[at] for at in judged]
        p_NK = out_of_fold(rows, label_N, [groups[at] for at in judged], seed=seed)
    else:
        every = sorted(set(answers))
        assert probabilities.shape == (len(ids), len(every)), f"{probabilities.shape} for {len(every)} answers"
        p_NK = np.asarray(probabilities, float)[judged][:, [every.index(name) for name in names]]
    return _checked(_Judged(tuple(ids[at] for at in judged), tuple(names), label_N, p_NK), left_out)


def _checked(rows: _Judged, left_out: tuple[str, ...]) -> GoldCheck:
    doubted_N, suggested_N, noise = confident_errors(rows.p_NK, rows.label_N)
    suspects = [
        Suspect(
            example=rows.ids[at],
            given=rows.names[rows.label_N[at]],
            suggested=rows.names[suggested_N[at]],
            margin=float(rows.p_NK[at, suggested_N[at]] - rows.p_NK[at, rows.label_N[at]]),
        )
        for at in np.flatnonzero(doubted_N)
    ]
    suspects.sort(key=lambda suspect: (-suspect.margin, suspect.example))
    agreements = tuple(rows.ids[at] for at in np.flatnonzero(~doubted_N))
    return GoldCheck(
        suspects=tuple(suspects),
        agreements=agreements,
        not_judged=left_out,
        noise_share=noise,
        agreement_share=float((suggested_N == rows.label_N).mean()),
    )


def gold_queue(check: GoldCheck, *, most: int | None = None, seed: int = 0) -> tuple[str, ...]:
    """Ids for people to label blind: as many random agreements as suspects, shuffled; which is which is not shown.

    Judging suspects alone would only ever move answers toward the model and so raise its score; with as many
    agreements, errors are found on both sides. `most` limits the number of ids, half of them the strongest suspects.
    """
    count = min(len(check.suspects), len(check.agreements))
    if most is not None:
        count = min(count, most // 2)
    random = np.random.default_rng(seed)
    drawn = random.permutation(len(check.agreements))[:count]
    ids = sorted([suspect.example for suspect in check.suspects[:count]] + [check.agreements[at] for at in drawn])
    return tuple(ids[at] for at in random.permutation(len(ids)))


def confident_errors(p_NK: Floats, label_N: Ints) -> tuple[np.ndarray, Ints, float]:
    """(doubted [N], the answer to doubt it by [N], estimated share of wrong answers): prune by noise rate.

    Northcutt, Jiang and Chuang 2021, Confident Learning, arXiv 1911.00068: the threshold of an answer is the mean
    probability of it among rows that are given it (eq. 2); a row counts for its likeliest answer above the threshold;
    the counts are scaled to the rows of each given answer; for each pair of answers as many rows are doubted as the
    joint says, those with the largest margin. Rows whose given answer is the likeliest are never doubted, as in
    cleanlab. An answer that no row is given confidently keeps one such row.
    """
    joint_KK = _joint(p_NK, label_N)
    doubted_N = np.zeros(len(label_N), dtype=bool)
    suggested_N = p_NK.argmax(axis=1)
    for given in range(p_NK.shape[1]):
        rows = np.flatnonzero(label_N == given)
        for other in np.flatnonzero(joint_KK[given]):
            if other == given:
                continue
            margin = p_NK[rows, other] - p_NK[rows, given]
            doubted_N[rows[np.argsort(-margin, kind="stable")[: joint_KK[given, other]]]] = True
    doubted_N &= suggested_N != label_N
    off = joint_KK.sum() - np.trace(joint_KK)
    return doubted_N, suggested_N, float(off / max(len(label_N), 1))


def _joint(p_NK: Floats, label_N: Ints) -> Ints:
    """Rows by (given answer, true answer), whole numbers that sum to the rows of each given answer."""
    kinds = p_NK.shape[1]
    given_NK = np.eye(kinds)[label_N]
    count_K = given_NK.sum(axis=0)
    threshold_K = (p_NK * given_NK).sum(axis=0) / np.maximum(count_K, 1)
    above_NK = p_NK >= threshold_K - 1e-6
    sure = above_NK.any(axis=1)
    likeliest_N = np.where(above_NK, p_NK, -np.inf).argmax(axis=1)
    seen_KK = np.zeros((kinds, kinds))
    np.add.at(seen_KK, (label_N[sure], likeliest_N[sure]), 1.0)
    np.fill_diagonal(seen_KK, np.maximum(np.diagonal(seen_KK), 1.0))
    return _whole(seen_KK / seen_KK.sum(axis=1, keepdims=True) * count_K[:, None])


def _whole(joint_KK: Floats) -> Ints:
    """Whole numbers with the same row sums: the largest remainders are rounded up, the earlier of equals."""
    low_KK = np.floor(joint_KK + 1e-9)
    missing_K = np.rint(joint_KK.sum(axis=1) - low_KK.sum(axis=1)).astype(int)
    for row, missing in enumerate(missing_K):
        low_KK[row, np.argsort(-(joint_KK[row] - low_KK[row]), kind="stable")[:missing]] += 1
    return np.asarray(low_KK.astype(np.int64))


def out_of_fold(texts: Sequence[str], label_N: Ints, groups: Sequence[str], *, seed: int = 0) -> Floats:
    """Probability of each answer for each text from classifiers that saw neither it nor its group, [N, K].

    TF-IDF over content words and pairs of words, logistic regression; 5 folds. An answer that a fold's training part
    lacks gets 0.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    fold_N = _folds(label_N, groups, seed)
    p_NK = np.zeros((len(texts), int(label_N.max()) + 1))
    for fold in range(FOLDS):
        held, kept = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
        if not len(held) or len(np.unique(label_N[kept])) < 2:
            continue
        reader = TfidfVectorizer(
            tokenizer=_words,
            token_pattern=None,
            lowercase=False,
            ngram_range=(1, 2),
            sublinear_tf=True,
            max_features=MOST_TERMS,
            min_df=2,
        )
        learnt = reader.fit_transform([texts[int(at)] for at in kept])
        model = _fitted(learnt, label_N[kept])
        p_NK[np.ix_(held, model.classes_)] = model.predict_proba(reader.transform([texts[int(at)] for at in held]))
    return p_NK


def _words(text: str) -> list[str]:
    """Content terms; a text without any still has one word, so that every fold has a vocabulary."""
    return content_terms(text) or ["-"]


@one_thread()
def _fitted(learnt: Any, label_N: Ints) -> Any:
    """The fitted LogisticRegression."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # The steps are limited on purpose: a classifier stopped early is a smoother one, and this is a second opinion.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=INVERSE_PENALTY, max_iter=MOST_STEPS, tol=1e-3).fit(learnt, label_N)


def _folds(label_N: Ints, groups: Sequence[str], seed: int) -> Ints:
    """Fold of each row: groups are shuffled, then dealt out in turn, answer by answer of their first row."""
    first: dict[str, int] = {}
    for at, group in enumerate(groups):
        first.setdefault(group, int(label_N[at]))
    names = sorted(first)
    shuffled = [names[at] for at in np.random.default_rng(seed).permutation(len(names))]
    shuffled.sort(key=lambda group: first[group])
    fold_of = {group: place % FOLDS for place, group in enumerate(shuffled)}
    return np.array([fold_of[group] for group in groups])
