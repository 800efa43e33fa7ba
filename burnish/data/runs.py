"""Runs of neighbouring words as 64-bit hashes: what near duplicates, copies and leaks are counted with."""

from collections.abc import Collection, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


def run_hashes(words: Sequence[Sequence[str]], sizes: Collection[int], key: bytes = b"") -> tuple[Hashes, Places]:
    """All runs of the given numbers of words, and the text that each is from; a run twice in a text is there twice.

    The same in every process; runs of different sizes never have the same hash by design. `key` (at most 64 bytes)
    makes hashes that only its holder can make again. About 40 bytes a run while it works.
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
    return np.concatenate(hashes), np.concatenate(owners)


def _word_ids(words: Sequence[Sequence[str]], key: bytes) -> Hashes:
    """A 64-bit number per word."""
    known: dict[str, int] = {}
    found: list[int] = []
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
