"""From rows to numbers: the score over all rows and per slice, each with its 95% interval."""

from collections.abc import Sequence
from typing import NamedTuple

from burnish.records import Interval, RowResult
from burnish.stats.rates import mean_interval

ANSWER_COLUMN = "answer"
"""The column under which a label task's expected label becomes a slice."""

MIN_ANSWER_ROWS = 5
"""Labels with fewer rows than this are no slice of their own: their interval would say nothing."""


class Summary(NamedTuple):
    """The numbers of an evaluation."""

    overall: Interval
    slices: dict[str, Interval]
    """Keyed "column=value", by column in the given order, then by value."""


def summarise(rows: Sequence[RowResult], columns: Sequence[str]) -> Summary:
    """The mean score of all rows and of each value of each column, rows without a score left out.

    Wilson for independent scores of 0 and 1, group-robust otherwise (see `stats.mean_interval`).
    """
    kept: dict[tuple[int, str, str], list[RowResult]] = {}
    for row in rows:
        for place, column in enumerate(columns):
            if column in row.slices:
                kept.setdefault((place, column, row.slices[column]), []).append(row)
    slices = {
        f"{column}={value}": interval_of(found)
        for (_, column, value), found in sorted(kept.items(), key=lambda item: item[0])
        if column != ANSWER_COLUMN or len(found) >= MIN_ANSWER_ROWS
    }
    return Summary(interval_of(rows), slices)


def interval_of(rows: Sequence[RowResult]) -> Interval:
    """The mean score of these rows, those without a score left out."""
    scored = [(row.score, row.group or row.example) for row in rows if row.score is not None]
    return Interval(**mean_interval([score for score, _ in scored], [group for _, group in scored])._asdict())


def is_in_slice(row: RowResult, name: str) -> bool:
    """Whether a row belongs to the slice "column=value"."""
    return any(f"{column}={value}" == name for column, value in row.slices.items())
