"""Which synthetic rows say nothing new: copies of a seed, near duplicates by shared words, near duplicates by meaning.

Every search goes through the rows in order and keeps the first of its kind; seeds stand before all rows and are kept.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from burnish.data.dedup import near_duplicate_groups
from burnish.synthesize.runs import hashed_runs, plain_words, run_index, shared_runs

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], NDArray[Any]]
"""Texts to vectors, one row a text: a base model's hidden states, for example."""

COPY_RUN = 8
"""Words of a run in the copy check; a shorter text is one run."""
BLOCK = 1024
TILE = 16_384
SKETCH_SIZE = 256
SKETCH_MARGIN = 0.05
"""A sketch of 256 random signs errs by (1 - cos^2) / 16, 0.01 at a cosine of 0.92; five times that is let through to
the exact comparison."""
MOST_COMPARED = 16
"""Kept rows that a row is compared with exactly, in each tile; the likest by their sketches."""
NUM_WORD_BUCKETS = 2**16


class _Space(NamedTuple):
    """Texts as unit vectors, and small sketches of them whose products are nearly the same."""

    exact: Any
    """Sparse or dense, one row a text."""
    sketches: Vectors
    margin: float

    def cosines(self, rows: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
        """The exact cosine of each pair."""
        product = self.exact[rows] * self.exact[others]
        return np.asarray(product.sum(axis=1), dtype=np.float64).ravel()


def copies_of(texts: Sequence[str], seeds: Sequence[str], limit: float = 0.5) -> tuple[bool, ...]:
    """Whether each text is a copy of a seed: the Jaccard similarity of their sets of 8-word runs is above `limit`.

    A text of fewer words is one run, a copy only when it is word for word a seed. The share of samples that are copies
    tells how far a generator has memorised its seeds.
    """
    if not texts or not seeds:
        return (False,) * len(texts)
    seed_words = [plain_words(text) for text in seeds]
    index = run_index(_copy_runs(seed_words), len(seeds))
    found = np.zeros(len(texts), dtype=bool)
    for start in range(0, len(texts), 8 * BLOCK):
        words = [plain_words(text) for text in texts[start : start + 8 * BLOCK]]
        runs = _copy_runs(words)
        shared = shared_runs(index, runs, len(words))
        either = runs.counts(len(words))[shared.rows] + index.counts[shared.texts] - shared.amount
        found[start + shared.rows[shared.amount > limit * either]] = True
    return tuple(bool(one) for one in found)


def near_duplicates(texts: Sequence[str], num_seeds: int, threshold: float = 0.8) -> frozenset[int]:
    """Places of rows whose words are nearly those of an earlier kept text, by the similarity of `data.dedup`.

    The first `num_seeds` texts are seeds and stay. Chains do not count: a row is dropped for a kept text only, and
    survivors of one chain are compared again until none is dropped.
    """
    dropped: set[int] = set()
    places = list(range(len(texts)))
    while places:
        groups = near_duplicate_groups([texts[place] for place in places], threshold)
        before = len(dropped)
        for pair in sorted(groups.pairs, key=lambda pair: (pair.second, pair.first)):
            if places[pair.second] >= num_seeds and places[pair.first] not in dropped:
                dropped.add(places[pair.second])
        if len(dropped) == before:
            break
        places = _survivors(places, groups.group_of, dropped, num_seeds)
    return frozenset(dropped)


def cosine_duplicates(
    texts: Sequence[str], num_seeds: int, threshold: float = 0.92, *, embed: Embed | None = None, seed: int = 0
) -> frozenset[int]:
    """Places of rows whose vector has a cosine of at least `threshold` with an earlier kept text.

    Vectors are TF-IDF of single words, whatever their order, or what `embed` gives. Exact: sketches only choose what
    is compared. 100,000 texts are 5 billion pairs of sketches, half a minute on two cores; by cell it is far less.
    """
    if len(texts) <= num_seeds or len(texts) < 2:
        return frozenset()
    space = _embedded(embed(texts)) if embed else _word_space(texts, seed)
    kept = np.arange(num_seeds, dtype=np.int64)
    dropped: set[int] = set()
    for start in range(num_seeds, len(texts), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(texts)), dtype=np.int64)
        rows = rows[~_like_kept(space, rows, kept, threshold)]
        fresh = _first_of_each(space, rows, threshold)
        dropped |= set(range(start, min(start + BLOCK, len(texts)))) - set(fresh.tolist())
        kept = np.concatenate([kept, fresh])
    return frozenset(dropped)


def _copy_runs(words: Sequence[Sequence[str]]) -> Any:
    """Runs of 8 words; a shorter text as one run, by filling it up with a word that no text has."""
    return hashed_runs([[*text, *["\n"] * (COPY_RUN - len(text))] for text in words], (COPY_RUN,))


def _survivors(places: list[int], group_of: tuple[int, ...], dropped: set[int], num_seeds: int) -> list[int]:
    """Places in groups that still hold two texts, one of them a row."""
    members: dict[int, list[int]] = {}
    for place, group in zip(places, group_of, strict=True):
        if place not in dropped:
            members.setdefault(group, []).append(place)
    return sorted(place for group in members.values() if len(group) > 1 and group[-1] >= num_seeds for place in group)


def _word_space(texts: Sequence[str], seed: int) -> _Space:
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    counts = HashingVectorizer(
        analyzer=plain_words, n_features=NUM_WORD_BUCKETS, alternate_sign=False, norm=None, dtype=np.float32
    ).transform(texts)
    exact = csr_array(TfidfTransformer(sublinear_tf=True).fit_transform(counts))
    signs = np.random.default_rng(seed).integers(0, 2, (NUM_WORD_BUCKETS, SKETCH_SIZE), dtype=np.int8)
    sketches = np.empty((len(texts), SKETCH_SIZE), dtype=np.float32)
    signs_of = signs.astype(np.float32) * 2 - 1
    for start in range(0, len(texts), TILE):
        sketches[start : start + TILE] = exact[start : start + TILE] @ signs_of
    return _Space(exact, _unit(sketches), SKETCH_MARGIN)


def _embedded(vectors: NDArray[Any]) -> _Space:
    unit = _unit(np.asarray(vectors, dtype=np.float32))
    return _Space(unit, unit, 1e-5)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _like_kept(space: _Space, rows: NDArray[np.int64], kept: NDArray[np.int64], threshold: float) -> NDArray[np.bool_]:
    """Whether each row is too like a text that was kept before."""
    found = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(kept), TILE):
        tile = kept[start : start + TILE]
        likeness = space.sketches[rows] @ space.sketches[tile].T
        near = np.flatnonzero(~found & (likeness.max(axis=1) >= threshold - space.margin))
        if not len(near):
            continue
        count = min(MOST_COMPARED, len(tile))
        best = np.argpartition(likeness[near], len(tile) - count, axis=1)[:, -count:]
        pairs = space.cosines(np.repeat(rows[near], count), tile[best.ravel()])
        found[near] |= (pairs.reshape(len(near), count) >= threshold).any(axis=1)
    return found


def _first_of_each(space: _Space, rows: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """The rows of one block that are not too like an earlier kept one of the block."""
    likeness = np.tril(space.sketches[rows] @ space.sketches[rows].T, -1)
    later, earlier = np.nonzero(likeness >= threshold - space.margin)
    kept = np.ones(len(rows), dtype=bool)
    for at in np.unique(later):
        others = earlier[np.searchsorted(later, at) : np.searchsorted(later, at, side="right")]
        others = others[kept[others]]
        if len(others) and (space.cosines(np.full(len(others), rows[at]), rows[others]) >= threshold).any():
            kept[at] = False
    return rows[kept]
