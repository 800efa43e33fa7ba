"""Plots as inline SVG, drawn by hand: whiskers, learning curves, searches, rounds; colours come from the page's CSS.

Each plot is drawn for a width in CSS pixels, so that its text keeps its size; the page holds a wide and a narrow one.
Figures in `aria-label` say in words what the plot shows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from burnish.records import Candidate, Interval, Trial
from burnish.report.record import PastRound, SearchReport, SearchTrial
from burnish.report.svg import CHAR_WIDTH, NARROW_BELOW, cut, line, svg, text
from burnish.report.words import is_in_use

Scale = Callable[[float], float]
STOPPED = ("outrun", "diverged")
"""Ends of trials that stopped on the way; their curves are thin."""
WIDE_RANGE = 3.0
"""Losses that span more than this factor are drawn on a log scale, or the last differences would not be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhiskerRow:
    """One line of a dot-and-whisker plot; a row without marks is a heading."""

    label: str
    marks: tuple[tuple[str, Interval], ...] = ()
    """(class, interval): the class names the colour, before or after."""
    note: str = ""
    """Small text beside the label, such as the number of rows."""
    text: str = ""
    """Text at the right edge, such as the gain."""
    tone: str = ""
    """Class of that text: better, worse or empty."""


class Point(NamedTuple):
    """A place in data units."""

    x: float
    y: float


def whisker_plot(rows: Sequence[WhiskerRow], width: int, label: str, *, axis: str = "") -> Markup:
    """Intervals on a common axis of 0 to 100%, one line a row; narrow plots put the labels above the lines."""
    narrow = width < NARROW_BELOW
    longest = max((len(row.label) + len(row.note) for row in rows), default=0)
    left, right = (4.0, width - 8.0) if narrow else (min(300.0, 44 + CHAR_WIDTH * longest), width - 100.0)
    across = _scale(0.0, 1.0, left, right)
    parts, y = [], 18.0
    for row in rows:
        if row.marks:
            parts.append(_whisker_row(row, width, y, across, room=width - 120 if narrow else left - 24, narrow=narrow))
            y += 50 if narrow else 32
        else:
            parts.append(text(4 if narrow else 0, y + (16 if narrow else 24), row.label, "head"))
            y += 34
    bottom = y + 2
    grid = [_axis_line(across(tick), 10, bottom, f"{round(100 * tick)}%") for tick in (0.0, 0.25, 0.5, 0.75, 1.0)]
    if axis:
        grid.append(text((left + right) / 2, bottom + 35, axis, "tick", anchor="middle"))
    return svg(width, bottom + (42 if axis else 24), label, grid + parts)


def _whisker_row(row: WhiskerRow, width: int, y: float, across: Scale, *, room: float, narrow: bool) -> str:
    base, middle = (y + 8, y + 29) if narrow else (y + 19, y + 15)
    name = cut(row.label, int((room - CHAR_WIDTH * len(row.note)) / CHAR_WIDTH))
    parts = [text(4 if narrow else 0, base, name, "label", note=row.note)]
    if row.text:
        parts.append(text(width - 4, base, row.text, f"value {row.tone}".strip(), anchor="end"))
    spread = 5.0 if len(row.marks) > 1 else 0.0
    for place, (kind, interval) in enumerate(row.marks):
        if interval.value is None:
            continue
        height = middle + spread * (2 * place - 1)
        if interval.low is not None and interval.high is not None:
            parts.append(line(across(interval.low), height, across(interval.high), height, f"whisker {kind}"))
        parts.append(f'<circle class="mark {kind}" cx="{across(interval.value):.1f}" cy="{height:.1f}" r="4.5"/>')
    return "".join(parts)


def curve_plot(trials: Sequence[Trial], chosen: str, guessing_loss: float | None, width: int, label: str) -> Markup:
    """Dev loss (solid) and train loss (dotted) of every adapter tried, in nats per token over epochs."""
    narrow = width < NARROW_BELOW
    height, left, right = (230.0 if narrow else 280.0), 42.0, width - (74.0 if narrow else 110.0)
    lines = [(trial, *_curves(trial)) for trial in trials]
    points = [point for _, dev, train in lines for point in (*dev, *train)]
    if not points:
        return Markup("")
    top = max(p.y for p in points)
    if guessing_loss is not None and guessing_loss <= 2 * top:
        top = max(top, guessing_loss)
    ticks = _ticks(min(0.0, *(p.y for p in points)), top)
    across = _scale(0.0, max(max(p.x for p in points), 1e-9), left, right)
    up = _scale(ticks[0], ticks[-1], height - 34, 28)
    parts = [text(2, 11, "loss, nats per token", "tick")]
    parts += [_level(up(tick), left, right, f"{tick:g}") for tick in ticks]
    parts += [text(across(tick), height - 16, f"{tick:g}", "tick", anchor="middle") for tick in _epochs(points)]
    parts.append(text((left + right) / 2, height - 1, "epochs", "tick", anchor="middle"))
    if guessing_loss is not None and ticks[0] <= guessing_loss <= ticks[-1]:
        parts.append(line(left, up(guessing_loss), right, up(guessing_loss), "guess"))
        parts.append(text(right, up(guessing_loss) - 5, "guessing", "tick", anchor="end"))
    for trial, dev, train in sorted(lines, key=lambda line: line[0].candidate.name == chosen):
        kind = "after" if trial.candidate.name == chosen else "other"
        parts += [_curve(train, across, up, f"curve train {kind}"), _curve(dev, across, up, f"curve dev {kind}")]
    parts += _end_labels(lines, chosen, across, up, right)
    return svg(width, height + 6, label, parts)


def _curves(trial: Trial) -> tuple[list[Point], list[Point]]:
    dev = [Point(p.epoch, p.dev_loss) for p in trial.curve if p.dev_loss is not None and math.isfinite(p.dev_loss)]
    train = [
        Point(p.epoch, p.train_loss) for p in trial.curve if p.train_loss is not None and math.isfinite(p.train_loss)
    ]
    return dev, train


def _curve(points: Sequence[Point], across: Scale, up: Scale, kind: str) -> str:
    if not points:
        return ""
    places = [f"{across(p.x):.1f},{up(p.y):.1f}" for p in points]
    if len(places) == 1:
        return f'<circle class="{kind}" cx="{across(points[0].x):.1f}" cy="{up(points[0].y):.1f}" r="3"/>'
    return f'<path class="{kind}" d="M{" L".join(places)}"/>'


def _end_labels(
    lines: Sequence[tuple[Trial, list[Point], list[Point]]], chosen: str, across: Scale, up: Scale, right: float
) -> list[str]:
    """What tells the adapters apart, at the end of each curve."""
    ends = [(up((dev or train)[-1].y), trial.candidate) for trial, dev, train in lines if dev or train]
    kinds, tags = {chosen: "tick strong"}, _tags([one for _, one in ends])
    return _labels([_End(right, y, tags[one.name], kinds.get(one.name, "tick")) for y, one in ends])


def _tags(candidates: Sequence[Candidate]) -> dict[str, str]:
    """The learning rate of each by its name, or alpha where that alone differs, or its name where neither is enough."""
    for tags in (
        {one.name: f"lr {one.lr:.3g}" for one in candidates},
        {one.name: f"alpha {one.alpha:g}" for one in candidates},
    ):
        if len(set(tags.values())) == len(candidates):
            return tags
    return {one.name: one.name for one in candidates}


class _End(NamedTuple):
    """Where a curve ends, and what is written there."""

    x: float
    y: float
    text: str
    kind: str


def _labels(ends: Sequence[_End]) -> list[str]:
    """The texts at the ends of curves, pushed apart so that none covers another."""
    parts, last = [], -math.inf
    for end in sorted(ends, key=lambda end: end.y):
        last = max(end.y, last + 15)
        parts.append(text(end.x + 8, last + 4, end.text, end.kind))
    return parts


def search_plot(search: SearchReport, guessing_loss: float | None, width: int, label: str) -> Markup:
    """Held-out loss of every trial of a search, in nats per token over epochs; thin where it stopped on the way.

    A loss above twice that of guessing runs along the upper edge.
    """
    narrow = width < NARROW_BELOW
    height, left, right = (230.0 if narrow else 280.0), 42.0, width - (58.0 if narrow else 78.0)
    lines = [(one, _curves(one.trial)[0]) for one in search.trials]
    points = [point for _, dev in lines for point in dev]
    if not points:
        return Markup("")
    ticks, up, scale = _loss_axis([point.y for point in points], guessing_loss, height - 34, 28)
    across = _scale(0.0, max(max(p.x for p in points), 1e-9), left, right)
    parts = [text(2, 11, f"held-out loss, nats per token{scale}", "tick")]
    parts += [_level(up(tick), left, right, f"{tick:g}") for tick in ticks]
    parts += [text(across(tick), height - 16, f"{tick:g}", "tick", anchor="middle") for tick in _epochs(points)]
    parts.append(text((left + right) / 2, height - 1, "epochs", "tick", anchor="middle"))
    for one, dev in sorted(lines, key=lambda line: (line[0].number == search.chosen, not _is_stopped(line[0]))):
        parts.append(_curve(dev, across, up, f"curve dev {_tone(one, search)}"))
    parts += _trial_labels(lines, search, across, up)
    return svg(width, height + 6, label, parts)


def _loss_axis(
    losses: Sequence[float], guessing_loss: float | None, bottom: float, top: float
) -> tuple[list[float], Scale, str]:
    """Ticks, scale, and the words for it: logarithmic where the losses span a wide range."""
    high = max(losses) if guessing_loss is None else min(max(losses), 2 * guessing_loss)
    low = min(max(min(losses), high / 1e4), high)
    if not 0 < WIDE_RANGE * low < high:
        ticks = _ticks(low, high)
        return ticks, _scale(ticks[0], ticks[-1], bottom, top), ""
    ticks = _log_ticks(low, high)
    inside = _scale(math.log(ticks[0]), math.log(ticks[-1]), bottom, top)
    return ticks, lambda loss: inside(math.log(max(loss, ticks[0]))), ", log scale"


def _is_stopped(one: SearchTrial) -> bool:
    return one.trial.stopped in STOPPED


def _tone(one: SearchTrial, search: SearchReport) -> str:
    return "after" if one.number == search.chosen else "other thin" if _is_stopped(one) else "other"


def _trial_labels(
    lines: Sequence[tuple[SearchTrial, list[Point]]], search: SearchReport, across: Scale, up: Scale
) -> list[str]:
    """The numbers of the chosen trial and of the best one at the ends of their curves, which may end anywhere."""
    kinds = {search.best: "tick over", search.chosen: "tick strong over"}
    named = [(dev[-1], one.number) for one, dev in lines if dev and one.number in kinds]
    return _labels([_End(across(end.x), up(end.y), f"trial {number}", kinds[number]) for end, number in named])


def history_plot(rounds: Sequence[PastRound], width: int, label: str, *, axis: str = "") -> Markup:
    """Each round's champion before and challenger after, with intervals; filled where the challenger was promoted."""
    height, left, right = 230.0, 42.0, width - 12.0
    up = _scale(0.0, 1.0, height - 34, 28)
    step = (right - left) / max(len(rounds), 1)
    parts = [text(2, 11, axis, "tick")] if axis else []
    parts += [_level(up(tick), left, right, f"{round(100 * tick)}%") for tick in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for place, past in enumerate(rounds):
        middle = left + step * (place + 0.5)
        gap = min(14.0, step / 5)
        promoted = "promoted" if is_in_use(past) else "hollow"
        parts.append(_tower(middle - gap, past.before, up, "before"))
        parts.append(_tower(middle + gap, past.after, up, f"after {promoted}"))
        parts.append(text(middle, height - 14, f"{past.round}", "tick", anchor="middle"))
    parts.append(text((left + right) / 2, height + 2, "round", "tick", anchor="middle"))
    return svg(width, height + 8, label, parts)


def _tower(x: float, interval: Interval, up: Scale, kind: str) -> str:
    if interval.value is None:
        return ""
    whisker = ""
    if interval.low is not None and interval.high is not None:
        whisker = line(x, up(interval.low), x, up(interval.high), f"whisker {kind}")
    return f'{whisker}<circle class="mark {kind}" cx="{x:.1f}" cy="{up(interval.value):.1f}" r="5"/>'


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    assert high > low, f"an axis from {low} to {high}"
    return lambda value: start + (min(max(value, low), high) - low) / (high - low) * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers that enclose low to high."""
    reach = max(high - low, 1e-6)
    power = 10.0 ** math.floor(math.log10(reach / 4))
    step = next(power * m for m in (1, 2, 2.5, 5, 10, 20) if reach / (power * m) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * k, 10) for k in range(first, max(last, first + 1) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from the last at or below `low` to the first at or above `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [float(f"{m}e{power}") for power in powers for m in (1, 2, 5)]
    first = max(step for step in steps if step <= low)
    last = min(step for step in steps if step >= high)
    return [step for step in steps if first <= step <= last]


def _epochs(points: Sequence[Point]) -> list[float]:
    most = max(p.x for p in points)
    return [tick for tick in _ticks(0.0, most) if tick <= most + 1e-9]


def _axis_line(x: float, top: float, bottom: float, words: str) -> str:
    return line(x, top, x, bottom, "grid") + text(x, bottom + 17, words, "tick", anchor="middle")


def _level(y: float, left: float, right: float, words: str) -> str:
    return line(left, y, right, y, "grid") + text(left - 8, y + 4, words, "tick", anchor="end")
