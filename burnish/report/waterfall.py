"""A waterfall as SVG: from the score without any batch, gain by gain, to the score with all of them.

Gains hang where the one before ended; each has its own whisker. The axis need not begin at zero, so scores are dots.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from burnish.records import Interval
from burnish.report.plots import Scale
from burnish.report.svg import CHAR_WIDTH, NARROW_BELOW, cut, line, svg, text
from burnish.report.words import metric_name, percent, points, span

TICK_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
"""Distances of grid lines, in shares; the smallest that needs at most seven lines."""
MOST_LINES = 7
EDGE = 6.0
KEY = "bars: gains; dots: scores; lines: 95% intervals"
SIGNS = {"better": " \N{BLACK UP-POINTING SMALL TRIANGLE}", "worse": " \N{BLACK DOWN-POINTING SMALL TRIANGLE}"}
LIGHT = "--paper:#fbfaf7;--ink:#211d19;--soft:#665f57;--grid:#ece8e1;--before:#857d73;--better:#1d7048;--worse:#b0281f"
DARK = "--paper:#171513;--ink:#eee9e2;--soft:#aaa297;--grid:#2b2723;--before:#958d82;--better:#67c795;--worse:#f58b82"
"""The colours of the report's page, for a drawing that stands alone."""
STYLE = (
    f":root{{{LIGHT}}}@media (prefers-color-scheme:dark){{:root{{{DARK}}}}}svg{{background:var(--paper)}}"
    'text{font:13px -apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:var(--ink)}'
    ".title{font-size:15px;font-weight:600}.tick,.note{fill:var(--soft);font-size:12px}"
    "text.better{fill:var(--better)}text.worse{fill:var(--worse)}.grid{stroke:var(--grid)}"
    ".link{stroke:var(--soft);stroke-dasharray:2 3}.whisker{stroke:var(--ink);stroke-width:1.5;stroke-linecap:round}"
    ".mark{fill:var(--ink)}rect{fill:var(--before);fill-opacity:.55}"
    "rect.better{fill:var(--better)}rect.worse{fill:var(--worse)}"
    "rect.rest{fill:var(--paper);stroke:var(--soft);stroke-dasharray:3 2}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a waterfall."""

    label: str
    interval: Interval
    """A score, 0 to 1, where the step is a level; else a gain, -1 to 1."""
    is_level: bool = False
    tone: str = ""
    """Class of a gain's bar and text: better, worse, rest (what no single batch explains) or empty."""
    note: str = ""
    """Small text beside the label, such as the number of rows."""


class _Placed(NamedTuple):
    """A step on the axis: where its bar begins and ends, and the ends of its whisker, as shares."""

    step: Step
    start: float
    end: float
    low: float
    high: float


def waterfall_page(steps: Sequence[Step], width: int, *, metric: str) -> str:
    """A waterfall as a file of its own, with the colours of the report in light and dark."""
    drawn = str(waterfall_plot(steps, width, metric=metric))
    opened, inside = drawn.split(">", 1)
    return f'{opened} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{inside}\n'


def waterfall_plot(steps: Sequence[Step], width: int, *, metric: str) -> Markup:
    """Levels as dots and gains as hanging bars, each with its 95% interval; narrow plots put labels above the bars.

    Steps without a value are left out; with no step left there is nothing to draw, which is "".
    """
    placed = _placed([step for step in steps if step.interval.value is not None])
    if not placed:
        return Markup("")
    narrow = width < NARROW_BELOW
    longest = max(len(one.step.label) + len(one.step.note) for one in placed)
    left, right = (18.0, width - 18.0) if narrow else (min(320.0, 40 + CHAR_WIDTH * longest), width - 92.0)
    ticks = _ticks(min(min(one) for one in _ends(placed)), max(max(one) for one in _ends(placed)))
    across = _across(ticks[0], ticks[-1], left, right)
    row, top = (52.0 if narrow else 34.0), 34.0
    bottom = top + row * len(placed)
    parts = [text(EDGE, 16, f"{metric_name(metric)}, from batch to batch", "title")]
    for tick in ticks:
        parts.append(line(across(tick), top, across(tick), bottom, "grid"))
        parts.append(text(across(tick), bottom + 17, f"{round(100 * tick)}%", "tick", anchor="middle"))
    heights = [top + row * place + (row - 17 if narrow else row / 2) for place in range(len(placed))]
    for (upper, y), (_, below) in pairwise(zip(placed, heights, strict=True)):
        parts.append(line(across(upper.end), y, across(upper.end), below, "link"))
    for one, y in zip(placed, heights, strict=True):
        parts += [_shape(one, y, across), *_words(one, y, width, left, narrow=narrow)]
    parts.append(text((left + right) / 2, bottom + 37, KEY, "tick", anchor="middle"))
    return svg(width, bottom + 46, _told(placed, metric), parts)


def _placed(steps: Sequence[Step]) -> list[_Placed]:
    """Where each step stands; without a level to begin with, so that the gains end at the last level."""
    gains = sum(step.interval.value or 0.0 for step in steps if not step.is_level)
    last = next((step.interval.value or 0.0 for step in reversed(steps) if step.is_level), gains)
    at = last - gains
    placed = []
    for step in steps:
        value = step.interval.value or 0.0
        start = value if step.is_level else at
        at, from_ = (value, 0.0) if step.is_level else (at + value, at)
        low, high = step.interval.low, step.interval.high
        placed.append(
            _Placed(step, start, at, at if low is None else from_ + low, at if high is None else from_ + high)
        )
    return placed


def _ends(placed: Sequence[_Placed]) -> list[tuple[float, ...]]:
    return [(one.start, one.end, one.low, one.high) for one in placed]


def _ticks(low: float, high: float) -> list[float]:
    """Round shares that enclose low to high."""
    for step in TICK_STEPS:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < MOST_LINES:
            break
    return [step * at for at in range(first, max(last, first + 1) + 1)]


def _across(low: float, high: float, left: float, right: float) -> Scale:
    return lambda share: left + (share - low) / (high - low) * (right - left)


def _shape(one: _Placed, y: float, across: Callable[[float], float]) -> str:
    whisker = line(across(one.low), y, across(one.high), y, "whisker") if one.low < one.high else ""
    if one.step.is_level:
        return f'{whisker}<circle class="mark" cx="{across(one.end):.1f}" cy="{y:.1f}" r="5"/>'
    begin, end = sorted((across(one.start), across(one.end)))
    place = f'x="{begin:.1f}" y="{y - 8:.1f}" width="{max(1.0, end - begin):.1f}" height="16"'
    return f'<rect class="{one.step.tone or "even"}" {place}/>{whisker}'


def _words(one: _Placed, y: float, width: int, left: float, *, narrow: bool) -> list[str]:
    """The label, its note, and the value at the right edge."""
    step = one.step
    base = y - 19 if narrow else y + 4.5
    room = width - 100 if narrow else left - 20
    name = cut(step.label, int(room / CHAR_WIDTH) - len(step.note))
    value = percent(step.interval.value) if step.is_level else points(step.interval.value) + SIGNS.get(step.tone, "")
    return [
        text(EDGE, base, name, "label", note=step.note),
        text(width - EDGE, base, value, f"value {step.tone}".strip(), anchor="end"),
    ]


def _told(placed: Sequence[_Placed], metric: str) -> str:
    """What the drawing shows, in words."""
    told = [
        f"{one.step.label} {percent(one.step.interval.value)} {span(one.step.interval)}"
        if one.step.is_level
        else f"{one.step.label} {points(one.step.interval.value)} points {span(one.step.interval, signed=True)}"
        for one in placed
    ]
    return f"{metric_name(metric)}: {'; '.join(told)}"
