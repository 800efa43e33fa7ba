"""The betting confidence sequence: by hand, by its coverage at every look at once, and by what it proves."""

import math

import numpy as np
import pytest
from scipy import stats

from burnish.monitor.risk import BOLDEST, evidence_above, plug_in_bets, risk_interval


def test_the_bets_are_those_of_the_paper_by_hand():
    # sqrt(2 log(2/alpha) / (variance before * t * log(1 + t))), variance 1/4 before the first value.
    first, second = plug_in_bets(np.array([1.0, 0.0]), 0.025)
    assert first == pytest.approx(math.sqrt(2 * math.log(40) / (0.25 * math.log(2))))
    mean = (0.5 + 1.0) / 2
    variance = (0.25 + (1.0 - mean) ** 2) / 2
    assert second == pytest.approx(math.sqrt(2 * math.log(40) / (variance * 2 * math.log(3))))


def test_wealth_is_the_product_of_the_bets_by_hand():
    # Before the first value mean and variance are 1/2 and 1/4; bets of 0.4 / (0.25 + 0.16), then at most 0.75 / 0.1.
    lead = 0.4
    one = min(lead / (0.25 + lead**2), BOLDEST / 0.1)
    mean, squares = 0.75, 1.5 / 2
    two = min((mean - 0.1) / (squares - mean**2 + (mean - 0.1) ** 2), BOLDEST / 0.1)
    assert evidence_above([1.0, 1.0], 0.1) == pytest.approx((1 + one * 0.9) * (1 + two * 0.9))
    assert evidence_above([0.0, 0.0, 0.0], 0.1) == 1.0


def test_under_the_bound_the_evidence_passes_its_bar_as_seldom_as_promised():
    random, runs = np.random.default_rng(0), 400
    hits = sum(evidence_above((random.uniform(size=300) < 0.2).astype(float), 0.2) >= 20 for _ in range(runs))
    assert stats.binom.sf(hits - 1, runs, 0.05) > 1e-4, hits


def test_twice_the_errors_are_proven_within_150_labels():
    random = np.random.default_rng(1)
    proven = sum(evidence_above((random.uniform(size=150) < 0.4).astype(float), 0.2) >= 20 for _ in range(50))
    assert proven >= 45


def test_the_interval_covers_at_all_looks_at_once():
    random, missed = np.random.default_rng(2), 0
    for _ in range(60):
        values = (random.uniform(size=120) < 0.15).astype(float)
        looks = [risk_interval(values[:count]) for count in (5, 20, 60, 120)]
        missed += any(not look.low <= 0.15 <= look.high for look in looks)
    assert stats.binom.sf(missed - 1, 60, 0.05) > 1e-3, missed
    assert risk_interval([]).value is None
