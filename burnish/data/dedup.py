"""Near duplicates: which examples ask nearly the same, so that no two of them are on different sides of a test.

A prompt is the set of its runs of 1 to 5 words; two are near duplicates when the Jaccard similarity of their sets
reaches the threshold. MinHash (Broder, 1997, SEQUENCES, "On the Resemblance and Containment of Documents") finds
candidates, the sets themselves decide. Single words count, unlike with plain 5-grams, so that short questions differ
by degrees: one other word in six gives 0.2 to 0.6, a "please" behind ten words 0.9.
"""

import re
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import NamedTuple

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from burnish.data.runs import Hashes, run_hashes
from burnish.records import Example

NUM_PERMUTATIONS = 128
LONGEST_RUN = 5
MOST_WORDS = 2000
"""Of a longer prompt the first and the last thousand words count."""

COMMON_SHARE = 0.1
"""Runs that stand in more of the different prompts than this are shared instructions and say nothing about one row."""

COMMON_ROWS = 20
"""Below so many rows with the same run it is never called shared."""

RECALL = 0.99
"""Share of the pairs exactly at the threshold that become candidates."""

MOST_COMPARED = 64
"""A text is compared with so many earlier candidates at most; in a crowd of near duplicates the first ones tell."""

WORD = re.compile(r"[぀-ヿ㐀-鿿豈-﫿฀-๿]|[^\W぀-ヿ㐀-鿿豈-﫿฀-๿]+")
"""A word, or one character of scripts that are written without spaces (Chinese, Japanese, Thai)."""


class Pair(NamedTuple):
    """Two near duplicates, by their places in the list, and how similar they are (0 to 1)."""

    first: int
    second: int
    similarity: float


class Groups(NamedTuple):
    """Near duplicates joined: chains count, so two members may be less alike than the threshold."""

    group_of: tuple[int, ...]
    """Group number of each example; examples without a near duplicate have one of their own."""
    pairs: tuple[Pair, ...]
    """Enough pairs to connect every group: not all that exist, but one for each join."""

    @property
    def num_joined(self) -> int:
        """Examples that are in a group with another one, less one for each such group: what is not new."""
        return len(self.group_of) - len(set(self.group_of))


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, punctuation left out; a text without words counts by its characters."""
    found: list[str] = WORD.findall(text.casefold())
    if len(found) > MOST_WORDS:
        found = found[: MOST_WORDS // 2] + found[-MOST_WORDS // 2 :]
    return found or list(text.strip())


def prompt_text(example: Example) -> str:
    """What is compared: the turns before the answer, without the system message, which rows share by design."""
    return "\n".join(turn.content for turn in example.prompt if turn.role != "system")


def similarity(first: str, second: str) -> float:
    """Jaccard similarity of two texts, 0 to 1, over their runs of 1 to 5 words; the reference that the search obeys."""
    sets = [
        {tuple(words[at : at + size]) for size in range(1, LONGEST_RUN + 1) for at in range(len(words) - size + 1)}
        for words in (words_of(first), words_of(second))
    ]
    return len(sets[0] & sets[1]) / max(1, len(sets[0] | sets[1]))


def near_duplicate_groups(texts: Sequence[str], threshold: float) -> Groups:
    """Joins texts whose similarity is at least `threshold`; 0 joins only equal word sequences, as 1 does.

    20,000 prompts of 60 words take about 10 s on one core and 0.9 GB. Deterministic in the order of `texts`. Misses
    about one pair in a hundred at the threshold itself, fewer above.
    """
    words = [words_of(text) for text in texts]
    firsts: dict[tuple[str, ...], int] = {}
    twin_of = [firsts.setdefault(tuple(found), place) for place, found in enumerate(words)]
    union = _Union(len(texts))
    pairs = [Pair(twin, place, 1.0) for place, twin in enumerate(twin_of) if twin != place]
    for twin, place, _ in pairs:
        union.join(twin, place)
    if 0 < threshold < 1 and len(firsts) > 1:
        places = sorted(firsts.values())
        sets = _run_sets([words[place] for place in places])
        among_sets = _Union(len(places))
        for first, second, alike in _search(sets, threshold, among_sets):
            pairs.append(Pair(places[first], places[second], alike))
            union.join(places[first], places[second])
    return Groups(tuple(union.root(place) for place in range(len(texts))), tuple(pairs))


class _Union:
    """Disjoint sets; the root is always the earliest member."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def root(self, place: int) -> int:
        while self.parent[place] != place:
            self.parent[place] = self.parent[self.parent[place]]
            place = self.parent[place]
        return place

    def join(self, first: int, second: int) -> bool:
        """True when they were apart."""
        low, high = sorted((self.root(first), self.root(second)))
        self.parent[high] = low
        return low != high


class RunSets(NamedTuple):
    """The sets of all texts, laid end to end: hashes sorted and unique within each text."""

    hashes: Hashes
    starts: NDArray[np.int64]
    """Where each text begins; one more than there are texts."""

    def of(self, text: int) -> Hashes:
        """The set of one text."""
        return self.hashes[self.starts[text] : self.starts[text + 1]]


def _run_sets(words: Sequence[Sequence[str]]) -> RunSets:
    """Hashes of all runs of 1 to 5 words per text, without those that too many texts share."""
    hashes, owners = run_hashes(words, range(1, LONGEST_RUN + 1))
    return _unique_per_text(hashes, owners, len(words))


def _unique_per_text(hashes: Hashes, owners: NDArray[np.int64], num_texts: int) -> RunSets:
    order = np.lexsort((hashes, owners))
    hashes, owners = hashes[order], owners[order]
    keep = np.ones(len(hashes), dtype=bool)
    keep[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
    hashes, owners = hashes[keep], owners[keep]
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    is_rare = (counts <= max(COMMON_ROWS, COMMON_SHARE * num_texts))[inverse]
    has_rare = np.bincount(owners[is_rare], minlength=num_texts) > 0
    is_kept = is_rare | ~has_rare[owners]
    hashes, owners = hashes[is_kept], owners[is_kept]
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=num_texts))])
    return RunSets(hashes, starts)


def _search(sets: RunSets, threshold: float, union: _Union) -> Iterable[tuple[int, int, float]]:
    """Pairs whose sets are similar enough and that `union` did not hold yet; it holds them afterwards."""
    band_rows = _rows_per_band(threshold)
    index = MinHashLSH(num_perm=NUM_PERMUTATIONS, params=(NUM_PERMUTATIONS // band_rows, band_rows))
    drawn = MinHash(NUM_PERMUTATIONS, scheme="affine64").permutations  # from one seed: each sketch would draw the same
    for text in range(len(sets.starts) - 1):
        sketch = MinHash(NUM_PERMUTATIONS, hashfunc=int, scheme="affine64", permutations=drawn)
        sketch.update_batch(sets.of(text).tolist())
        for other in nsmallest(MOST_COMPARED, index.query(sketch)):
            if union.root(other) == union.root(text):
                continue
            found = _jaccard(sets.of(other), sets.of(text))
            if found >= threshold:
                union.join(other, text)
                yield other, text, found
        index.insert(text, sketch, check_duplication=False)


def _rows_per_band(threshold: float) -> int:
    """Most rows per band for which a pair at the threshold is still found with the wanted chance."""
    sizes = range(1, NUM_PERMUTATIONS + 1)
    good = [rows for rows in sizes if 1 - (1 - threshold**rows) ** (NUM_PERMUTATIONS // rows) >= RECALL]
    return max(good, default=1)


def _jaccard(first: Hashes, second: Hashes) -> float:
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)
