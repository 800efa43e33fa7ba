"""The training rows nearest to a text by TF-IDF: what a model could have learnt an answer from."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from burnish.diagnose.rows import Floats, text_of
from burnish.diagnose.words import content_terms
from burnish.records import Example

NEAREST = 5
BATCH = 256
"""Texts compared with all training rows at once; with 40,000 of those it takes 80 MB."""

SAMPLE = 1000
"""Training rows from which it is learnt how near rows of one answer usually are."""

NEAR_RANGE = (0.1, 0.5)
"""Bounds of that similarity, so that a training set of copies or of strangers cannot bend it out of sense."""


class Neighbours(NamedTuple):
    """What lies around one text in the training set."""

    answers: tuple[str, ...]
    """Answers of the nearest training rows that share a content term, at most five, nearest first."""
    similarity: tuple[float, ...]
    """Cosine to each, 0 to 1."""
    shared: tuple[int, ...]
    """Content terms in common with each."""
    near_gold: int
    """Training rows with the expected answer, or any answer where answers are free, that are near."""
    gold: int
    """Training rows with the expected answer, near or not."""
    nearest_gold: float
    """Similarity of the nearest of them; 0 without one."""
    unseen: tuple[str, ...]
    """Content terms of the text that no training row has, in the order of the text."""


class Index(NamedTuple):
    """The training rows as vectors."""

    reader: Any
    """The fitted TfidfVectorizer."""
    matrix: Any
    """Sparse, one line a training row."""
    answers: tuple[str, ...]
    terms: tuple[frozenset[str], ...]
    near: float
    """Similarity from which a training row counts as near: a quarter of the rows have no row of their answer nearer."""


def index_of(train: Sequence[Example]) -> Index | None:
    """The training rows made ready for looking up; None when they have no content terms."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    ordered = sorted(train, key=lambda example: example.id)
    terms = tuple(frozenset(content_terms(text_of(example))) for example in ordered)
    if not any(terms):
        return None
    reader = TfidfVectorizer(tokenizer=content_terms, token_pattern=None, lowercase=False, sublinear_tf=True)
    matrix = reader.fit_transform([text_of(example) for example in ordered])
    answers = tuple(example.answer.strip() for example in ordered)
    return Index(reader, matrix, answers, terms, _usual_nearness(matrix, answers))


def neighbours_of(index: Index, texts: Sequence[str], expected: Sequence[str] | None) -> list[Neighbours]:
    """What lies around each text; `expected` holds the gold answers, None where answers are free."""
    answers = np.array(index.answers, dtype=object)
    found: list[Neighbours] = []
    for start in range(0, len(texts), BATCH):
        part = texts[start : start + BATCH]
        likeness_NT = (index.reader.transform(part) @ index.matrix.T).toarray()
        for at, text in enumerate(part):
            is_gold = answers == expected[start + at].strip() if expected is not None else np.ones(len(answers), bool)
            found.append(_around(index, text, likeness_NT[at], is_gold))
    return found


def _around(index: Index, text: str, likeness_T: Floats, is_gold: np.ndarray) -> Neighbours:
    own = content_terms(text)
    once = frozenset(own)
    order = [int(at) for at in np.argsort(-likeness_T, kind="stable")[:NEAREST] if likeness_T[at] > 0]
    gold_T = likeness_T[is_gold]
    return Neighbours(
        answers=tuple(index.answers[at] for at in order),
        similarity=tuple(float(likeness_T[at]) for at in order),
        shared=tuple(len(once & index.terms[at]) for at in order),
        near_gold=int((gold_T >= index.near).sum()),
        gold=int(is_gold.sum()),
        nearest_gold=float(gold_T.max(initial=0.0)),
        unseen=tuple(dict.fromkeys(term for term in own if term not in index.reader.vocabulary_)),
    )


def _usual_nearness(matrix: Any, answers: Sequence[str]) -> float:
    """The lower quartile of how near a training row's nearest row of the same answer is, within NEAR_RANGE."""
    rows = np.linspace(0, len(answers) - 1, min(SAMPLE, len(answers))).astype(int)
    kinds = np.unique(np.array(answers, dtype=str), return_inverse=True)[1]
    nearest = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        likeness = (matrix[part] @ matrix.T).toarray()
        likeness[kinds[part][:, None] != kinds[None, :]] = 0.0
        likeness[np.arange(len(part)), part] = 0.0
        nearest.append(likeness.max(axis=1))
    return float(np.clip(np.quantile(np.concatenate(nearest), 0.25), *NEAR_RANGE))
