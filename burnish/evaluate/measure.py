"""What every measure beside the score looks like: a value per row, an interval overall and per slice, a direction.

Two measures of one set of rows become a Comparison, the noun that the gate and the report already read.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from scipy import stats

from burnish.errors import EvaluationError
from burnish.evaluate.compare import compare
from burnish.evaluate.summary import ANSWER_COLUMN, MIN_ANSWER_ROWS
from burnish.records import Comparison, Evaluation, Example, Interval, RowResult
from burnish.stats.groups import cluster_t
from burnish.stats.rates import mean_interval

Direction = Literal["lower is better", "higher is better"]
Unit = Literal["share", "nats per token"]
NOTHING = Interval(value=None, low=None, high=None, n=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place in an answer that a measure objects to."""

    kind: str
    """What it is, such as number or forbidden-variant."""
    text: str
    start: int
    end: int
    """Characters of the answer, or of one field's value."""
    where: str = ""
    """Name of the field whose value holds it; empty: the answer itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """What a measure says about one example."""

    example: str
    value: float | None
    """None: not measured, see `why_missing`."""
    why_missing: str = ""
    group: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)
    num_items: int = 0
    """Places that were looked at, where the measure looks at places."""
    findings: tuple[Finding, ...] = ()
    note: str = ""
    """For reading, where findings do not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One property of one model's answers to one set of examples, beside their score."""

    name: str
    counts: str
    """What it counts, in one sentence."""
    direction: Direction
    overall: Interval
    slices: Mapping[str, Interval]
    """Keyed "column=value", those with at least one measured row."""
    rows: tuple[MeasuredRow, ...]
    unit: Unit = "share"
    is_pairable: bool = True
    """False where the answers decide which rows count, so that two models cannot be compared row by row."""
    why_missing: str = ""
    """Why there is no value at all; starts with a stable word and a colon."""

    def value_of(self) -> dict[str, float | None]:
        """Value by example id."""
        return {row.example: row.value for row in self.rows}


class Answered(NamedTuple):
    """An example and what a model said to it."""

    example: Example
    row: RowResult

    def measured(
        self, value: float | None, why_missing: str = "", findings: Sequence[Finding] = (), num_items: int = 0
    ) -> MeasuredRow:
        """The row of a measure, with the group and the slices of the evaluation."""
        return MeasuredRow(
            example=self.row.example,
            value=value,
            why_missing=why_missing,
            group=self.row.group,
            slices=self.row.slices,
            findings=tuple(findings),
            num_items=num_items,
        )


def answered(examples: Sequence[Example], evaluation: Evaluation) -> list[Answered]:
    """The rows of an evaluation with their examples, in the evaluation's order.

    Raises EvaluationError when an example is not among those given.
    """
    by_id = {example.id: example for example in examples}
    lacking = [row.example for row in evaluation.rows if row.example not in by_id]
    if lacking:
        raise EvaluationError(
            f"{len(lacking)} rows of the evaluation of {evaluation.model} have no example (first: {lacking[0]})",
            hint="give the examples that were evaluated",
        )
    return [Answered(by_id[row.example], row) for row in evaluation.rows]


def no_answer(row: RowResult) -> str:
    """Why a row cannot be measured whatever the measure; empty when it can."""
    return row.why_missing or "no-answer: the model was not asked" if row.stop_reason == "error" else ""


def measured(
    name: str,
    counts: str,
    direction: Direction,
    rows: Sequence[MeasuredRow],
    *,
    unit: Unit = "share",
    is_pairable: bool = True,
) -> Measure:
    """The measure over these rows: their mean, overall and per value of each column, rows without a value left out.

    Shares get the interval of `stats.mean_interval`; nats per token the group-robust t, which no upper bound cuts.
    Labels with fewer than 5 measured rows are no slice, as in an evaluation.
    """
    kept: dict[str, list[MeasuredRow]] = {}
    columns = dict.fromkeys(column for row in rows for column in row.slices)
    values = [row for row in rows if row.value is not None]
    for column in columns:
        for row in sorted((row for row in values if column in row.slices), key=lambda row: row.slices[column]):
            kept.setdefault(f"{column}={row.slices[column]}", []).append(row)
    slices = {
        key: interval_of(found, unit)
        for key, found in kept.items()
        if key.partition("=")[0] != ANSWER_COLUMN or len(found) >= MIN_ANSWER_ROWS
    }
    return Measure(
        name=name,
        counts=counts,
        direction=direction,
        overall=interval_of(values, unit),
        slices=slices,
        rows=tuple(rows),
        unit=unit,
        is_pairable=is_pairable,
        why_missing="" if values else _common_reason(rows),
    )


def not_applicable(name: str, counts: str, direction: Direction, why: str) -> Measure:
    """A measure that this task cannot have, with the reason; it has no rows."""
    return Measure(name=name, counts=counts, direction=direction, overall=NOTHING, slices={}, rows=(), why_missing=why)


def interval_of(rows: Sequence[MeasuredRow], unit: Unit = "share") -> Interval:
    """The mean of these rows, those without a value left out; a row without a group is its own."""
    found = [(row.value, row.group or row.example) for row in rows if row.value is not None]
    values, groups = [value for value, _ in found], [group for _, group in found]
    if unit == "share":
        return Interval(**mean_interval(values, groups)._asdict())
    if not values:
        return NOTHING
    test = cluster_t(values, groups)
    if test.p_greater is None:
        return Interval(value=test.mean, low=None, high=None, n=len(values))
    half = float(stats.t.isf(0.025, test.df)) * test.se
    return Interval(value=test.mean, low=max(0.0, test.mean - half), high=test.mean + half, n=len(values))


def pair(champion: Measure, challenger: Measure) -> Comparison | None:
    """Challenger against champion on the rows that both have a value for; None where there is no such row.

    Scores are turned so that more is better and 1 is perfect: 1 - value where lower is better, exp(-value) for nats. So
    a positive difference is always an improvement, each lies in [-1, 1], and the gate's guards apply as they are.

    Raises:
        EvaluationError: two measures that are not of one kind, or not of the same rows.
    """
    if champion.name != challenger.name or champion.unit != challenger.unit:
        raise EvaluationError(
            f"{champion.name} ({champion.unit}) cannot be paired with {challenger.name} ({challenger.unit})",
            hint="measure both models in the same way",
        )
    if not champion.is_pairable:
        raise EvaluationError(
            f"the rows of {champion.name} depend on what a model says, so two models cannot be paired on them",
            hint="pair the measures that have is_pairable",
        )
    before, after = champion.value_of(), challenger.value_of()
    if all(before[name] is None or after.get(name) is None for name in before):
        return None
    return compare(_as_evaluation(champion, "champion"), _as_evaluation(challenger, "challenger"))


def goodness(measure: Measure, value: float) -> float:
    """A value of this measure on the scale 0 to 1 on which more is better."""
    if measure.unit == "nats per token":
        return math.exp(-value)
    return 1.0 - value if measure.direction == "lower is better" else value


def _as_evaluation(measure: Measure, model: str) -> Evaluation:
    rows = tuple(
        RowResult(
            example=row.example,
            prompt="",
            output=row.note or "; ".join(f"{found.kind} {found.text}" for found in row.findings),
            expected="",
            score=None if row.value is None else goodness(measure, row.value),
            why_missing=row.why_missing,
            group=row.group,
            slices=row.slices,
        )
        for row in measure.rows
    )
    overall = measure.overall
    return Evaluation(
        model=model,
        model_hash="",
        template_hash="",
        metric=measure.name,
        rows=rows,
        overall=overall,
        slices=measure.slices,
    )


def _common_reason(rows: Sequence[MeasuredRow]) -> str:
    """The reason that most rows give."""
    reasons = [row.why_missing for row in rows]
    return max(reasons, key=reasons.count) if reasons else "no-rows: there is nothing to measure"
