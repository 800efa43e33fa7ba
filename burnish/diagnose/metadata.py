"""Slices by columns: every declared value, and the conjunctions of two that errors gather in (SliceLine in numpy).

Columns are the metadata of the rows, in label tasks the expected answer, and what is read off the form of the texts.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from burnish.data.slices import ANSWER, MOST_VALUES
from burnish.diagnose.confirm import MIN_ROWS
from burnish.diagnose.rows import Bools, Rows
from burnish.diagnose.words import form_of, length_edges
from burnish.errors import DataError

SIZE_WEIGHT = 0.05
"""1 - alpha of SliceLine: what a slice's smallness costs against how much worse than the mean it is."""

SHORTLIST = 64
"""Slices of the highest score that are looked at further; 16 at most are brought forward in the end."""

Columns = tuple[Mapping[str, str], ...]


class Place(NamedTuple):
    """A slice that may be weak: what defines it, and its rows in both sets."""

    name: str
    kind: Literal["declared", "metadata", "text"]
    columns: Mapping[str, str]
    terms: tuple[str, ...]
    in_a_N: Bools
    in_b_N: Bools


def min_support(rows: int) -> int:
    """Rows that a discovered slice must have: 20 or 1%, the larger; in sets below 200 rows a tenth, and at least 5.

    SliceLine's floor of 20 would leave a dev set of 45 rows with halves only. Five is the least that can be tested.
    """
    return max(min(20, math.ceil(rows / 10)), math.ceil(rows / 100), MIN_ROWS)


def with_form(a: Rows, b: Rows) -> tuple[Columns, Columns]:
    """The columns of both sets with those read off the texts; lengths are cut where dev_a says."""
    edges = length_edges(a.texts)
    return _formed(a, edges), _formed(b, edges)


def _formed(rows: Rows, edges: Sequence[int]) -> Columns:
    return tuple({**form_of(text, edges), **own} for text, own in zip(rows.texts, rows.columns, strict=True))


def declared_places(a: Rows, b: Rows, declared: Sequence[str]) -> list[Place]:
    """One slice for each value of the declared columns, and in label tasks of the expected answer, of 5 rows and more.

    Raises DataError when a declared column is in no row.
    """
    known = {column for row in a.columns for column in row}
    for column in declared:
        if column not in known:
            raise DataError(
                f"no row of dev_a has the column {column!r}",
                hint=f"data.slices may name {', '.join(sorted(known)[:20]) or 'nothing: the rows have no columns'}",
            )
    wanted = sorted({*declared, *({ANSWER} & known)})
    pairs = sorted({(column, row[column]) for row in a.columns for column in wanted if column in row})
    places = [_place("declared", (pair,), a.columns, b.columns) for pair in pairs]
    return [place for place in places if MIN_ROWS <= place.in_a_N.sum() <= len(place.in_a_N) - MIN_ROWS]


def sliced_places(a: Rows, b: Rows) -> tuple[list[Place], list[Place]]:
    """(every single value with enough rows, the shortlist of values and pairs of values by SliceLine's score).

    Score = 0.95 (mean error of the slice / mean error - 1) - 0.05 (n / n_slice - 1) (Sagadeeva and Boehm 2021,
    SliceLine, SIGMOD). Two-way products of the one-hot matrix give all sizes and errors at once; a pair stays when it
    scores above both of its halves. No pruning bounds: at two columns and 20 values each there is nothing to prune.
    """
    a_columns, b_columns = with_form(a, b)
    names = _short_columns(a_columns)
    least, n = min_support(len(a.error_N)), len(a.error_N)
    counts: dict[tuple[str, str], list[int]] = {}
    for at, row in enumerate(a_columns):
        for name in names:
            if name in row:
                counts.setdefault((name, row[name]), []).append(at)
    pairs = sorted(pair for pair, rows in counts.items() if least <= len(rows) <= n - least)
    hot_NF = np.zeros((n, len(pairs)), dtype=np.float64)
    for column, pair in enumerate(pairs):
        hot_NF[counts[pair], column] = 1.0
    singles = [_place("metadata", (pair,), a_columns, b_columns) for pair in pairs]
    chosen = _best(hot_NF, a.error_N, least)
    found = [
        singles[first] if first == second else _place("metadata", (pairs[first], pairs[second]), a_columns, b_columns)
        for first, second in chosen
    ]
    return singles, found


def _short_columns(columns: Columns) -> list[str]:
    """Columns with 2 to 20 values, and the expected answer however many labels there are."""
    values: dict[str, set[str]] = {}
    for row in columns:
        for column, value in row.items():
            values.setdefault(column, set()).add(value)
    return sorted(
        name for name, seen in values.items() if len(seen) >= 2 and (len(seen) <= MOST_VALUES or name == ANSWER)
    )


def _best(hot_NF: np.ndarray, error_N: np.ndarray, least: int) -> list[tuple[int, int]]:
    """Pairs of columns of the one-hot matrix, (i, i) for a single one, by score, if above 0 and above their parts."""
    if not hot_NF.shape[1] or not error_N.sum():
        return []
    n = len(error_N)
    size_FF = hot_NF.T @ hot_NF
    error_FF = hot_NF.T @ (error_N[:, None] * hot_NF)
    kept_FF = (size_FF >= least) & (size_FF <= n - least)
    size_FF = np.maximum(size_FF, 1.0)
    worse_FF = error_FF / size_FF / error_N.mean() - 1.0
    score_FF = np.where(kept_FF, (1 - SIZE_WEIGHT) * worse_FF - SIZE_WEIGHT * (n / size_FF - 1.0), -np.inf)
    own_F = np.diagonal(score_FF)
    parts_FF = np.maximum(own_F[:, None], own_F[None, :])
    beyond_FF = score_FF > np.where(np.eye(len(own_F), dtype=bool), 0.0, np.maximum(parts_FF, 0.0))
    first, second = np.nonzero(np.triu(beyond_FF))
    order = sorted(range(len(first)), key=lambda at: (-score_FF[first[at], second[at]], first[at], second[at]))
    return [(int(first[at]), int(second[at])) for at in order[:SHORTLIST]]


def _place(
    kind: Literal["declared", "metadata"], pairs: Sequence[tuple[str, str]], a_columns: Columns, b_columns: Columns
) -> Place:
    def members(columns: Columns) -> Bools:
        return np.array([all(row.get(column) == value for column, value in pairs) for row in columns], dtype=bool)

    name = " & ".join(f"{column}={value}" for column, value in pairs)
    return Place(name, kind, dict(pairs), (), members(a_columns), members(b_columns))
