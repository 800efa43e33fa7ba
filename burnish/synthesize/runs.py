"""Runs of neighbouring words as keyed 64-bit hashes, and how many of them two sets of texts share.

What the copy check and the decontamination count with; a hash tells two runs apart, not what they said.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from burnish.data.dedup import WORD
from burnish.data.runs import Hashes, Places, run_hashes


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
    """The runs of the given numbers of words, each once a text; see `data.runs` for `key`."""
    return _unique(*run_hashes(words, sizes, key))


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


def _unique(hashes: Hashes, owners: Places) -> Runs:
    order = np.lexsort((hashes, owners))
    hashes, owners = hashes[order], owners[order]
    is_first = np.ones(len(hashes), dtype=bool)
    is_first[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
    return Runs(hashes[is_first], owners[is_first])
