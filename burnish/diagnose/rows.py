"""The scored rows of an evaluation side by side, in an order of their own, so that none depends on the file's order."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from burnish.data.slices import ANSWER
from burnish.records import Evaluation, Example, Interval, RowResult
from burnish.stats.rates import mean_interval

# Shapes: N rows, G groups, C candidates, D deals, V features of texts, K clusters or labels.
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LABEL_METRIC = "accuracy"
"""The metric of label tasks, in which the expected answer is a slice."""

WRONG_BELOW = {"token_f1": 0.5}
"""Score under which a row counts as wrong, by metric; 1 for the others, where anything short of right is wrong."""


class Rows(NamedTuple):
    """Scored rows sorted by example id."""

    results: tuple[RowResult, ...]
    place_N: Ints
    """Where each row stands in the evaluation."""
    error_N: Floats
    """1 - score, 0 to 1."""
    group_N: Ints
    """Number of the row's group."""
    columns: tuple[Mapping[str, str], ...]
    """Metadata of each row; in a label task also the expected answer, under "answer"."""
    texts: tuple[str, ...]


def rows_of(evaluation: Evaluation, texts: Mapping[str, str]) -> Rows:
    """The scored rows of an evaluation, sorted by example id; rows without a score are left out.

    `texts` holds what was asked, by example id (see `text_of`).
    """
    kept = [(row, place) for place, row in enumerate(evaluation.rows) if row.score is not None]
    kept.sort(key=lambda pair: pair[0].example)
    results = tuple(row for row, _ in kept)
    lacking = [row.example for row in results if row.example not in texts]
    assert not lacking, f"{len(lacking)} rows have no text, first {lacking[0]!r}"
    by_answer = evaluation.metric == LABEL_METRIC
    _, group_N = np.unique(np.array([row.group or row.example for row in results], dtype=str), return_inverse=True)
    return Rows(
        results=results,
        place_N=np.array([place for _, place in kept], dtype=np.int64),
        error_N=1.0 - np.array([row.score for row in results], dtype=np.float64),
        group_N=group_N.astype(np.int64),
        columns=tuple({**row.slices, ANSWER: row.expected} if by_answer else dict(row.slices) for row in results),
        texts=tuple(texts[row.example] for row in results),
    )


def is_wrong(row: RowResult, metric: str) -> bool:
    """Whether a scored row counts as an error: any score below 1, and below 0.5 where the score is token F1."""
    return row.score is not None and row.score < WRONG_BELOW.get(metric, 1.0)


def text_of(example: Example) -> str:
    """What was asked: the turns of the user, one below the other, without system messages and earlier answers."""
    return "\n".join(turn.content for turn in example.prompt if turn.role == "user")


def score_of(rows: Rows, members_N: Bools) -> Interval:
    """Mean score of these rows, with its 95% interval that respects groups (see `stats.mean_interval`)."""
    inside = np.flatnonzero(members_N)
    groups = [str(group) for group in rows.group_N[inside]]
    return Interval(**mean_interval((1.0 - rows.error_N[inside]).tolist(), groups)._asdict())
