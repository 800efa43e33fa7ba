"""Bets against a true claim win no more than they may, at any stopping time; against a false one they win soon."""

from itertools import product
from math import log, prod

import numpy as np
import pytest

from burnish.betting import BETS, Outcome, differences, log_wealth, mean_interval, staged_wealth

LOOKS = 800
RUNS = 300
LIMIT = log(20)
"""Of the capital, at alpha 5%."""


def test_the_capital_is_the_mean_over_the_bets_of_the_products_by_hand():
    gains = [1.0, -0.5, 0.0, 0.25]
    expected = [log(sum(prod(1 + bet * gain for gain in gains[:n]) for bet in BETS) / len(BETS)) for n in range(5)]
    assert log_wealth(gains) == pytest.approx(expected, abs=1e-12)
    assert log_wealth([3.0, -1.5], scale=3.0) == pytest.approx(log_wealth([1.0, -0.5]))
    assert list(log_wealth([])) == [0.0]


def test_where_the_claim_is_true_the_capital_has_mean_1_over_all_that_can_happen_and_is_exact():
    ends = [np.exp(staged_wealth(gains, (0, 3), 3)[-1]) for gains in product((-1.0, 1.0), repeat=8)]
    assert np.mean(ends) == pytest.approx(1.0, abs=1e-12)
    unfair = [np.exp(log_wealth(gains)[-1]) for gains in product((-0.5, 0.75), repeat=4)]
    assert np.mean(unfair) > 1.1


def test_each_stage_has_its_own_part_that_is_idle_before():
    gains = [-0.5, -0.5, 1.0, 1.0]
    parts = np.exp(log_wealth(gains)), np.exp(log_wealth(gains[2:]))
    staged = np.exp(staged_wealth(gains, (0, 2), 3))
    assert staged[1] == pytest.approx((parts[0][1] + 2) / 3)
    assert staged[4] == pytest.approx((parts[0][4] + parts[1][2] + 1) / 3)
    with pytest.raises(AssertionError, match="beyond their bounds"):
        log_wealth([1.5])


def test_outcomes_of_two_arms_become_differences_that_use_each_once():
    came = [(False, 1.0), (False, 0.0), (True, 1.0), (True, 0.0), (True, 1.0), (False, 1.0), (True, 0.5)]
    assert differences(Outcome(*one) for one in came) == [0.5, -0.5]
    assert differences([Outcome(True, 1.0)] * 3) == []


def outcomes(random: np.random.Generator, share: float, difference: float) -> list[float]:
    """Differences of a canary at this share, with a champion that is right on 80%."""
    arms = random.random(int(LOOKS / share)) < share
    good = random.random(arms.size) < np.where(arms, 0.8 + difference, 0.8)
    return differences(map(Outcome, arms.tolist(), good.astype(float).tolist()))[:LOOKS]


def test_no_stopping_time_rolls_an_equal_challenger_back_more_often_than_promised():
    """The most dishonest stopping time: at the highest capital of 800 looks, over three stages."""
    random = np.random.default_rng(7)
    highest = []
    for _ in range(RUNS):
        gains = -np.asarray(outcomes(random, 0.4, 0.0))
        highest.append(staged_wealth(gains, (0, 100, 300), 3).max())
    # 5% of 300 are 15; three standard errors of a count at 5% are 11 more.
    assert sum(found >= LIMIT for found in highest) <= 26
    assert max(highest) > 1, "the looks show nothing"


def test_true_harm_of_20_points_is_proven_within_the_hundreds():
    random = np.random.default_rng(3)
    delays = []
    for _ in range(40):
        hits = staged_wealth(-np.asarray(outcomes(random, 0.25, -0.2)), (0,), 3) >= LIMIT
        delays.append(int(hits.argmax()) if hits.any() else LOOKS)
    # The best bet grows by d^2 / (2 variance) = 0.07 nats a look, and needs log(20 * 3 stages * 6 bets) = 5.9 of them.
    assert 30 < np.median(delays) < 160


def test_an_interval_holds_the_true_mean_at_every_look_and_closes_in_on_it():
    random = np.random.default_rng(11)
    missed = 0
    for _ in range(100):
        gains = random.choice([-1.0, 0.0, 1.0], size=600, p=[0.1, 0.65, 0.25]).tolist()
        looks = [mean_interval(gains[:n], 0.05) for n in (20, 100, 600)]
        missed += any(not look.low <= 0.15 <= look.high for look in looks)
    assert missed <= 11  # 5%, and three standard errors more
    assert looks[-1].high - looks[-1].low < 0.25 < looks[0].high - looks[0].low
    assert mean_interval([], 0.05).value is None
