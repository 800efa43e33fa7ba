"""Runs of neighbouring words as keyed 64-bit hashes, and how many of them two sets of texts share.

What the copy check and the decontamination count with; a hash tells two runs apart, not what they said.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from burnish.data.dedup import WORD

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


class Runs(NamedTuple):
    """The runs of several texts, unique within each text, ordered by text."""

    hashes: Hashes
    owners: Places
    """The text that each hash is from."""

    def counts(self, num_texts: int) -> NDArray[np.float64]:
        """Number of different runs of each text."""
        return np.bincount(self.owners, minlength=num_texts).astype(np.float64)


class RunIndex(NamedTuple):
    """Texts by their runs, to be asked how many runs another text shares with each of them."""

    vocabulary: Hashes
    """Sorted and unique."""
    matrix: Any
    """Sparse, runs by texts."""
    counts: NDArray[np.float64]
    """Number of different runs of each text."""


class Shared(NamedTuple):
    """Pairs of texts that share a run, and how much they share."""

    rows: Places
    texts: Places
    amount: NDArray[np.float64]


def plain_words(text: str) -> list[str]:
    """Every word of a text in small letters, punctuation left out; none is skipped however long the text is."""
    found: list[str] = WORD.findall(text.casefold())
    return found or list(text.strip())


def hashed_runs(words: Sequence[Sequence[str]], sizes: Sequence[int], key: bytes = b"") -> Runs:
    """All runs of the given numbers of words; runs of different sizes never have the same hash by design.

    `key` (at most 64 bytes) makes hashes that only its holder can make again. About 40 bytes a run while it works.
    """
    ids = _word_ids(words, key)
    lengths = np.array([len(text) for text in words], dtype=np.int64)
    text_of = np.repeat(np.arange(len(words), dtype=np.int64), lengths)
    hashes: list[Hashes] = [np.zeros(0, dtype=np.uint64)]
    owners: list[Places] = [np.zeros(0, dtype=np.int64)]
    run = np.zeros(len(ids), dtype=np.uint64)
    for size in range(1, min(max(sizes), len(ids)) + 1):
        count = len(ids) - size + 1
        run = _spread(run[:count] * np.uint64(0x9E3779B97F4A7C15) + ids[size - 1 :] + np.uint64(size))
        if size in sizes:
            inside = text_of[:count] == text_of[size - 1 :]
            hashes.append(run[inside])
            owners.append(text_of[:count][inside])
    return _unique(np.concatenate(hashes), np.concatenate(owners))


def run_index(runs: Runs, num_texts: int) -> RunIndex:
    """An index of texts by their runs."""
    from scipy.sparse import csr_array

    vocabulary, places = np.unique(runs.hashes, return_inverse=True)
    ones = np.ones(len(places), dtype=np.float32)
    matrix = csr_array((ones, (places, runs.owners)), shape=(len(vocabulary), num_texts))
    return RunIndex(vocabulary, matrix, runs.counts(num_texts))


def shared_runs(index: RunIndex, runs: Runs, num_rows: int, weights: NDArray[np.float64] | None = None) -> Shared:
    """How many runs each row shares with each indexed text; with `weights` by run of the index, the sum of those.

    The time grows with the number of pairs that share anything, so ask in blocks of rows.
    """
    from scipy.sparse import csr_array

    places, known = places_in(index.vocabulary, runs.hashes)
    worth = np.ones(int(known.sum()), dtype=np.float32) if weights is None else weights[places[known]]
    rows = csr_array((worth, (runs.owners[known], places[known])), shape=(num_rows, len(index.vocabulary)))
    product = (rows @ index.matrix).tocoo()
    return Shared(product.row.astype(np.int64), product.col.astype(np.int64), product.data.astype(np.float64))


def places_in(vocabulary: Hashes, hashes: Hashes) -> tuple[Places, NDArray[np.bool_]]:
    """Where each hash stands in the sorted vocabulary, and whether it is there at all."""
    if not len(vocabulary):
        return np.zeros(len(hashes), dtype=np.int64), np.zeros(len(hashes), dtype=bool)
    places = np.minimum(np.searchsorted(vocabulary, hashes), len(vocabulary) - 1)
    return places, vocabulary[places] == hashes


def _word_ids(words: Sequence[Sequence[str]], key: bytes) -> Hashes:
    known: dict[str, int] = {}
    found = []
    for text in words:
        for word in text:
            number = known.get(word)
            if number is None:
                digest = blake2b(word.encode("utf-8", "replace"), digest_size=8, key=key).digest()
                number = known[word] = int.from_bytes(digest, "little")
            found.append(number)
    return np.array(found, dtype=np.uint64)


def _spread(values: Hashes) -> Hashes:
    """A bijection that spreads 64 bits (the finaliser of SplitMix64; Steele et al., 2014, OOPSLA)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _unique(hashes: Hashes, owners: Places) -> Runs:
    order = np.lexsort((hashes, owners))
    hashes, owners = hashes[order], owners[order]
    is_first = np.ones(len(hashes), dtype=bool)
    is_first[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
    return Runs(hashes[is_first], owners[is_first])
