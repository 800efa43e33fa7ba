"""A window of requests held against a reference: every signal is read once, in one place, by one budget."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from burnish.monitor.alarms import Budget, Reading, Signal
from burnish.monitor.label_shift import LabelShift, label_shift
from burnish.monitor.outputs import shift_of
from burnish.monitor.outsider import Bets, Outsiders, bet
from burnish.monitor.permutation import Floats
from burnish.monitor.space import Placed, Space, place, space_of
from burnish.monitor.two_sample import TwoSample, two_sample
from burnish.records import Interval
from burnish.stats import Estimate

MOST_REFERENCE = 1000
"""Reference rows that a window is told apart from; more sharpen the test little and cost time."""
RATES: tuple[Signal, ...] = ("refusals", "unsupported")
QUANTITIES: tuple[Signal, ...] = ("length", "refusals", "unsupported", "seconds", "tokens")
SHARE_MOVED = 0.10
"""Total variation of answers below which label shift is no alarm."""
RATE_MOVED = 0.05
SLOWER = 0.25
"""Distance of a chance from 1/2 from which lengths, seconds and tokens alarm: 3 of 4 answers longer than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What traffic is compared with: held-out rows of the seed data, and how the model answered them."""

    space: Space
    placed: Placed
    expected: tuple[str, ...] = ()
    """Labels of dev rows; with `answered` in the same order. Empty: nothing is said of labels."""
    answered: tuple[str, ...] = ()
    outputs: dict[Signal, tuple[float, ...]] = field(default_factory=dict)
    """Values of each quantity; a quantity that is missing is not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Requests one after the other."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()
    """Answers of a label task, of the requests that have one."""
    outputs: dict[Signal, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What every signal but risk says of a window."""

    readings: tuple[Reading, ...]
    bets: Bets
    p_N: Floats
    """Conformal p-value of each text; small: an outsider."""
    suspicion_N: Floats
    """How unlike the reference each text is, by the classifier of the two-sample test."""


def reference_of(train: Sequence[str], held_out: Sequence[str], seed: int) -> Reference:
    """The reference of these texts, without answers: `train` fits the space, `held_out` lies in it as traffic would."""
    space = space_of(train, seed)
    return Reference(space=space, placed=place(space, held_out))


def first_bets(reference: Reference) -> Bets:
    """The bets before the first request of a stretch."""
    return Bets(tuple(float(value) for value in reference.placed.distance_N), ())


def look_at(
    reference: Reference, window: Window, bets: Bets, budget: Budget, *, effect_floor: float, seed: int
) -> Look:
    """Reads every signal. The same arguments give the same look, so that a look can be taken again.

    `effect_floor` is the AUC from which input drift alarms. Costs about half a second of one core at 200 requests.
    """
    random = np.random.default_rng(seed)
    placed = place(reference.space, window.texts)
    told = two_sample(_some(reference.placed.vector_ND, random), placed.vector_ND, budget.level("input"), random)
    found = bet(bets, tuple(reference.placed.distance_N), placed.distance_N, random)
    readings = [_input(told, budget, effect_floor), _outsiders(found, budget)]
    if reference.expected and window.labels:
        level = budget.level("labels")
        shift = label_shift(reference.expected, reference.answered, window.labels, level, random)
        readings.append(_labels(shift, budget))
    for signal in QUANTITIES:
        reading = _output(reference, window, signal, budget, random)
        if reading is not None:
            readings.append(reading)
    return Look(readings=tuple(readings), bets=found.bets, p_N=found.p_N, suspicion_N=told.suspicion_N)


def _some(vector_MD: Floats, random: np.random.Generator) -> Floats:
    if len(vector_MD) <= MOST_REFERENCE:
        return vector_MD
    return vector_MD[np.sort(random.choice(len(vector_MD), MOST_REFERENCE, replace=False))]


def _input(told: TwoSample, budget: Budget, floor: float) -> Reading:
    level = budget.level("input")
    return Reading(
        signal="input",
        is_alarm=told.p <= level and told.auc >= floor,
        what=f"a classifier tells its texts from the reference with AUC {told.auc:.2f}; 0.50 is a coin",
        effect=told.auc,
        floor=floor,
        p=told.p,
        level=level,
    )


def _outsiders(found: Outsiders, budget: Budget) -> Reading:
    bar = 1.0 / budget.share("outsiders")
    return Reading(
        signal="outsiders",
        is_alarm=found.e_value >= bar,
        what=f"about {found.share.value or 0.0:.0%} of its texts lie further off than the reference's do",
        effect=found.share.value,
        e_value=found.e_value,
        bar=bar,
        interval=_interval(found.share),
    )


def _labels(shift: LabelShift, budget: Budget) -> Reading:
    level, low = budget.level("labels"), shift.distance.low or 0.0
    moved = shift.distance.value or 0.0
    return Reading(
        signal="labels",
        is_alarm=shift.p <= level and moved >= SHARE_MOVED and low > 0.0,
        what=f"{moved:.0%} of its answers have moved to other labels{_most_moved(shift)}",
        effect=moved,
        floor=SHARE_MOVED,
        p=shift.p,
        level=level,
        interval=_interval(shift.distance),
    )


def _most_moved(shift: LabelShift) -> str:
    """The label whose true share has changed most, or why that cannot be solved."""
    if not shift.shares:
        return f"; true shares are not known, {shift.why}"
    rows = zip(shift.labels, shift.before, shift.shares, strict=True)
    name, before, now = max(rows, key=lambda row: abs((row[2].value or 0.0) - row[1]))
    return f", most to or from {name}: {before:.0%} of texts before, about {now.value or 0.0:.0%} now"


def _output(
    reference: Reference, window: Window, signal: Signal, budget: Budget, random: np.random.Generator
) -> Reading | None:
    before, now = reference.outputs.get(signal, ()), window.outputs.get(signal, ())
    is_rate = signal in RATES
    shift = shift_of(before, now, budget.level(signal), random, is_rate=is_rate)
    if shift is None:
        return None
    floor, level = RATE_MOVED if is_rate else SLOWER, budget.level(signal)
    return Reading(
        signal=signal,
        is_alarm=shift.p <= level and shift.effect >= floor,
        what=f"{_shown(signal, shift.before)} before, {_shown(signal, shift.now)} now",
        effect=shift.effect,
        floor=floor,
        p=shift.p,
        level=level,
    )


def _shown(signal: Signal, value: float) -> str:
    named = {
        "length": f"{value:.0f} words in the median answer",
        "seconds": f"{value:.2f} s for the median answer",
        "tokens": f"{value:.0f} tokens for the median answer",
        "refusals": f"{value:.0%} refused",
        "unsupported": f"{value:.0%} with something unsupported",
    }
    return named[signal]


def _interval(estimate: Estimate) -> Interval:
    return Interval(**estimate._asdict())
