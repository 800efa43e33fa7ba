"""Where a gain comes from: the record of an attribution, as JSON and as a waterfall that a person can read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from burnish.records import Cost, Interval, as_json

Fate = Literal["keep", "down-weight", "drop"]

BAR_WIDTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceGain:
    """What a batch brings on the rows of one slice."""

    slice: str
    gain: Interval
    p_holm: float | None
    """Two-sided, Holm-adjusted over all slices of all batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchGain:
    """What a batch brings, and what the next round should do with it."""

    name: str
    batches: tuple[str, ...]
    """The one batch, or the small ones that were taken together; what is decided holds for each."""
    num_rows: int
    gain: Interval
    """Score with all rows minus score without the batch, 0-1."""
    p_holm: float | None
    """Two-sided, Holm-adjusted over the batches."""
    p_harmful: float | None
    """Posterior probability that removal improves the score."""
    num_changed: int
    """Rows of dev_b whose score it changes."""
    fate: Fate
    why: str
    slices: tuple[SliceGain, ...] = ()
    cost: Cost | None = None
    """None: not known for each of its batches."""
    per_point: Cost | None = None
    """Cost of one point (0.01) gained; None where the gain's interval does not lie above zero, or the cost is not
    known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Where the gain of the synthetic rows comes from."""

    metric: str
    num_rows: int
    """Rows of dev_b that every training was scored on."""
    num_seeds: int
    before: Interval | None
    """Score without any batch; None when all rows are synthetic."""
    after: Interval
    """Score with all of them."""
    total: Interval | None
    """after - before, paired."""
    batches: tuple[BatchGain, ...]
    """The largest gain first."""
    unattributed: Interval | None
    """What the gains of single batches do not add up to: they overlap (above 0) or need each other (below 0)."""
    notes: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    """For `reweighted`, by batch: 1 keep, 0.5, 0 drop."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return as_json(self)

    def as_text(self) -> str:
        """The waterfall from the score without any batch to the score with all, as a table."""
        seeds = "1 training" if self.num_seeds == 1 else f"mean of {self.num_seeds} trainings"
        lines = [f"{self.metric} on {self.num_rows} rows of dev_b, {seeds} a line; gains in points [95%]"]
        wide = max([len(name) for name in (*[one.name for one in self.batches], "unattributed/synergy")])
        peak = max([abs(one.gain.value or 0.0) for one in self.batches] + [1e-9])
        if self.before is not None:
            lines.append(f"{'without any batch':<{wide}}  {_share(self.before)}")
        for one in self.batches:
            tail = f"{one.num_rows} rows: {one.fate}, {one.why}{_price(one.per_point)}"
            lines.append(f"{one.name:<{wide}}  {_points(one.gain)}  {_bar(one.gain, peak)}  {tail}")
        if self.unattributed is not None:
            lines.append(f"{'unattributed/synergy':<{wide}}  {_points(self.unattributed)}")
        lines.append(f"{'with all batches':<{wide}}  {_share(self.after)}")
        return "\n".join([*lines, *[f"note: {note}" for note in self.notes]])


def _share(score: Interval) -> str:
    if score.value is None:
        return "not scored"
    spread = "" if score.low is None or score.high is None else f" [{100 * score.low:.1f}, {100 * score.high:.1f}]"
    return f"{100 * score.value:5.1f}%{spread}"


def _points(gain: Interval) -> str:
    if gain.value is None:
        return "not scored"
    spread = "" if gain.low is None or gain.high is None else f" [{100 * gain.low:+5.1f}, {100 * gain.high:+5.1f}]"
    return f"{100 * gain.value:+5.1f}{spread}"


def _bar(gain: Interval, peak: float) -> str:
    """Plus or minus signs, as long as the gain is large."""
    value = gain.value or 0.0
    sign = "+" if value >= 0 else "-"
    return f"{sign * round(BAR_WIDTH * abs(value) / peak):<{BAR_WIDTH}}"


def _price(per_point: Cost | None) -> str:
    if per_point is None:
        return ""
    priced = (
        (per_point.usd, f"${per_point.usd:.2f}"),
        (per_point.reviewer_minutes, f"{per_point.reviewer_minutes:.0f} reviewer minutes"),
        (per_point.seconds, f"{per_point.seconds:.0f} s"),
    )
    shown = [text for value, text in priced if value]
    return f"; {', '.join(shown)} a point" if shown else ""
