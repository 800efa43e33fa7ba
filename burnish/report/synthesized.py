"""The synthetic rows of a round in words: what was made and kept, what it trained on, and who has judged it."""

from collections.abc import Sequence
from typing import NamedTuple

from burnish.records import Cell, Interval, Trial, from_json
from burnish.report.record import MadeRow, RoundReport, SynthesisReport
from burnish.report.words import count, percent, span
from burnish.synthesize.coverage import Coverage

MOST_CELLS = 12
"""Cells in the table, the first ones; the others are counted."""
STATES = {
    "accepted": "It passed its audit.",
    "unaudited": "Nobody judged it. It trains all the same, as the setting synthesize.take_unaudited says.",
    "waiting": "It trains nothing before people have judged a blind sample of it: burnish audit.",
    "rejected": "It failed its audit and trains nothing.",
}
PURPOSES = {"weakness": "weak places", "prevalence": "as frequent as it is", "edge": "edges"}
PEOPLE = "-people"
"""End of the name of a candidate that learned from people's rows alone."""


class CellRow(NamedTuple):
    """A cell as the table shows it."""

    purpose: str
    wanted: int
    what: str
    why: str


class Fact(NamedTuple):
    """A number and what it means."""

    name: str
    value: str
    meaning: str


class SynthesisWords(NamedTuple):
    """Everything about synthetic rows, ready for a template."""

    lead: str
    warning: str
    """Empty, or what a reader must not miss."""
    cells: tuple[CellRow, ...]
    more: int
    facts: tuple[Fact, ...]
    dropped: tuple[tuple[str, int], ...]
    worth: str
    """The best candidate with synthetic rows against the best without, on dev_b; empty where not both were there."""
    shown: tuple[MadeRow, ...]
    notes: tuple[str, ...]


def synthesis_words(report: RoundReport) -> SynthesisWords | None:
    """What the report says about synthetic rows; None where there are none."""
    told = report.synthesis
    if told is None:
        return None
    batch = told.batch
    cells = batch.cells if batch else ()
    return SynthesisWords(
        lead=_lead(told),
        warning=_warning(told),
        cells=tuple(_cell(cell) for cell in cells[:MOST_CELLS]),
        more=max(0, len(cells) - MOST_CELLS),
        facts=(*_shares(told), *_coverage(batch.coverage if batch else None), *_verifiers(told)),
        dropped=tuple(batch.by_reason.items()) if batch else (),
        worth=_worth(report.trials),
        shown=told.shown,
        notes=(*(f"alarm: {alarm}" for alarm in told.alarms), *told.notes, *told.verified.get("notes", ())),
    )


def _lead(told: SynthesisReport) -> str:
    if told.batch is None:
        return "This round made no rows; it trained on synthetic rows of earlier rounds."
    batch = told.batch
    return (
        f"This round made {count(batch.num_made)} rows and kept {count(batch.num_kept)} of them as {batch.batch}. "
        f"{STATES[told.state]}"
    )


def _warning(told: SynthesisReport) -> str:
    if told.unaudited and told.num_synthetic:
        return f"Trained on without an audit: {', '.join(told.unaudited)}."
    return ""


def _cell(cell: Cell) -> CellRow:
    parts = [cell.answer] if cell.answer else []
    parts += [f"{column}={value}" for column, value in sorted(cell.columns.items())]
    parts += [f"about {', '.join(cell.terms[:4])}"] if cell.terms else []
    return CellRow(PURPOSES[cell.purpose], cell.count, ", ".join(parts) or "as it comes", cell.why)


def _shares(told: SynthesisReport) -> list[Fact]:
    total = told.num_people + told.num_synthetic
    share = told.num_synthetic / total if total else 0.0
    value = f"{count(told.num_synthetic)} of {count(total)} ({percent(share)})"
    return [Fact("synthetic rows trained on", value, "of all training rows, each counted once")]


def _coverage(found: Coverage | None) -> list[Fact]:
    if found is None:
        return []
    facts = [
        Fact("variety", f"{found.vendi_ratio:.2f}", "Vendi score over that of real rows at equal n; 1: as varied"),
        Fact("covered", _share(found.recall), "real rows of dev_a with a synthetic one near; 0.9 for the same source"),
    ]
    if found.auc is not None and found.auc.value is not None:
        facts.append(
            Fact("told apart", f"{found.auc.value:.2f}", "area under the curve of a classifier; 0.5: not at all")
        )
    return facts


def _verifiers(told: SynthesisReport) -> list[Fact]:
    """What the verifiers are worth, measured on people's rows by fits that had not seen them."""
    if not told.verified:
        return []
    kept, caught = (from_json(Interval, told.verified[name]) for name in ("kept", "caught"))
    unjudged = count(told.verified["num_rows_unjudged"])
    if "checks" in told.verified:
        return [
            Fact("verifiers keep", _share(kept), "of people's rows as they are"),
            Fact("verifiers catch", _share(caught), "of the same rows with one value of another row"),
            Fact("not judged", unjudged, "rows that state nothing the verifiers look at"),
            Fact("looked at", count(len(told.verified["checks"])), "; ".join(told.verified["checks"]) or "nothing"),
        ]
    return [
        Fact("verifiers keep", _share(kept), "of people's rows under their own label"),
        Fact("verifiers catch", _share(caught), "of the same rows under another label"),
        Fact("not judged", unjudged, "rows of labels with too few rows of people"),
    ]


def _share(share: Interval) -> str:
    return f"{percent(share.value)} {span(share)}"


def _worth(trials: Sequence[Trial]) -> str:
    best = [
        max(
            (one for one in trials if one.candidate.name.endswith(PEOPLE) is alone and one.dev_score),
            key=lambda one: (one.dev_score.value if one.dev_score else None) or 0.0,
            default=None,
        )
        for alone in (False, True)
    ]
    with_rows, without = best
    if with_rows is None or without is None or not with_rows.dev_score or not without.dev_score:
        return ""
    return (
        f"On dev_b, which chooses and proves nothing, the best candidate with synthetic rows scored "
        f"{_share(with_rows.dev_score)}, the best without them {_share(without.dev_score)}."
    )
