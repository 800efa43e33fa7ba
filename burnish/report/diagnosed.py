"""The diagnosis of the champion in words: where it was weak before training, and why probably."""

from typing import NamedTuple

from burnish.diagnose.causes import REMEDIES
from burnish.records import Interval, Weakness
from burnish.report import words
from burnish.report.record import DiagnosisReport, RoundReport

MOST_SHOWN = 8
"""Weaknesses in the table, the first ones; the others are counted, and are in the JSON."""
MOST_TEXTS = 2


class Asked(NamedTuple):
    """A wrong row of dev_a."""

    example: str
    text: str


class WeakRow(NamedTuple):
    """A weakness as the table shows it."""

    name: str
    found: Interval
    checked: Interval
    confirmed: str
    p: str
    share: float
    causes: str
    remedy: str
    asked: tuple[Asked, ...]


class DiagnosisWords(NamedTuple):
    """A diagnosis, ready for a template."""

    lead: str
    rows: tuple[WeakRow, ...]
    more: int
    causes: tuple[tuple[str, int, str], ...]
    """Cause, wrong rows, remedy; of all wrong rows of dev_a."""
    doubted: str
    untested: tuple[str, ...]


def diagnosis_words(report: RoundReport) -> DiagnosisWords | None:
    """What the report says about the champion's weak places; None without a diagnosis."""
    told = report.diagnosis
    if told is None:
        return None
    found = told.found
    shown = found.weaknesses[:MOST_SHOWN]
    return DiagnosisWords(
        lead=_lead(told),
        rows=tuple(_row(weakness, told) for weakness in shown),
        more=len(found.weaknesses) - len(shown),
        causes=tuple((name, count, REMEDIES.get(name, "")) for name, count in found.causes.items()),
        doubted=_doubted(found.num_suspects),
        untested=found.untested,
    )


def weak_sentence(report: RoundReport) -> str:
    """The diagnosis in one sentence for the story; empty without one."""
    if report.diagnosis is None:
        return ""
    found = report.diagnosis.found
    proven = [weakness.name for weakness in found.weaknesses if weakness.confirmed]
    if proven:
        named = ", ".join(proven[:3]) + (f" and {len(proven) - 3} more" if len(proven) > 3 else "")
        return f"Before training, {found.model} was found to be weak in {named}: seen on dev_a and confirmed on dev_b."
    return (
        f"Before training, {found.model} was looked through for weak places: {len(found.weaknesses)} stood out on "
        "dev_a, none was confirmed on dev_b."
    )


def _lead(told: DiagnosisReport) -> str:
    found = told.found
    proven = sum(weakness.confirmed for weakness in found.weaknesses)
    places = (
        f"{len(found.weaknesses)} slices stand out; {proven} of them are confirmed on the {found.num_checked} rows of "
        "dev_b, which did not choose them."
        if found.weaknesses
        else "No slice stands out."
    )
    wrong = f"Before training {found.model} had {found.num_wrong} of {found.num_looked} rows of dev_a wrong."
    return f"{wrong} {places} {told.note}".strip()


def _row(weakness: Weakness, told: DiagnosisReport) -> WeakRow:
    named = [name for name in weakness.examples if name in told.texts][:MOST_TEXTS]
    return WeakRow(
        name=weakness.name,
        found=weakness.found,
        checked=weakness.checked,
        confirmed="confirmed" if weakness.confirmed else "not tested" if weakness.p_holm is None else "not confirmed",
        p="" if weakness.p_holm is None else words.p_value(weakness.p_holm),
        share=weakness.prevalence,
        causes=", ".join(f"{name} {count}" for name, count in list(weakness.causes.items())[:3]),
        remedy=weakness.remedy,
        asked=tuple(Asked(name, told.texts[name]) for name in named),
    )


def _doubted(count: int | None) -> str:
    if count is None:
        return ""
    if not count:
        return "No gold answer of train and dev_a is doubted."
    return f"{count} gold answers of train and dev_a are doubted and worth a second look; burnish diagnose says more."
