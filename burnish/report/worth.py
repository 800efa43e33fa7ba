"""Which batch of training rows helped, in words and as the steps of a waterfall, and what a point of it cost."""

from typing import NamedTuple

from burnish.report.record import AttributedBatch, AttributionReport
from burnish.report.waterfall import Step
from burnish.report.words import count, metric_name, percent, points, priced, span

TONES = {"helped": "better", "harmed": "worse"}


class BatchRow(NamedTuple):
    """A batch as the table shows it."""

    name: str
    rows: str
    by: str
    gain: str
    verdict: str
    tone: str
    """better, worse or soft."""
    cost: str
    per_point: str
    use: str


class WorthWords(NamedTuple):
    """Everything about the worth of batches, ready for a template."""

    lead: str
    rows: tuple[BatchRow, ...]
    notes: tuple[str, ...]


def worth_words(told: AttributionReport | None) -> WorthWords | None:
    """What the report says about the worth of batches; None where they were never compared."""
    if told is None:
        return None
    return WorthWords(lead=_lead(told), rows=tuple(_row(one) for one in told.batches), notes=told.notes)


def waterfall_steps(told: AttributionReport) -> list[Step]:
    """From the score without any of the batches, gain by gain, to the score with all of them."""
    first = [] if told.before is None else [Step(label=told.start, interval=told.before, is_level=True)]
    gains = [
        Step(label=one.name, interval=one.gain, tone=TONES.get(one.verdict, ""), note=f"{one.num_rows:,} rows")
        for one in told.batches
    ]
    rest = told.unattributed
    gap = [] if rest is None else [Step(label="overlap or synergy", interval=rest, tone="rest")]
    return [*first, *gains, *gap, Step(label="with all batches", interval=told.after, is_level=True)]


def _lead(told: AttributionReport) -> str:
    repeats = "one training" if told.num_repeats == 1 else f"{told.num_repeats} trainings"
    start = f"Every training learned from {told.start}; " if told.start else ""
    ends = f"with all batches: {percent(told.after.value)} {span(told.after)}"
    if told.before is not None:
        ends = f"without any of them: {percent(told.before.value)} {span(told.before)}, {ends}"
    rest = told.unattributed
    gap = (
        ""
        if rest is None
        else f" What single batches do not add up to: {points(rest.value)} {span(rest, signed=True)}."
    )
    return (
        f"Before this round each batch was left out in turn, {repeats} of each kind. "
        f"{start}{metric_name(told.metric)} on the same {count(told.num_rows)} rows of dev_b, {ends}.{gap}"
    )


def _row(one: AttributedBatch) -> BatchRow:
    return BatchRow(
        name=one.name,
        rows=count(one.num_rows),
        by=one.origin,
        gain=f"{points(one.gain.value)} {span(one.gain, signed=True)}",
        verdict=one.verdict,
        tone=TONES.get(one.verdict, "soft"),
        cost=priced(one.cost),
        per_point=priced(one.cost_per_point),
        use=one.use,
    )
