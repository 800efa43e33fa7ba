"""Hand-offs in words, the same on a terminal and in a report: who answers alone, and how much less goes to people."""

from typing import NamedTuple

from burnish.evaluate.handoff import HandoffChange, HandoffPart, HandoffSide
from burnish.grammar import agree
from burnish.records import Interval
from burnish.report.words import percent, points, span

COLUMNS = ("rows", "number", "handed off before", "after", "reduction in points [95%]", "of the hand-offs", "verdict")
VERDICTS = {"better": "fewer hand-offs", "worse": "more hand-offs"}


class HandoffRow(NamedTuple):
    """A part of the rows as the table shows it; the fields are those of COLUMNS."""

    name: str
    rows: int
    before: str
    after: str
    reduction: str
    relative: str
    verdict: str

    @property
    def tone(self) -> str:
        """How a page colours the verdict."""
        return next((word for word, said in VERDICTS.items() if said == self.verdict), "soft")


class HandoffWords(NamedTuple):
    """A comparison of hand-offs, ready for a template or a terminal."""

    lead: str
    sides: tuple[str, ...]
    """How far each model is trusted."""
    rows: tuple[HandoffRow, ...]
    """All rows, then the rare ones and the others."""
    slices: tuple[HandoffRow, ...]
    telling: tuple[HandoffRow, ...]
    """Slices whose change holds after correcting for their number."""
    notes: tuple[str, ...]


def handoff_words(change: HandoffChange | None, *, looked: str = "rows of dev_a") -> HandoffWords | None:
    """What is said about hand-offs on the rows that were looked at; None without a comparison."""
    if change is None:
        return None
    slices = tuple((part, _row(part)) for part in change.slices)
    return HandoffWords(
        lead=handoff_sentence(change, looked),
        sides=(_trust(change.before, looked), _trust(change.after, looked)),
        rows=tuple(_row(part) for part in (change.overall, *change.rare)),
        slices=tuple(row for _, row in slices),
        telling=tuple(row for part, row in slices if part.verdict in VERDICTS),
        notes=tuple(_notes(change)),
    )


def handoff_sentence(change: HandoffChange, looked: str = "rows of dev_a") -> str:
    """The comparison in one sentence, with the interval of the reduction."""
    whole = change.overall
    before, after = percent(whole.before.value), percent(whole.after.value)
    start = (
        f"On {whole.before.n} {looked} {change.before.model} hands {before} of the cases to a person and "
        f"{change.after.model} {after}"
    )
    if whole.verdict not in VERDICTS:
        return f"{start}: {whole.verdict}, {points(whole.reduction.value)} points {span(whole.reduction, signed=True)}."
    return (
        f"{start}: {VERDICTS[whole.verdict]}, a reduction by {points(whole.reduction.value)} points "
        f"{span(whole.reduction, signed=True)}, {_of_handoffs(whole.relative)} of the hand-offs."
    )


def _trust(side: HandoffSide, looked: str) -> str:
    limit = side.threshold
    aim = f"at most {100 * limit.target:g}% wrong with {100 * (1 - limit.delta):g}% confidence"
    if limit.value is None:
        return f"{side.model}: everything is handed off; {limit.why.partition(': ')[2]} (wanted: {aim})"
    seen = f"{percent(side.wrong.value)} {span(side.wrong)} of {side.wrong.n}" if side.wrong.n else "none was given"
    return (
        f"{side.model}: answers by itself above a probability of {limit.value:.3g}, set on {limit.num_rows} rows of "
        f"dev_b ({limit.num_wrong} of {limit.num_answered} answers wrong; {aim}); of its own answers to the {looked} "
        f"wrong: {seen}"
    )


def _row(part: HandoffPart) -> HandoffRow:
    return HandoffRow(
        name=part.name,
        rows=part.before.n,
        before=f"{percent(part.before.value)} {span(part.before)}",
        after=f"{percent(part.after.value)} {span(part.after)}",
        reduction=f"{points(part.reduction.value)} {span(part.reduction, signed=True)}",
        relative=_of_handoffs(part.relative),
        verdict=VERDICTS.get(part.verdict, part.verdict),
    )


def _of_handoffs(relative: Interval) -> str:
    if relative.value is None:
        return "n/a"
    bounds = "" if relative.low is None or relative.high is None else f" {span(relative, signed=True)}"
    return f"{points(relative.value)}%{bounds}"


def _notes(change: HandoffChange) -> list[str]:
    told = [
        f"rare {column}: {', '.join(values)}, the third with the fewest training rows"
        for column, values in change.rare_values.items()
    ]
    if change.num_unscored:
        unscored = agree(change.num_unscored, "row has no score and is", "rows have no score and are")
        told.append(f"{unscored} left out")
    return told
