"""How a measure changed from one model to the other: the record that a round keeps and shows, without the rows.

Numbers stay in the measure's own unit, so a hallucination that falls from 10% to 4% has a difference of -6 points and
the verdict "better".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from scipy import stats

from burnish.data.quality import snippet
from burnish.evaluate.measure import Direction, Measure, MeasuredRow, Unit, pair
from burnish.records import Comparison, Interval, SliceComparison
from burnish.stats.groups import cluster_t
from burnish.stats.pairs import paired_interval

Family = Literal["hallucination", "abstention", "bias", "jargon", "forgetting"]
NO_PAIRS = Interval(value=None, low=None, high=None, n=0)
NOT_COMPARED = "not compared"
"""The verdict where the answers decide which rows count, or no row has a value from both models."""
MOST_SAMPLES = 3
SAMPLE_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One finding in an answer of the model after, with secrets and personal data masked."""

    example: str
    text: str
    """What it is and how it reads: "number: 4,200"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceChange:
    """A measure of both models on the rows of one slice."""

    slice: str
    before: Interval
    after: Interval
    difference: Interval
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureChange:
    """A measure of two models on the same rows."""

    family: Family
    name: str
    counts: str
    """What it counts, in one sentence."""
    direction: Direction
    unit: Unit
    before: Interval
    after: Interval
    difference: Interval
    """After - before over the rows that both have a value for, paired, in the unit of the measure."""
    verdict: str
    """better, worse, no difference seen, no information, or not compared."""
    p_value: float | None = None
    """Two-sided, of no difference."""
    slices: tuple[SliceChange, ...] = ()
    why_missing: str = ""
    """Why neither model has a value; starts with a stable word and a colon."""
    note: str = ""
    """What the numbers alone do not say."""
    samples: tuple[Sample, ...] = ()
    """The first findings in the answers after."""


class _Pair(NamedTuple):
    difference: float
    group: str
    slices: Mapping[str, str]


def change_of(family: Family, before: Measure, after: Measure, *, note: str = "") -> MeasureChange:
    """The change from one model's measure to the other's; p-values and verdicts are those of `measure.pair`.

    Verdicts of slices are Holm-adjusted over the slices of this measure; over measures nothing is adjusted.
    """
    comparison = pair(before, after) if before.is_pairable and before.rows and after.rows else None
    missing = before.overall.value is None and after.overall.value is None
    return MeasureChange(
        family=family,
        name=after.name,
        counts=after.counts,
        direction=after.direction,
        unit=after.unit,
        before=before.overall,
        after=after.overall,
        difference=_difference(_pairs(before, after), after.unit) if comparison else NO_PAIRS,
        verdict=comparison.overall.verdict if comparison else NOT_COMPARED,
        p_value=comparison.overall.p_value if comparison else None,
        slices=_slices(before, after, comparison),
        why_missing=(after.why_missing or before.why_missing) if missing else "",
        note=note,
        samples=_samples(after),
    )


def _slices(before: Measure, after: Measure, comparison: Comparison | None) -> tuple[SliceChange, ...]:
    judged: dict[str, SliceComparison] = {one.slice: one for one in comparison.slices} if comparison else {}
    pairs = _pairs(before, after) if comparison else []
    found = []
    for name in [name for name in before.slices if name in after.slices]:
        column, _, value = name.partition("=")
        inside = [one for one in pairs if one.slices.get(column) == value]
        found.append(
            SliceChange(
                slice=name,
                before=before.slices[name],
                after=after.slices[name],
                difference=_difference(inside, after.unit),
                verdict=judged[name].verdict if name in judged else NOT_COMPARED,
            )
        )
    return tuple(found)


def _pairs(before: Measure, after: Measure) -> list[_Pair]:
    """The differences of the rows that both have a value for."""
    values = after.value_of()
    both = [(row, row.value, values.get(row.example)) for row in before.rows]
    return [
        _Pair(new - old, row.group or row.example, row.slices)
        for row, old, new in both
        if old is not None and new is not None
    ]


def _difference(pairs: Sequence[_Pair], unit: Unit) -> Interval:
    """The mean difference: as of scores for shares, by the group-robust t for nats, which no bound cuts."""
    if not pairs:
        return NO_PAIRS
    differences, groups = [one.difference for one in pairs], [one.group for one in pairs]
    if unit == "share":
        return Interval(**paired_interval(differences, groups)._asdict())
    test = cluster_t(differences, groups)
    if test.p_greater is None:
        return Interval(value=test.mean, low=None, high=None, n=len(pairs))
    half = float(stats.t.isf(0.025, test.df)) * test.se
    return Interval(value=test.mean, low=test.mean - half, high=test.mean + half, n=len(pairs))


def _samples(measure: Measure) -> tuple[Sample, ...]:
    found = [row for row in measure.rows if row.findings]
    return tuple(Sample(example=row.example, text=_shown(row)) for row in found[:MOST_SAMPLES])


def _shown(row: MeasuredRow) -> str:
    first = row.findings[0]
    return f"{first.kind}: {snippet(first.text, SAMPLE_CHARS)}"
