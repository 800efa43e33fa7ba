"""The permutation test holds its level exactly and stops early where nothing is to be seen."""

import numpy as np
from scipy import stats

from burnish.monitor.outputs import shift_of
from burnish.monitor.permutation import permutation_p
from burnish.monitor.two_sample import area, two_sample


def test_a_p_value_is_the_share_of_all_splits_that_are_as_extreme():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = permutation_p(lambda at: at @ values, 6, 2, 1e-3, np.random.default_rng(0))
    # 1 of the 15 pairs has the sum of the two largest. 20 hits: a standard error of 1/15 / sqrt(20) = 0.015.
    assert abs(found - 1 / 15) < 4 * 0.015


def test_without_drift_p_is_below_a_level_no_more_often_than_the_level_says():
    random = np.random.default_rng(1)
    tests = 150
    ps = [two_sample(random.normal(size=(60, 5)), random.normal(size=(40, 5)), 0.01, random).p for _ in range(tests)]
    for level in (0.05, 0.2):
        hits = int(np.sum(np.array(ps) <= level))
        assert stats.binom.sf(hits - 1, tests, level) > 1e-4, (level, hits)


def test_rows_that_repeat_or_never_vary_do_not_break_the_test():
    random = np.random.default_rng(2)
    found = two_sample(np.ones((30, 3)), np.ones((30, 3)), 0.01, random)
    assert (found.auc, found.p) == (0.5, 1.0)


def test_a_fifth_of_far_rows_is_told_apart_and_they_are_the_suspicious_ones():
    random = np.random.default_rng(3)
    window = random.normal(size=(200, 10))
    window[:40] += 1.0
    found = two_sample(random.normal(size=(400, 10)), window, 1e-3, random)
    assert found.p <= 1e-3
    # Ideal for a mixture of a fifth: 0.5 + 0.2 * (AUC of the far rows - 0.5) = 0.60.
    assert 0.55 < found.auc < 0.65
    assert np.mean(np.argsort(-found.suspicion_N)[:40] < 40) > 0.7  # by chance 0.2


def test_the_area_is_the_chance_of_a_larger_value():
    assert area(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 0.875


def test_outputs_that_moved_are_seen_in_both_directions_and_few_values_say_nothing():
    random = np.random.default_rng(4)
    short, long = random.integers(5, 15, 100).tolist(), random.integers(20, 40, 100).tolist()
    for before, now in ((short, long), (long, short)):
        moved = shift_of(before, now, 1e-3, random, is_rate=False)
        assert moved is not None
        assert (moved.p <= 1e-3, moved.effect) == (True, 0.5)
    rate = shift_of([0.0] * 95 + [1.0] * 5, [0.0] * 70 + [1.0] * 30, 1e-3, random, is_rate=True)
    assert rate is not None
    assert rate.p <= 1e-3
    assert abs(rate.effect - 0.25) < 1e-9
    assert shift_of(short[:19], long, 1e-3, random, is_rate=False) is None
