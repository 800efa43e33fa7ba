"""One budget over all signals, floors of effect beside it, and looks that repeat themselves exactly."""

from dataclasses import replace

import numpy as np
import pytest

from burnish.monitor.alarms import ACTIONS, FAMILIES, Budget
from burnish.monitor.window import Look, Window, first_bets, look_at, reference_of

BUDGET = Budget(alpha=0.05, windows=50)
OPENINGS = ("when is my money sent", "the password is refused", "I want a hearing", "the letter is wrong")


def texts(count: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [
        f"{OPENINGS[at % 4]} {' '.join(random.choice(list('abcdefgh'), 3))} {random.integers(100)}"
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def reference():
    return reference_of(texts(200, 0), texts(100, 1), 0)


def look(reference, **window) -> Look:
    return look_at(reference, Window(**window), first_bets(reference), BUDGET, effect_floor=0.55, seed=3)


def test_what_all_signals_may_spend_adds_up_to_alpha():
    signals = [signal for family in FAMILIES.values() for signal in family]
    assert sum(BUDGET.share(signal) for signal in signals) == pytest.approx(0.05)
    assert BUDGET.level("input") * BUDGET.windows == pytest.approx(BUDGET.share("input")) == pytest.approx(0.01)
    assert set(ACTIONS) == set(signals)


def test_a_look_can_be_taken_again_byte_for_byte(reference):
    asked = tuple(texts(60, 2))
    one, two = look(reference, texts=asked), look(reference, texts=asked)
    assert (one.readings, one.bets) == (two.readings, two.bets)
    assert not any(reading.is_alarm for reading in one.readings)


def test_a_change_that_is_certain_and_small_is_no_alarm_and_a_large_one_is(reference):
    known = replace(
        reference,
        expected=("a",) * 500 + ("b",) * 500,
        answered=("a",) * 500 + ("b",) * 500,
        outputs={"seconds": tuple(np.linspace(0.1, 0.2, 1000)), "refusals": (0.0,) * 990 + (1.0,) * 10},
    )
    asked = tuple(texts(60, 2))
    small = look(
        known,
        texts=asked,
        labels=("a",) * 2350 + ("b",) * 1650,
        outputs={"seconds": tuple(np.linspace(0.125, 0.225, 1000)), "refusals": (0.0,) * 960 + (1.0,) * 40},
    )
    by_signal = {reading.signal: reading for reading in small.readings}
    for signal in ("labels", "seconds", "refusals"):
        assert by_signal[signal].p <= by_signal[signal].level
        assert by_signal[signal].effect < by_signal[signal].floor
        assert not by_signal[signal].is_alarm
    large = look(
        known,
        texts=asked,
        labels=("a",) * 800 + ("b",) * 200,
        outputs={"seconds": tuple(np.linspace(0.2, 0.3, 1000)), "refusals": (0.0,) * 900 + (1.0,) * 100},
    )
    assert {reading.signal for reading in large.readings if reading.is_alarm} == {"labels", "seconds", "refusals"}
