"""The plots of a round's page: what of the report goes into each, drawn wide and narrow."""

from collections.abc import Callable
from typing import NamedTuple

from markupsafe import Markup

from burnish.records import Comparison, SliceComparison
from burnish.report import words
from burnish.report.facts import ladder
from burnish.report.plots import STOPPED, WhiskerRow, curve_plot, history_plot, search_plot, whisker_plot
from burnish.report.record import AttributionReport, RoundReport, SearchReport
from burnish.report.waterfall import waterfall_plot
from burnish.report.worth import waterfall_steps

WIDE, NARROW = 760, 346
"""Widths of the two drawings of each plot, in CSS pixels: the page's column, and a phone's."""
MOST_SLICES = 40
"""Slices in the plot, those with the most rows; the table has all."""
ICONS = {"PROMOTE": "M3 10l4.5 4.5L17 5", "HOLD": "M5 5l10 10M15 5L5 15", "INCONCLUSIVE": "M3 12c2-5 5-5 7-2s5 3 7-2"}


class Plots(NamedTuple):
    """The same plot drawn twice; the page shows the one that fits."""

    wide: Markup
    narrow: Markup


def drawings(report: RoundReport) -> dict[str, Plots | Markup | tuple[Plots, ...] | None]:
    """Every drawing of the page by name; None where the report has nothing to draw."""
    return {
        "ladder": _ladder_plots(report),
        "slices": _slice_plots(report.comparison) if report.comparison else None,
        "search_plots": tuple(_search_plots(part, report.guessing_loss) for part in report.search),
        "waterfall": _waterfall(report.attribution) if report.attribution else None,
        "curves": _curve_plots(report),
        "history": _history_plots(report),
        "icon": Markup(f'<svg viewBox="0 0 20 20" aria-hidden="true"><path d="{ICONS[report.decision]}"/></svg>'),
    }


def _ladder_plots(report: RoundReport) -> Plots:
    rows = [
        WhiskerRow(
            label=name,
            marks=(("after" if name.startswith("after: ") else "before", score),),
            text=words.percent(score.value),
        )
        for name, score in ladder(report)
    ]
    axis = words.metric_name(report.metric)
    label = "; ".join(f"{name} {words.percent(score.value)} {words.span(score)}" for name, score in ladder(report))
    return _twice(lambda width: whisker_plot(rows, width, f"{axis}: {label}", axis=axis.lower()))


def _slice_plots(comparison: Comparison) -> Plots:
    axis = words.metric_name(comparison.metric).lower()
    parts = sorted(comparison.slices, key=lambda part: -part.gain.n)[:MOST_SLICES]
    kept = [part for part in comparison.slices if part in parts]
    rows = [_slice_row(comparison.overall, "all rows")]
    column = None
    for part in kept:
        name, _, value = part.slice.partition("=")
        if name != column:
            rows.append(WhiskerRow(label=name))
            column = name
        rows.append(_slice_row(part, value or name))
    told = (f"{part.slice} {words.percent(part.before.value)} to {words.percent(part.after.value)}" for part in kept)
    label = f"Before and after, overall and by slice: {'; '.join(told)}"
    return _twice(lambda width: whisker_plot(rows, width, label, axis=axis))


def _slice_row(part: SliceComparison, name: str) -> WhiskerRow:
    tone = part.verdict if part.verdict in ("better", "worse") else ""
    sign = {"better": " \N{BLACK UP-POINTING SMALL TRIANGLE}", "worse": " \N{BLACK DOWN-POINTING SMALL TRIANGLE}"}
    gain = "no information" if part.verdict == "no information" else words.points(part.gain.value) + sign.get(tone, "")
    marks = (("before", part.before), ("after", part.after))
    return WhiskerRow(label=name, marks=marks, note=f"{part.gain.n}", text=gain, tone=tone)


def _curve_plots(report: RoundReport) -> Plots | None:
    """The curves of examples alone: the loss of a preference is in another unit."""
    trials = [trial for trial in report.trials if trial.candidate.beta is None]
    if not any(trial.curve for trial in trials):
        return None
    told = [f"{t.candidate.name} ended at {t.dev_loss:.3f}" for t in trials if t.dev_loss is not None]
    label = f"Loss over epochs of {len(trials)} adapters: {'; '.join(told)}"
    return _twice(lambda width: curve_plot(trials, report.chosen, report.guessing_loss, width, label))


def _waterfall(told: AttributionReport) -> Plots:
    return _twice(lambda width: waterfall_plot(waterfall_steps(told), width, metric=told.metric))


def _search_plots(part: SearchReport, guessing_loss: float | None) -> Plots:
    left = sum(one.trial.stopped in STOPPED for one in part.trials)
    ends = {one.number: one.trial.dev_loss for one in part.trials}
    end = None if part.chosen is None else ends[part.chosen]
    chosen = f"; trial {part.chosen} was chosen, its lowest is {end:.3f}" if end is not None else ""
    label = f"Held-out loss over epochs of {len(part.trials)} trials, {left} of them stopped on the way{chosen}"
    return _twice(lambda width: search_plot(part, guessing_loss, width, label))


def _history_plots(report: RoundReport) -> Plots | None:
    if len(report.history) < 2:
        return None
    axis = words.metric_name(report.metric).lower()
    told = [
        f"round {past.round} {words.percent(past.before.value)} to {words.percent(past.after.value)}, "
        f"{words.outcome(past.decision, past.approval).lower()}"
        for past in report.history
    ]
    return _twice(lambda width: history_plot(report.history, width, f"Rounds: {'; '.join(told)}", axis=axis))


def _twice(draw: Callable[[int], Markup]) -> Plots:
    return Plots(draw(WIDE), draw(NARROW))
