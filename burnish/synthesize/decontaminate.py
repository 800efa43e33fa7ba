"""A service that says keep or drop of generated rows, so that none repeats an item that a model is measured by.

Whoever generates holds a `Decontaminator`: keyed hashes of the protected texts, never the texts, and answers without
reasons. It keeps an honest program from seeing what it must not; it is no vault against someone who tries words until
the hashes match, which is why questions are counted and capped.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.errors import DataError
from burnish.synthesize.runs import (
    Runs,
    hashed_runs,
    places_in,
    plain_words,
    run_index,
    shared_runs,
)

Bools = NDArray[np.bool_]

LONG_RUN = 13
"""A run of so many words that a protected text shares is a leak by itself."""
RUN = 8
RUN_SHARE = 0.5
"""Share of a protected text's 8-word runs from which a row repeats it."""
SHORTEST_WHOLE = 5
"""A protected text of 5 to 7 words has no run of 8: it counts as one run, so that it leaks when a row holds it whole.
A shorter one stands in many rows by chance and leaks only through likeness."""
JACCARD = 0.6
"""Similarity over runs of 1 to 5 words from which two texts are nearly the same; roles are kept apart from 0.7 on."""
COSINE = 0.9
"""Cosine of words weighted by their rarity from which two texts say the same, in whatever order."""
RUNS_OF_LIKENESS = (1, 2, 3, 4, 5)
PAIRS_AT_ONCE = 8_000_000


class Decontaminator:
    """Keep or drop by row, for at most so many rows; it says no more than that.

    A row is dropped when it holds half of a protected text's 8-word runs, or any of its 13-word runs (Brown et al.
    2020, arXiv 2005.14165, use 13), or is nearly the same by shared runs or by weighted words, which is what tells in
    messages too short to have such runs. A free paraphrase passes (Yang et al. 2023, arXiv 2311.04850): nothing that
    counts words finds it.
    """

    def __init__(self, protected: Sequence[str], *, key: bytes, most_rows: int, num_asked: int = 0) -> None:
        """Takes the texts in as hashes under `key` (1 to 64 bytes, kept by the caller) and lets go of them.

        `num_asked` is what earlier processes asked already; `most_rows` caps the sum.
        """
        assert 0 < len(key) <= 64, f"a key of {len(key)} bytes"
        self._key = key
        self._most_rows = most_rows
        self._num_asked = num_asked
        words = [found for text in protected if (found := plain_words(text))]
        self._runs = run_index(self._whole_runs(words), len(words))
        self._long = np.unique(hashed_runs(words, (LONG_RUN,), key).hashes)
        self._likeness = run_index(hashed_runs(words, RUNS_OF_LIKENESS, key), len(words))
        singles = hashed_runs(words, (1,), key)
        self._words = run_index(singles, len(words))
        seen = np.bincount(places_in(self._words.vocabulary, singles.hashes)[0], minlength=len(self._words.vocabulary))
        self._rarity = np.log((1 + len(words)) / (1 + seen)) + 1
        self._unseen = float(np.log(1 + len(words)) + 1)
        self._lengths = np.sqrt(np.asarray((self._rarity**2) @ self._words.matrix))

    def __repr__(self) -> str:
        return f"Decontaminator({self._num_asked:,} of {self._most_rows:,} rows asked)"

    @property
    def num_asked(self) -> int:
        """Rows asked so far, earlier processes included; to be logged."""
        return self._num_asked

    def keep(self, texts: Sequence[str]) -> tuple[bool, ...]:
        """Whether each row may be kept, and nothing else. Give the prompt without its system message.

        Raises DataError, with no row answered, when the rows would pass the cap.
        """
        if self._num_asked + len(texts) > self._most_rows:
            raise DataError(
                f"{len(texts):,} more rows would be held against the protected ones; {self._num_asked:,} of at most "
                f"{self._most_rows:,} were already",
                hint="make fewer rows in this round: every question tells a little about rows that must stay unknown",
            )
        self._num_asked += len(texts)
        num_texts = max(1, self._words.matrix.shape[1])
        block = max(16, min(8192, PAIRS_AT_ONCE // num_texts))
        found: list[bool] = []
        for start in range(0, len(texts), block):
            words = [plain_words(text) for text in texts[start : start + block]]
            leaks = self._repeats(words) | self._is_like(words)
            found += [not leak for leak in leaks]
        return tuple(found)

    def _whole_runs(self, words: Sequence[Sequence[str]]) -> Runs:
        """Runs of 8 words; of texts of 5 to 7 words the whole."""
        hashes, owners = [], []
        for size in range(SHORTEST_WHOLE, RUN + 1):
            places = [at for at, text in enumerate(words) if min(RUN, len(text)) == size]
            runs = hashed_runs([words[at] for at in places], (size,), self._key)
            hashes.append(runs.hashes)
            owners.append(np.asarray(places, dtype=np.int64)[runs.owners])
        return Runs(np.concatenate(hashes), np.concatenate(owners))

    def _repeats(self, words: Sequence[Sequence[str]]) -> Bools:
        leaks = np.zeros(len(words), dtype=bool)
        shared = shared_runs(self._runs, hashed_runs(words, range(SHORTEST_WHOLE, RUN + 1), self._key), len(words))
        leaks[shared.rows[shared.amount >= RUN_SHARE * self._runs.counts[shared.texts]]] = True
        long = hashed_runs(words, (LONG_RUN,), self._key)
        leaks[long.owners[places_in(self._long, long.hashes)[1]]] = True
        return leaks

    def _is_like(self, words: Sequence[Sequence[str]]) -> Bools:
        leaks = np.zeros(len(words), dtype=bool)
        runs = hashed_runs(words, RUNS_OF_LIKENESS, self._key)
        shared = shared_runs(self._likeness, runs, len(words))
        either = runs.counts(len(words))[shared.rows] + self._likeness.counts[shared.texts] - shared.amount
        leaks[shared.rows[shared.amount >= JACCARD * either]] = True
        singles = hashed_runs(words, (1,), self._key)
        product = shared_runs(self._words, singles, len(words), self._rarity**2)
        cosine = product.amount / (self._row_lengths(singles, len(words))[product.rows] * self._lengths[product.texts])
        leaks[product.rows[cosine >= COSINE]] = True
        return leaks

    def _row_lengths(self, singles: Runs, num_rows: int) -> NDArray[np.float64]:
        places, known = places_in(self._words.vocabulary, singles.hashes)
        weights: Any = np.full(len(singles.hashes), self._unseen)
        weights[known] = self._rarity[places[known]]
        return np.sqrt(np.bincount(singles.owners, weights=weights**2, minlength=num_rows))
