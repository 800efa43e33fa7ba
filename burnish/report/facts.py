"""What all formats of a report share: its values by name, the texts of its rows masked, and the templates' filters."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from burnish.data.quality import mask
from burnish.records import Comparison, Flip, Interval, SliceComparison
from burnish.report import words
from burnish.report.decided import decided_words
from burnish.report.diagnosed import diagnosis_words
from burnish.report.handed import handoff_words
from burnish.report.judged import people_words
from burnish.report.measured import measure_words
from burnish.report.record import DiagnosisReport, RoundReport, SynthesisReport
from burnish.report.search import search_words
from burnish.report.story import counts, story
from burnish.report.synthesized import synthesis_words
from burnish.report.worth import worth_words

MOST_FLIPS = 8
"""Rows shown per direction; the others are counted."""


class Note(NamedTuple):
    """A warning, and the samples that it came with, which stay folded."""

    text: str
    samples: str


class FlipSet(NamedTuple):
    """Rows that changed in one direction."""

    title: str
    flips: tuple[Flip, ...]
    more: int
    is_open: bool


def facts(report: RoundReport) -> dict[str, Any]:
    """What the templates call their values by; texts of rows are masked."""
    report = masked(report)
    table = (report.comparison.overall, *report.comparison.slices) if report.comparison else ()
    return {
        "r": report,
        "headline": words.headline(report),
        "plain": words.plain_verdict(report),
        "decision": words.decided(report),
        "metric": words.metric_name(report.metric),
        "sure": "95% interval" if report.gain.low is not None else "no interval",
        "cost": words.total_cost(report),
        "in_use": report.challenger if words.is_in_use(report) else report.champion,
        "story": story(report),
        "counts": counts(report),
        "weak": diagnosis_words(report),
        "made": synthesis_words(report),
        "decided": decided_words(report),
        "worth": worth_words(report.attribution),
        "measures": measure_words(report),
        "people": people_words(report),
        "handoffs": handoff_words(report.handoffs),
        "notes": tuple(_note(warning) for warning in report.warnings),
        "table": table,
        "ladder_rows": ladder(report),
        "slice_words": _slice_words(report),
        "flip_sets": _flip_sets(report.comparison) if report.comparison else (),
        "is_graded": report.metric != "accuracy",
        "trial_words": _trial_words(report),
        "searches": search_words(report),
        "data_words": _data_words(report),
    }


def ladder(report: RoundReport) -> list[tuple[str, Interval]]:
    """Every model of the round with its score, from the untuned base to the challenger."""
    rows = [(baseline.name, baseline.score) for baseline in report.baselines]
    return [*rows, (f"before: {report.champion}", report.before), (f"after: {report.challenger}", report.after)]


def masked(report: RoundReport) -> RoundReport:
    """The report with secrets and personal data masked in every text that came from a row."""
    comparison = report.comparison
    if comparison is not None:
        comparison = replace(comparison, flips=tuple(_masked_flip(flip) for flip in comparison.flips))
    pieces = tuple(replace(piece, text=mask(piece.text)) for piece in report.first_prompt)
    diagnosis = _masked_diagnosis(report.diagnosis) if report.diagnosis else None
    synthesis = _masked_synthesis(report.synthesis) if report.synthesis else None
    return replace(report, comparison=comparison, first_prompt=pieces, diagnosis=diagnosis, synthesis=synthesis)


def _masked_synthesis(told: SynthesisReport) -> SynthesisReport:
    """Texts of rows, which repeat words of people's, and what cells are about."""
    shown = tuple(replace(row, text=mask(row.text), answer=mask(row.answer)) for row in told.shown)
    if told.batch is None:
        return replace(told, shown=shown)
    cells = tuple(replace(cell, terms=tuple(map(mask, cell.terms)), why=mask(cell.why)) for cell in told.batch.cells)
    return replace(told, shown=shown, batch=replace(told.batch, cells=cells))


def _masked_diagnosis(told: DiagnosisReport) -> DiagnosisReport:
    """Texts, and the names of slices, which are made of values and words of rows. Samples of measures are masked."""
    weaknesses = tuple(
        replace(one, name=mask(one.name), terms=tuple(map(mask, one.terms))) for one in told.found.weaknesses
    )
    texts = {name: mask(text) for name, text in told.texts.items()}
    untested = tuple(map(mask, told.found.untested))
    return replace(told, found=replace(told.found, weaknesses=weaknesses, untested=untested), texts=texts)


def _masked_flip(flip: Flip) -> Flip:
    return replace(
        flip,
        prompt=mask(flip.prompt),
        expected=mask(flip.expected),
        before=mask(flip.before),
        after=mask(flip.after),
    )


def _note(warning: str) -> Note:
    text, _, samples = warning.partition(" Samples: ")
    return Note(text, samples)


def _flip_sets(comparison: Comparison) -> tuple[FlipSet, ...]:
    """Losses first: they are what a reader must not miss."""
    overall, is_graded = comparison.overall, comparison.metric != "accuracy"
    told = {False: "right before, wrong now", True: "wrong before, right now"}
    if is_graded:
        told = {False: "score less than before, most changed first", True: "score more than before, most changed first"}
    sets = []
    for gained, title in told.items():
        flips = tuple(flip for flip in comparison.flips if flip.gained == gained)
        number = (overall.wins if gained else overall.losses) if is_graded else len(flips)
        if flips:
            shown = flips[:MOST_FLIPS]
            sets.append(FlipSet(f"{number} {title}", shown, number - len(shown), is_open=not gained))
    return tuple(sets)


def _slice_words(report: RoundReport) -> str:
    slices = report.comparison.slices if report.comparison else ()
    if not slices:
        return "The data has no columns to split it by."
    better, worse = (sum(part.verdict == word for part in slices) for word in ("better", "worse"))
    rest = len(slices) - better - worse
    return f"Of {len(slices)} parts {better} got better, {worse} got worse, and {rest} show no difference."


def _trial_words(report: RoundReport) -> str:
    count = len(report.trials)
    many = f"{count} adapters were trained" if count != 1 else "One adapter was trained"
    idle = sum(not trial.learned for trial in report.trials)
    wasted = f" {idle} learned nothing." if idle else ""
    return f"{many}; {report.chosen or 'none'} was chosen on rows held out for that.{wasted}"


def _data_words(report: RoundReport) -> str:
    data = report.data
    rows, rejected, secrets = sum(data.roles.values()), sum(data.rejected.values()), sum(data.secrets.values())
    parts = [f"{words.count(rows)} rows in {words.count(data.num_groups)} groups; no group is in two roles."]
    if data.num_duplicates or data.num_near_duplicates:
        parts.append(f"{data.num_duplicates} exact and {data.num_near_duplicates} near duplicates were found.")
    parts.append(f"{words.count(rejected)} rows were rejected." if rejected else "No row was rejected.")
    if secrets:
        parts.append(f"{words.count(secrets)} rows hold secrets or personal data.")
    return " ".join(parts)


def pages(*, html: bool) -> Environment:
    """The templates of this folder; HTML is escaped by Jinja, Markdown by a filter on every value."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=html,
        undefined=StrictUndefined,
        finalize=_plain if html else _markdown,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "percent": words.percent,
        "points": words.points,
        "span": words.span,
        "duration": words.duration,
        "money": words.money,
        "count": words.count,
        "outcome": words.outcome,
        "verdict": words.verdict,
        "excerpt": words.excerpt,
        "day": lambda moment: moment[:10],
        "p_value": _p_value,
        "largest": _largest,
        "code": _code,
        "yaml": lambda value: Markup(json.dumps(words.visible(value))),
    }
    return found


def _p_value(part: SliceComparison) -> str:
    p = part.p_value if part.p_holm is None else part.p_holm
    return "" if p is None else words.p_value(p)


def _largest(numbers: Mapping[str, int], most: int = 20) -> dict[str, int]:
    """The most frequent ones in falling order, the rest under one name."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(number for _, number in ordered[most:])
    return dict(ordered[:most]) | ({f"{len(ordered) - most} others": rest} if rest else {})


def _plain(value: Any) -> Any:
    """Data as text that shows what it holds; autoescape does the rest."""
    return words.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _markdown(value: Any) -> Any:
    """Data as Markdown text: on one line, with every character that could start markup or a table cell escaped."""
    if isinstance(value, Markup):
        return value
    line = " ".join(words.visible(str(value)).split())
    escaped = re.sub(r"([\\`*_{}\[\]|~#$!])", r"\\\1", line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(value: str) -> Markup:
    """Data as inline code, fenced by more backticks than it holds."""
    line = " ".join(words.visible(value).split())
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return Markup(f"{fence}{space}{line}{space}{fence}".replace("|", "\\|")) if line else Markup("")
