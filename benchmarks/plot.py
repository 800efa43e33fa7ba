"""A small drawing of time and memory against size on logarithmic axes, as one SVG file; light or dark as the reader has
it."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

WIDTH, HEIGHT, GAP = 340, 260, 24
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 34, 40
COLOURS = ("#3b6fb6", "#c2571a", "#3f8f5b", "#8a5aa8")
STYLE = (
    "text{font:12px sans-serif;fill:#333}line{stroke:#ccc}.head{font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}line{stroke:#555}}"
)


class Panel(NamedTuple):
    """One pair of axes."""

    title: str
    across: str
    """What the horizontal axis counts."""
    up: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    """Name to (size, value), all above zero."""


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of log value against log size, by least squares: 1 is linear, 0 flat. Needs two sizes."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def write_plot(path: Path, panels: Sequence[Panel], *, columns: int = 2) -> None:
    """Draws the panels in rows of `columns`."""
    height = -(-len(panels) // columns) * (HEIGHT + GAP)
    width = columns * (WIDTH + GAP)
    label = escape("; ".join(f"{panel.title}: {panel.up} against {panel.across}" for panel in panels))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{label}"><style>{STYLE}</style>'
    ]
    for at, panel in enumerate(panels):
        x, y = at % columns * (WIDTH + GAP), at // columns * (HEIGHT + GAP)
        parts.append(f'<g transform="translate({x},{y})">{_panel(panel)}</g>')
    path.write_text("\n".join([*parts, "</svg>\n"]), encoding="utf-8")


def _panel(panel: Panel) -> str:
    points = [point for series in panel.series.values() for point in series]
    low_x, high_x = _reach([x for x, _ in points])
    low_y, high_y = _reach([y for _, y in points])

    def across(x: float) -> float:
        return LEFT + (math.log10(x) - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(y) - low_y) / (high_y - low_y) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text class="head" x="0" y="12">{escape(panel.title)}</text>']
    parts.append(f'<text x="0" y="27">{escape(panel.up)}</text>')
    for power in _powers(low_y, high_y):
        y = up(10**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(10**power)}</text>')
    for power in _powers(low_x, high_x):
        x = across(10**power)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 24}" text-anchor="middle">{_short(10**power)}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(panel.across)}</text>')
    parts += [
        _series([(across(x), up(y)) for x, y in series], _colour(at)) for at, series in enumerate(panel.series.values())
    ]
    if len(panel.series) > 1:
        keys = (f'<tspan dx="9" fill="{_colour(at)}">{escape(name)}</tspan>' for at, name in enumerate(panel.series))
        parts.append(f'<text x="{WIDTH - RIGHT}" y="12" text-anchor="end">{"".join(keys)}</text>')
    return "".join(parts)


def _series(places: Sequence[tuple[float, float]], colour: str) -> str:
    path = " L".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _colour(at: int) -> str:
    return COLOURS[at % len(COLOURS)]


def _reach(values: Sequence[float]) -> tuple[float, float]:
    """The logarithms between which an axis runs; at least a factor of ten."""
    low, high = math.log10(min(values)), math.log10(max(values))
    if high - low < 1:
        low, high = math.floor(low), math.ceil(high + 1e-9)
    return low - 0.05, max(high, low + 1) + 0.05


def _powers(low: float, high: float) -> range:
    return range(math.ceil(low), math.floor(high) + 1)


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
