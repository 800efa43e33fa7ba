"""Slices by what texts are about: dev_a is split again and again by k-means, and dev_b's rows follow the same centres.

A slice is defined by its centres alone. Errors play no part in where a row of dev_b falls, nor in where dev_a is split.
"""

from typing import NamedTuple

import numpy as np

from burnish.blas import one_thread
from burnish.diagnose.metadata import Place, min_support
from burnish.diagnose.rows import Floats, Ints, Rows
from burnish.diagnose.words import content_terms, distinctive_terms

MOST_CLUSTERS = 10
DEPTH = 4
"""Splits below one another; at 2 clusters each this is 16 leaves, at 10 more than any dev set supports."""

SAMPLE = 1000
"""Rows on which the number of clusters is chosen; the silhouette compares each with each."""

STEPS = 30
"""Steps of k-means at most; on 50 dimensions it settles in 10 to 20."""

DIMENSIONS = 50


class Vectors(NamedTuple):
    """Embeddings of the texts, one line a row, in the order of the evaluations' rows."""

    looked: Floats
    checked: Floats


def text_places(a: Rows, b: Rows, vectors: Vectors | None, seed: int) -> list[Place]:
    """Slices of texts with enough rows in dev_a, from the whole down; empty when the texts share too few words.

    Recursive k-means, k of 2 to 10 by cosine silhouette, stopped where the best is 0 or less, as in EvalTree (Zeng et
    al. 2025, arXiv 2503.08893), on the caller's embeddings, or on TF-IDF of dev_a's texts reduced to 50 dimensions.
    EvalTree clusters capabilities that a large model wrote down; we cluster the texts themselves.
    """
    found = _vectors(a, b, vectors, seed)
    if found is None or len(a.error_N) < 2 * min_support(len(a.error_N)):
        return []
    a_ND, b_MD = _unit(found.looked), _unit(found.checked)
    everything = (np.arange(len(a_ND)), np.arange(len(b_MD)))
    nodes = _split(a_ND, b_MD, everything, min_support(len(a_ND)), 0, np.random.default_rng(seed))
    terms = [content_terms(text) for text in a.texts]
    places = []
    for in_a, in_b in nodes:
        a_N, b_N = np.zeros(len(a_ND), dtype=bool), np.zeros(len(b_MD), dtype=bool)
        a_N[in_a], b_N[in_b] = True, True
        named = distinctive_terms(terms, a_N)
        if named:
            places.append(Place(f"text: {', '.join(named)}", "text", {}, named, a_N, b_N))
    return places


def _vectors(a: Rows, b: Rows, vectors: Vectors | None, seed: int) -> Vectors | None:
    if vectors is None:
        return _tfidf(a, b, seed)
    assert len(vectors.looked) > a.place_N.max(initial=-1), f"{len(vectors.looked)} embeddings are too few for dev_a"
    assert len(vectors.checked) > b.place_N.max(initial=-1), f"{len(vectors.checked)} embeddings are too few for dev_b"
    return Vectors(np.asarray(vectors.looked, float)[a.place_N], np.asarray(vectors.checked, float)[b.place_N])


@one_thread()
def _tfidf(a: Rows, b: Rows, seed: int) -> Vectors | None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    often = _repeated([content_terms(text) for text in a.texts])
    if len(often) < 3:
        return None
    reader = TfidfVectorizer(
        tokenizer=content_terms, token_pattern=None, lowercase=False, sublinear_tf=True, vocabulary=often
    )
    looked = reader.fit_transform(a.texts)
    reducer = TruncatedSVD(min(DIMENSIONS, len(often) - 1, len(a.texts) - 1), random_state=seed)
    return Vectors(reducer.fit_transform(looked), reducer.transform(reader.transform(b.texts)))


def _repeated(terms: list[list[str]]) -> list[str]:
    """Terms of two texts and more."""
    seen: dict[str, int] = {}
    for own in terms:
        for term in set(own):
            seen[term] = seen.get(term, 0) + 1
    return sorted(term for term, count in seen.items() if count > 1)


def _split(
    a_ND: Floats, b_MD: Floats, node: tuple[Ints, Ints], least: int, depth: int, random: np.random.Generator
) -> list[tuple[Ints, Ints]]:
    """The parts of a node with enough rows, each followed by its own parts."""
    in_a, in_b = node
    if depth == DEPTH or len(in_a) < 2 * least:
        return []
    centre_KD = _best_centres(a_ND[in_a], random)
    if centre_KD is None:
        return []
    a_N, b_N = _nearest(a_ND[in_a], centre_KD), _nearest(b_MD[in_b], centre_KD)
    nodes = []
    for cluster in range(len(centre_KD)):
        child = (in_a[a_N == cluster], in_b[b_N == cluster])
        if least <= len(child[0]) < len(in_a):
            nodes += [child, *_split(a_ND, b_MD, child, least, depth + 1, random)]
    return nodes


def _best_centres(x_ND: Floats, random: np.random.Generator) -> Floats | None:
    """Centres of the split with the best silhouette; None where that is 0 or less, or all rows are alike."""
    sample_SD = x_ND if len(x_ND) <= SAMPLE else x_ND[np.sort(random.choice(len(x_ND), SAMPLE, replace=False))]
    likeness_SS = sample_SD @ sample_SD.T
    best, best_KD = 0.0, None
    for clusters in range(2, min(MOST_CLUSTERS, len(sample_SD) - 1) + 1):
        centre_KD = _moved(sample_SD, _seeds(sample_SD, clusters, random))
        value = silhouette(likeness_SS, _nearest(sample_SD, centre_KD))
        if value > best + 1e-9:
            best, best_KD = value, centre_KD
    return None if best_KD is None else _moved(x_ND, best_KD)


def silhouette(likeness_NN: Floats, cluster_N: Ints) -> float:
    """Mean cosine silhouette, -1 to 1, from the cosines of all pairs (Rousseeuw 1987); 0 for a single cluster.

    As usual a row alone in its cluster counts 0.
    """
    kinds, at_N = np.unique(cluster_N, return_inverse=True)
    if len(kinds) < 2:
        return 0.0
    hot_NK = np.eye(len(kinds))[at_N]
    size_K = hot_NK.sum(axis=0)
    apart_NK = (1.0 - likeness_NN) @ hot_NK
    rows = np.arange(len(at_N))
    own_N = apart_NK[rows, at_N] / np.maximum(size_K[at_N] - 1, 1)
    other_NK = apart_NK / size_K
    other_NK[rows, at_N] = np.inf
    other_N = other_NK.min(axis=1)
    value_N = (other_N - own_N) / np.maximum(np.maximum(own_N, other_N), 1e-12)
    return float(np.where(size_K[at_N] > 1, value_N, 0.0).mean())


def _seeds(x_ND: Floats, clusters: int, random: np.random.Generator) -> Floats:
    """First centres, each drawn by its squared distance to those before (Arthur and Vassilvitskii 2007, k-means++)."""
    chosen = [int(random.integers(len(x_ND)))]
    for _ in range(clusters - 1):
        far_N = np.maximum(1.0 - (x_ND @ x_ND[chosen].T).max(axis=1), 0.0)
        if far_N.sum() < 1e-9:
            break
        chosen.append(int(random.choice(len(x_ND), p=far_N / far_N.sum())))
    return x_ND[chosen]


def _moved(x_ND: Floats, centre_KD: Floats) -> Floats:
    """Centres after k-means by cosine (Dhillon and Modha 2001), empty ones left out."""
    at_N = _nearest(x_ND, centre_KD)
    for _ in range(STEPS):
        hot_KN = (np.arange(len(centre_KD))[:, None] == at_N).astype(float)
        centre_KD = _unit((hot_KN @ x_ND)[hot_KN.any(axis=1)])
        before_N, at_N = at_N, _nearest(x_ND, centre_KD)
        if np.array_equal(before_N, at_N):
            break
    return centre_KD


def _nearest(x_ND: Floats, centre_KD: Floats) -> Ints:
    """Number of the centre with the highest cosine; the first of equals."""
    return np.asarray(np.argmax(x_ND @ centre_KD.T, axis=1))


def _unit(x_ND: Floats) -> Floats:
    """Lines of length 1; a line of zeros stays."""
    return np.asarray(x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12))
