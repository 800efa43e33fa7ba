"""The measures beside the score in words: a table of both models, and the reasons of those that do not apply."""

from typing import NamedTuple

from burnish.evaluate.change import NOT_COMPARED, MeasureChange, SliceChange
from burnish.records import Interval
from burnish.report.record import RoundReport
from burnish.report.words import MINUS, percent, points, span

TELLING = ("better", "worse")
DISTANCE = {"better": "nearer to the base", "worse": "further from the base"}
"""Verdicts on a divergence in nats: to move away from the base is what training is for, so it is not called worse."""

NONE_COMPARED = "None of them can be compared row by row here."


class MeasureRow(NamedTuple):
    """A measure, or a slice of one, as the table shows it."""

    name: str
    counts: str
    wanted: str
    rows: int
    before: str
    after: str
    difference: str
    verdict: str
    note: str


class Missing(NamedTuple):
    """Measures that do not apply, and why."""

    names: str
    why: str


class Finding(NamedTuple):
    """Something that a measure objects to in an answer of the challenger."""

    measure: str
    example: str
    text: str


class MeasureWords(NamedTuple):
    """All measures of a round, ready for a template."""

    lead: str
    rows: tuple[MeasureRow, ...]
    slices: tuple[MeasureRow, ...]
    """Slices whose change holds after correcting for their number."""
    missing: tuple[Missing, ...]
    findings: tuple[Finding, ...]


def measure_words(report: RoundReport) -> MeasureWords | None:
    """What the report says about the measures; None for a round that took none."""
    if not report.measures:
        return None
    taken = [one for one in report.measures if not one.why_missing]
    return MeasureWords(
        lead=_lead(taken),
        rows=tuple(_row(one, one, one.name, one.note) for one in taken),
        slices=tuple(
            _row(one, part, f"{one.name}, {part.slice}", "")
            for one in taken
            for part in one.slices
            if part.verdict in TELLING
        ),
        missing=_missing(report.measures),
        findings=tuple(Finding(one.name, found.example, found.text) for one in taken for found in one.samples),
    )


def _lead(taken: list[MeasureChange]) -> str:
    compared = [one for one in taken if one.verdict != NOT_COMPARED and one.unit == "share"]
    named = {word: ", ".join(one.name for one in compared if one.verdict == word) for word in TELLING}
    told = [f"{word}: {names}" for word, names in named.items() if names]
    seen = "; ".join(told) if told else "no difference is seen in any of them"
    found = f"Of {len(compared)} measures that can be compared row by row, {seen}." if compared else NONE_COMPARED
    return (
        f"What the score does not say, on the same rows of dev_a before and after. {found} Each has its own 95% "
        "interval; nothing is corrected for their number."
    )


def _row(one: MeasureChange, part: MeasureChange | SliceChange, name: str, note: str) -> MeasureRow:
    is_share = one.unit == "share"
    return MeasureRow(
        name=name,
        counts=one.counts,
        wanted=one.direction,
        rows=part.after.n,
        before=_share(part.before) if is_share else _nats(part.before),
        after=_share(part.after) if is_share else _nats(part.after),
        difference=_difference(part.difference, is_share=is_share),
        verdict=part.verdict if is_share else DISTANCE.get(part.verdict, part.verdict),
        note=note,
    )


def _share(interval: Interval) -> str:
    return "n/a" if interval.value is None else f"{percent(interval.value)} {span(interval)}"


def _nats(interval: Interval) -> str:
    if interval.value is None:
        return "n/a"
    bounds = "" if interval.low is None or interval.high is None else f" [{interval.low:.3f}, {interval.high:.3f}]"
    return f"{interval.value:.3f} nats{bounds}"


def _difference(interval: Interval, *, is_share: bool) -> str:
    if interval.value is None:
        return ""
    if is_share:
        return f"{points(interval.value)} {span(interval, signed=True)}"
    bounds = "" if interval.low is None or interval.high is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"{interval.value:+.3f} nats{bounds}".replace("-", MINUS)


def _missing(measures: tuple[MeasureChange, ...]) -> tuple[Missing, ...]:
    names: dict[str, list[str]] = {}
    for one in measures:
        if one.why_missing:
            names.setdefault(one.why_missing.partition(": ")[2] or one.why_missing, []).append(one.name)
    return tuple(Missing(", ".join(found), why) for why, found in names.items())
