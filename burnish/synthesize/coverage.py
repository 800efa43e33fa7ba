"""How synthetic rows lie against real ones: how varied they are, what they leave out, and what gives them away.

All figures are of texts as vectors, TF-IDF or what a function for vectors gives. None says that a row is right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from burnish.blas import one_thread
from burnish.errors import DataError
from burnish.records import Interval
from burnish.stats.rates import wilson
from burnish.synthesize.duplicates import Embed
from burnish.synthesize.runs import plain_words

Floats = NDArray[np.float64]

NEAR_SHARE = 0.9
"""Of real rows have another real row within eps; rows of the same source are covered just so often."""
RARE_ORDER = 0.1
"""Order of the Vendi score that counts rare kinds nearly as much as frequent ones."""
NUM_DIMS = 64
FIT_ROWS = 20_000
"""Rows of each side that the vectors are fitted on."""
MOST_TERMS = 50_000
MOST_SPECTRAL = 1000
"""Rows of each side whose kernel is decomposed: exact, half a second at 1,000."""
MOST_TOLD_APART = 2000
FOLDS = 5
NUM_TELLING = 8
FEWEST_ROWS = 10
BLOCK = 4096


class Telling(NamedTuple):
    """Words that tell synthetic rows from real ones, most telling first."""

    synthetic: tuple[str, ...]
    real: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """A synthetic set against a real one."""

    num_real: int
    num_synthetic: int
    num_equal: int
    """Rows of each side, drawn alike, for the figures that must not depend on how many there are."""
    vendi_ratio: float
    """Vendi score of the synthetic rows over that of the real ones, at equal n, order 1; below 1: less varied. In long
    texts words differ even within a kind, and a lost kind shows in the recall sooner than here."""
    vendi_rare_ratio: float
    """The same at order 0.1, which weighs rare kinds."""
    recall: Interval
    """Share of real rows with a synthetic one within eps, over all rows."""
    recall_equal: Interval
    """The same at equal n, to be compared between rounds: rows of the same source have 0.9."""
    precision: Interval
    """Share of synthetic rows with a real one within eps."""
    eps: float
    """Distance, 1 - cosine, within which 0.9 of the real rows have another real one."""
    auc: Interval | None
    """How well a classifier tells the two apart on rows it has not seen: 0.5 not at all, below 0.75 wanted. None: not
    asked."""
    telling: Telling | None


def measure_coverage(
    real: Sequence[str],
    synthetic: Sequence[str],
    *,
    embed: Embed | None = None,
    classify: bool = True,
    seed: int = 0,
) -> Coverage:
    """Synthetic texts against real ones that no generator was shown (dev_a).

    Recall and precision by nearest neighbours as in Kynkäänniemi et al. 2019 (arXiv 1904.06991), but with one radius,
    the 90th percentile of the distance between real neighbours. Two-sample test by classifier: Lopez-Paz and Oquab 2017
    (arXiv 1610.06545), left out without `classify`. Raises DataError below 10 rows on either side.
    """
    if min(len(real), len(synthetic)) < FEWEST_ROWS:
        raise DataError(
            f"{len(real):,} real and {len(synthetic):,} synthetic rows are too few to compare",
            hint=f"at least {FEWEST_ROWS} of each are needed",
        )
    random = np.random.default_rng(seed)
    num_equal = min(len(real), len(synthetic))
    ours, theirs = text_vectors(real, synthetic, embed=embed, seed=seed)
    eps = float(np.quantile(_nearest(ours, ours, same=True), NEAR_SHARE))
    some_real, some = _drawn(len(real), num_equal, random), _drawn(len(synthetic), num_equal, random)
    scores = _vendi_ratios(real, synthetic, some_real, some, embed)
    sides = _taken(real, some_real), _taken(synthetic, some)
    auc, telling = told_apart(*sides, seed=seed) if classify else (None, None)
    return Coverage(
        num_real=len(real),
        num_synthetic=len(synthetic),
        num_equal=num_equal,
        vendi_ratio=scores[0],
        vendi_rare_ratio=scores[1],
        recall=_within(_nearest(ours, theirs), eps),
        recall_equal=_within(_nearest(ours[some_real], theirs[some]), eps),
        precision=_within(_nearest(theirs, ours), eps),
        eps=eps,
        auc=auc,
        telling=telling,
    )


@one_thread()
def text_vectors(
    real: Sequence[str], synthetic: Sequence[str], *, embed: Embed | None = None, seed: int = 0
) -> tuple[Floats, Floats]:
    """Unit vectors of both sides: TF-IDF of single words and pairs, in 64 dimensions where there are more."""
    if embed is not None:
        return _unit(embed(real)), _unit(embed(synthetic))
    from sklearn.decomposition import TruncatedSVD

    random = np.random.default_rng(seed)
    sample = [
        *_taken(real, _drawn(len(real), FIT_ROWS, random)),
        *_taken(synthetic, _drawn(len(synthetic), FIT_ROWS, random)),
    ]
    terms = _terms()
    counts = terms.fit_transform(sample)
    if min(counts.shape) <= NUM_DIMS + 1:
        return _unit(terms.transform(real).toarray()), _unit(terms.transform(synthetic).toarray())
    plane = TruncatedSVD(NUM_DIMS, random_state=seed, n_iter=4).fit(counts)
    return _unit(plane.transform(terms.transform(real))), _unit(plane.transform(terms.transform(synthetic)))


def vendi_score(kernel: NDArray[Any], order: float = 1.0) -> float:
    """Effective number of different rows, 1 to n: exp of the Rényi entropy of the eigenvalues of K / n.

    `kernel` is a symmetric matrix of likeness with ones on its diagonal. Friedman and Dieng 2023 (arXiv 2210.02410);
    orders: Pasarkar and Dieng 2024 (arXiv 2310.12952). Eigenvalues that rounding leaves in place of 0 are cut, since
    small orders would count them.
    """
    values = np.linalg.eigvalsh(np.asarray(kernel, dtype=np.float64) / len(kernel))
    values = values[values > len(kernel) * np.finfo(np.float64).eps * values.max()]
    if order == 1.0:
        return math.exp(-float((values * np.log(values)).sum()))
    return math.exp(math.log(float((values**order).sum())) / (1 - order))


@one_thread()
def told_apart(real: Sequence[str], synthetic: Sequence[str], *, seed: int = 0) -> tuple[Interval, Telling]:
    """AUC of a logistic regression on TF-IDF, over rows of folds it was not fitted on, and the words it goes by.

    At most 2,000 rows of each side, as many of both. Interval: Hanley and McNeil 1982, which takes rows as independent;
    synthetic rows of one seed are not quite.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    random = np.random.default_rng(seed)
    count = min(len(real), len(synthetic), MOST_TOLD_APART)
    texts = [*_taken(real, _drawn(len(real), count, random)), *_taken(synthetic, _drawn(len(synthetic), count, random))]
    is_made = np.repeat([0, 1], count)
    model = make_pipeline(_terms(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    chances = cross_val_predict(model, texts, is_made, cv=folds, method="predict_proba")[:, 1]
    auc = float(roc_auc_score(is_made, chances))
    model.fit(texts, is_made)
    order = np.argsort(model[-1].coef_[0], kind="stable")
    names = model[0].get_feature_names_out()
    told = Telling(tuple(names[order[::-1][:NUM_TELLING]].tolist()), tuple(names[order[:NUM_TELLING]].tolist()))
    return _auc_interval(auc, count), told


def _terms() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        tokenizer=plain_words, token_pattern=None, ngram_range=(1, 2), sublinear_tf=True, max_features=MOST_TERMS
    )


@one_thread()
def _vendi_ratios(
    real: Sequence[str], synthetic: Sequence[str], some_real: Any, some: Any, embed: Embed | None
) -> tuple[float, float]:
    """Ratios of order 1 and 0.1, on the exact vectors: a plane of few dimensions would cap the score."""
    count = min(len(some_real), MOST_SPECTRAL)
    sides = _taken(real, some_real[:count]), _taken(synthetic, some[:count])
    if embed is not None:
        vectors = [_unit(embed(side)) for side in sides]
    else:
        both = _terms().fit_transform([*sides[0], *sides[1]])
        vectors = [_unit(part.toarray()) for part in (both[:count], both[count:])]
    kernels = [side @ side.T for side in vectors]
    for kernel in kernels:
        np.fill_diagonal(kernel, 1.0)
    first, rare = ([vendi_score(kernel, order) for kernel in kernels] for order in (1.0, RARE_ORDER))
    return first[1] / first[0], rare[1] / rare[0]


def _nearest(rows: Floats, others: Floats, *, same: bool = False) -> Floats:
    """Distance of each row to its nearest other, 1 - cosine; `same`: the two are one set, no row is its own."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        best = np.full(len(part), -np.inf)
        for begin in range(0, len(others), BLOCK):
            likeness = part @ others[begin : begin + BLOCK].T
            if same and start == begin:
                np.fill_diagonal(likeness, -np.inf)
            best = np.maximum(best, likeness.max(axis=1))
        found[start : start + len(part)] = 1.0 - best
    return found


def _within(distances: Floats, eps: float) -> Interval:
    # Rounding must not decide whether a copy of a real row is near it: 1e-9 is far above its error, below any eps.
    found = wilson(int((distances <= eps + 1e-9).sum()), len(distances))
    return Interval(value=found.value, low=found.low, high=found.high, n=found.n)


def _auc_interval(auc: float, count: int) -> Interval:
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (count - 1) * (q1 - auc**2) + (count - 1) * (q2 - auc**2)) / count**2
    half = 1.959964 * math.sqrt(max(variance, 0.0))
    return Interval(value=auc, low=max(0.0, auc - half), high=min(1.0, auc + half), n=2 * count)


def _drawn(size: int, count: int, random: np.random.Generator) -> Any:
    """Places of `count` rows in random order; of all where there are no more."""
    return random.permutation(size)[:count]


def _taken(texts: Sequence[str], places: Any) -> list[str]:
    return [texts[at] for at in places]


def _unit(vectors: Any) -> Floats:
    found = np.asarray(vectors, dtype=np.float64)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))
