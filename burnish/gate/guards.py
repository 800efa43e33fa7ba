"""The guards of the gate: what all rows, each slice and the commonest answer have to say about a challenger."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from burnish.config import GateSettings
from burnish.gate.pairs import (
    EVIDENCE,
    Pairs,
    chance_below,
    chance_of_loss,
    loss_is_seen,
    negated,
    pairs_of,
    slice_names,
)
from burnish.records import Comparison, Guard
from burnish.stats.beliefs import belief_of_gain, shrink_gains
from burnish.stats.many import holm
from burnish.stats.pairs import noninferiority_p, paired_interval, paired_p, superiority_p

Kind = Literal["superiority", "non-inferiority", "checked"]

ROWS_FOR_TWO_PROOFS = 400
"""Below this many vault rows only the first protected slice is proven; the others are checked and labelled so."""
CHECKED_BELIEF = 0.2
"""A checked slice passes when the chance of a loss beyond the margin is at most this."""
MIN_SLICE_ROWS = 5
"""Smaller slices are left to the overall comparison: they can neither show nor exclude anything."""
COMMONEST = "the commonest answer"
"""Name of the guard against a model that has learned nothing but which answer is the commonest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the gate looks at beside champion and challenger on its rows."""

    commonest: Comparison | None = None
    """Always giving the commonest answer against the challenger, on the same rows."""
    solved_before: Comparison | None = None
    """Champion against challenger on rows outside the vault that an earlier promoted model answered right."""
    unguarded: Collection[str] = ()
    """Slices that may lose, as "column=value": those in which the untuned base shows no skill."""
    measures: Mapping[str, Comparison | None] = field(default_factory=dict)
    """Champion against challenger by measures beside the score, 1 being perfect; None: no row has such a value."""


NOTHING = Beside()


def superiority(pairs: Pairs, settings: GateSettings, alpha: float, name: str = "overall") -> Guard:
    """Is the challenger better over all rows? Failed: worse, or a gain of min_gain is ruled out at 95% one-sided."""
    if not pairs.differences or pairs.is_floor or pairs.is_ceiling:
        return _guard(name, "superiority", 0.0, None, None, no_gain_note("the vault", pairs))
    p = superiority_p(pairs.differences, pairs.groups)
    gain = paired_interval(pairs.differences, pairs.groups, alpha=2 * EVIDENCE)
    if p is None or gain.high is None or gain.value is None:
        return _guard(name, "superiority", 0.0, None, None, "all rows are of one group, which supports no test")
    over = "" if name == "overall" else f" over {name}"
    seen = f"gain{over} {points(gain.value, signed=True)}, one-sided p {p:.3g} at level {alpha:.3g}"
    if p < alpha:
        return _guard(name, "superiority", 0.0, p, True, f"better: {seen}")
    if gain.high < 0:
        return _guard(name, "superiority", 0.0, p, False, f"worse: {seen}")
    if gain.high < settings.min_gain:
        return _guard(name, "superiority", 0.0, p, False, f"a gain worth having is ruled out: {seen}")
    return _guard(name, "superiority", 0.0, p, None, f"not proven: {seen}")


def protected_guards(comparison: Comparison, settings: GateSettings, alpha: float) -> tuple[Guard, ...]:
    """One guard per protected slice, proven at alpha; under 400 rows only the first is proven, the others checked."""
    proven = len(settings.protected) if len(comparison.differences) >= ROWS_FOR_TWO_PROOFS else 1
    guards = []
    for place, name in enumerate(settings.protected):
        pairs = pairs_of(comparison, name)
        guards.append(_proven(name, pairs, settings, alpha) if place < proven else checked(name, pairs, settings))
    return tuple(guards)


def neighbour_guards(comparison: Comparison, settings: GateSettings, beside: Beside = NOTHING) -> tuple[Guard, ...]:
    """One guard per slice that is not protected, and one for rows solved before: they block, they prove nothing.

    Failed: a loss is seen, Holm-adjusted, and it is larger than the margin. Unclear: after shrinkage a loss beyond the
    margin is likelier than not.
    """
    left_out = {*settings.protected, *beside.unguarded}
    named = {name: pairs_of(comparison, name) for name in slice_names(comparison) if name not in left_out}
    if beside.solved_before is not None:
        named["rows solved before"] = pairs_of(beside.solved_before)
    named = {name: pairs for name, pairs in named.items() if len(pairs.differences) >= MIN_SLICE_ROWS}
    p_of_loss = [paired_p(negated(pairs), pairs.groups) for pairs in named.values()]
    adjusted = holm(p_of_loss)
    beliefs = shrink_gains([belief_of_gain(pairs.differences, pairs.groups) for pairs in named.values()])
    guards = []
    for (name, pairs), p, belief in zip(named.items(), adjusted, beliefs, strict=True):
        chance = chance_below(belief, -settings.margin)
        seen = f"{name} changed by {points(float(np.mean(pairs.differences)), signed=True)} on {_rows(pairs)}"
        if pairs.is_floor:
            guards.append(_guard(name, "checked", settings.margin, None, True, f"no information: {_floor_note(name)}"))
        elif p is not None and p < EVIDENCE and float(np.mean(pairs.differences)) < -settings.margin:
            guards.append(_guard(name, "checked", settings.margin, p, False, f"{seen}, a loss at Holm p {p:.3g}"))
        elif chance > 0.5:
            note = f"{seen}, a loss beyond {points(settings.margin)} is likely ({chance:.0%})"
            guards.append(_guard(name, "checked", settings.margin, p, None, note))
        else:
            guards.append(_guard(name, "checked", settings.margin, p, True, f"{seen}, no loss seen"))
    return tuple(guards)


def measure_guards(settings: GateSettings, beside: Beside) -> tuple[Guard, ...]:
    """One guard per measure beside the score: it may not get worse by more than the margin, as far as is believed."""
    return tuple(checked(name, measured_pairs(beside, name), settings) for name in beside.measures)


def measured_pairs(beside: Beside, name: str) -> Pairs:
    """The pairs of a measure; none where no row has a value from both models."""
    comparison = beside.measures[name]
    return Pairs(differences=(), groups=(), is_floor=False) if comparison is None else pairs_of(comparison)


def _proven(name: str, pairs: Pairs, settings: GateSettings, alpha: float) -> Guard:
    margin = settings.margin
    if not pairs.differences or pairs.is_floor:
        return _guard(name, "non-inferiority", margin, None, None, _floor_note(name, pairs))
    p = noninferiority_p(pairs.differences, margin, pairs.groups)
    seen = f"{name} {points(float(np.mean(pairs.differences)), signed=True)} on {_rows(pairs)}"
    if p is not None and p < alpha:
        return _guard(name, "non-inferiority", margin, p, True, f"PROVEN: {seen}, loss below {points(margin)}")
    if loss_is_seen(pairs):
        return _guard(name, "non-inferiority", margin, p, False, f"worse: {seen}")
    return _guard(name, "non-inferiority", margin, p, None, f"not proven: {seen}, loss below {points(margin)} open")


def checked(name: str, pairs: Pairs, settings: GateSettings) -> Guard:
    """Whether a slice loses beyond the margin, by belief: a proof would take more rows."""
    margin = settings.margin
    if not pairs.differences or pairs.is_floor:
        return _guard(name, "checked", margin, None, None, _floor_note(name, pairs))
    chance = chance_of_loss(pairs, margin)
    seen = f"{name} {points(float(np.mean(pairs.differences)), signed=True)} on {_rows(pairs)}"
    note = f"CHECKED, not proven: {seen}, chance of a loss beyond {points(margin)} {chance:.0%}"
    if loss_is_seen(pairs):
        return _guard(name, "checked", margin, None, False, f"worse: {note}")
    return _guard(name, "checked", margin, None, True if chance <= CHECKED_BELIEF else None, note)


def _guard(name: str, kind: Kind, margin: float, p: float | None, passed: bool | None, note: str) -> Guard:
    return Guard(name=name, kind=kind, margin=margin, p_value=p, passed=passed, note=note)


def no_gain_note(name: str, pairs: Pairs) -> str:
    """Why these rows can show no gain."""
    if pairs.is_ceiling:
        return f"{name} gives no information: both models score 100% on every row, so no gain can be seen there"
    return _floor_note(name)


def _floor_note(name: str, pairs: Pairs | None = None) -> str:
    if pairs is not None and not pairs.differences:
        return f"{name} has no rows in this set"
    return f"{name} gives no information: no rows, or both models score 0 on every one of them"


def _rows(pairs: Pairs) -> str:
    return f"{len(pairs.differences)} rows"


def points(gain: float, *, signed: bool = False) -> str:
    """A share in points."""
    return f"{100 * gain:{'+' if signed else ''}.1f} points"
