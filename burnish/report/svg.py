"""The pieces of which every plot is drawn: an SVG of one width in CSS pixels, its lines and its texts."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from burnish.report.words import visible

NARROW_BELOW = 480
"""Width from which on a drawing is the wide one of the two that a page holds."""
CHAR_WIDTH = 6.9
"""Average width of a character at 13 px, for cutting labels; a generous sans-serif."""


def svg(width: int, height: float, label: str, parts: Sequence[str]) -> Markup:
    """The drawing; its class tells the page whether it is the wide or the narrow one, `label` what it shows."""
    kind = "narrow" if width < NARROW_BELOW else "wide"
    return Markup(
        f'<svg class="plot {kind}" role="img" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" '
        f'aria-label="{escape(visible(label))}">{"".join(parts)}</svg>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, words: str, kind: str, *, anchor: str = "start", note: str = "") -> str:
    """A text of a class, with a small note behind it."""
    small = f'<tspan class="note" dx="6">{escape(visible(note))}</tspan>' if note else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(visible(words))}{small}</text>'


def cut(words: str, most: int) -> str:
    """At most `most` characters, but four at least, the last one an ellipsis where some are missing."""
    most = max(4, most)
    return words if len(words) <= most else words[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
