"""Alarms fire for the decline that they name and for a loop that feeds on itself, and stay quiet otherwise."""

import pytest

from benchmarks.guards import alarms_of, five_rounds
from burnish.records import Interval
from burnish.synthesize.collapse import RoundHealth, collapse_alarms


def share(value, n):
    return Interval(value=value, low=0.0, high=1.0, n=n)


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ({"vendi_ratio": 1.0}, {"vendi_ratio": 0.84}, ["variety"]),
        ({"vendi_ratio": 1.0}, {"vendi_ratio": 0.86}, []),
        ({"vendi_rare_ratio": 1.0}, {"vendi_rare_ratio": 0.8}, ["rare kinds"]),
        ({"recall": share(0.9, 400)}, {"recall": share(0.8, 400)}, ["coverage"]),
        # As far down, but of 40 rows it may be chance.
        ({"recall": share(0.9, 40)}, {"recall": share(0.8, 40)}, []),
        ({"recall": share(0.9, 9000)}, {"recall": share(0.86, 9000)}, []),  # Sure, but small.
        (
            {"seen": 200, "accepted": 100, "audited": 100, "correct": 95},
            {"seen": 200, "accepted": 180, "audited": 100, "correct": 80},
            ["easy verifier"],
        ),
        # More is accepted, and it is right.
        (
            {"seen": 200, "accepted": 100, "audited": 100, "correct": 95},
            {"seen": 200, "accepted": 180, "audited": 100, "correct": 95},
            [],
        ),
        ({"compared": 100, "agreed": 95}, {"compared": 100, "agreed": 80}, ["people disagree"]),
        ({"dev_nll": 2.0}, {"dev_nll": 2.2}, ["likelihood"]),
        ({"vendi_ratio": 1.0}, {"dev_nll": 9.0}, []),  # Nothing was measured twice.
    ],
)
def test_each_alarm_tells_its_own_decline(before, after, kinds):
    history = [RoundHealth(round=1, **before), RoundHealth(round=2, **after)]
    assert [alarm.kind for alarm in collapse_alarms(history)] == kinds
    assert collapse_alarms(history[:1]) == ()


def test_a_slow_decline_is_seen_against_the_first_round():
    history = [RoundHealth(round=at + 1, vendi_ratio=one) for at, one in enumerate([1.0, 0.94, 0.89, 0.84])]
    assert collapse_alarms(history[:3]) == ()
    (alarm,) = collapse_alarms(history)
    assert (alarm.since, alarm.before, alarm.after) == (1, 1.0, 0.84)
    assert alarm.message == "the rows are less varied: 0.84, 1.00 in round 1"


@pytest.mark.parametrize("seed", range(3))
def test_five_rounds_of_a_models_own_output_raise_the_alarm(seed):
    assert {"variety", "likelihood"} <= alarms_of(five_rounds(seed, verified=False))
    assert not alarms_of(five_rounds(seed, verified=True))
