"""What two simple classifiers, fitted on people's rows, think of a row's label; never by a fit that saw its parents.

Words: logistic regression over TF-IDF, one label against the rest (as right as all at once, and ten times faster).
Neighbours: the nearest seeds. They know nothing that the seeds do not say, so they find rows that are off, and cannot
tell whether a new thing is right.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.blas import one_thread
from burnish.data.dedup import prompt_text
from burnish.fingerprint import fingerprint
from burnish.records import Example

WORDS, NEIGHBOURS = "words", "neighbours"
NUM_FOLDS = 5
FEWEST = 4
"""Seeds of a label that a fit must have seen before it may vote on it; with fewer it would call the label unlikely."""
NEAREST = 5
STRENGTH = 10.0
"""Inverse regularisation of the logistic regression; TF-IDF rows have length 1."""

Votes = Mapping[str, float]
"""By voter, how much of its belief is in the row's label, 0 to 1; a voter that cannot tell is not there."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """Both classifiers on some of the seeds."""

    labels: tuple[str, ...]
    counts: Mapping[str, int]
    words: Any
    vectors: Any
    answers: tuple[str, ...]


class Voters:
    """The classifiers, fitted anew for each set of folds that must not be seen, and kept."""

    def __init__(self, seeds: Sequence[Example], *, num_folds: int = NUM_FOLDS) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union

        self.seeds = list(seeds)
        self.fold_of = folds(seeds, num_folds)
        self.union = make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
        )
        self.vectors = _unit(self.union.fit_transform([prompt_text(seed) for seed in seeds]))
        self._fits: dict[frozenset[int], _Fit | None] = {}

    def of_seeds(self, labels: Mapping[str, str]) -> list[Votes]:
        """Votes on each seed under the label given by its id, by the fit that did not see its fold."""
        unseen = [frozenset([self.fold_of[seed.id]]) for seed in self.seeds]
        return self._votes(self.vectors, [labels[seed.id] for seed in self.seeds], unseen)

    def of_rows(self, rows: Sequence[Example], parents: Mapping[str, Collection[str]]) -> list[Votes]:
        """Votes on made rows, by fits that saw no fold with a parent of theirs."""
        if not rows:
            return []
        vectors = _unit(self.union.transform([prompt_text(row) for row in rows]))
        unseen = [
            frozenset(self.fold_of[name] for name in parents.get(row.id, ()) if name in self.fold_of) for row in rows
        ]
        return self._votes(vectors, [row.answer for row in rows], unseen)

    def _votes(self, vectors: Any, labels: Sequence[str], unseen: Sequence[frozenset[int]]) -> list[Votes]:
        found: list[Votes] = [{}] * len(labels)
        places: dict[frozenset[int], list[int]] = defaultdict(list)
        for at, folded in enumerate(unseen):
            places[folded].append(at)
        for folded, own in places.items():
            fit = self._fit(folded)
            for at, votes in zip(own, _ask(fit, vectors[own], [labels[at] for at in own]), strict=True):
                found[at] = votes
        return found

    def _fit(self, unseen: frozenset[int]) -> _Fit | None:
        """None where what is left has fewer than two labels."""
        if unseen not in self._fits:
            kept = [at for at, seed in enumerate(self.seeds) if self.fold_of[seed.id] not in unseen]
            self._fits[unseen] = _fitted(self.vectors[kept], [self.seeds[at].answer for at in kept]) if kept else None
        return self._fits[unseen]


def folds(seeds: Sequence[Example], num_folds: int) -> dict[str, int]:
    """The fold of each seed by id: groups whole, the groups of each label dealt out in turn, whatever their order."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for seed in seeds:
        groups[seed.group].append(seed)
    by_label: dict[str, list[str]] = defaultdict(list)
    for name, rows in groups.items():
        label = min(Counter(row.answer for row in rows).items(), key=lambda item: (-item[1], item[0]))[0]
        by_label[label].append(name)
    fold: dict[str, int] = {}
    for label, names in sorted(by_label.items()):
        start = int(fingerprint(["fold", label])[:8], 16)
        for place, name in enumerate(sorted(names, key=lambda name: fingerprint(["fold", name]))):
            fold[name] = (start + place) % num_folds
    return {seed.id: fold[seed.group] for seed in seeds}


@one_thread()
def _fitted(vectors: Any, answers: Sequence[str]) -> _Fit | None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    if len(set(answers)) < 2:
        return None
    one = LogisticRegression(C=STRENGTH, solver="liblinear", class_weight="balanced")
    words = OneVsRestClassifier(one).fit(vectors, answers)
    return _Fit(tuple(words.classes_), Counter(answers), words, vectors, tuple(answers))


def _ask(fit: _Fit | None, vectors: Any, labels: Sequence[str]) -> list[Votes]:
    if fit is None:
        return [{} for _ in labels]
    place = {label: at for at, label in enumerate(fit.labels)}
    beliefs = fit.words.predict_proba(vectors)
    cosines: NDArray[np.float64] = np.asarray((vectors @ fit.vectors.T).todense())
    found: list[Votes] = []
    for at, label in enumerate(labels):
        if fit.counts.get(label, 0) < FEWEST:
            found.append({})
            continue
        nearest = np.argsort(-cosines[at], kind="stable")[:NEAREST]
        weights = np.maximum(cosines[at][nearest], 0.0) * [fit.counts[fit.answers[name]] ** -0.5 for name in nearest]
        own = sum(weight for weight, name in zip(weights, nearest, strict=True) if fit.answers[name] == label)
        votes = {WORDS: float(beliefs[at][place[label]])}
        if weights.sum() > 0:
            votes[NEIGHBOURS] = float(own / weights.sum())
        found.append(votes)
    return found


def _unit(vectors: Any) -> Any:
    from sklearn.preprocessing import normalize

    return normalize(vectors)
