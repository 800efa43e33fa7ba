"""Tests of "worse than the rest" against enumeration, scipy, and simulations in which nothing is worse."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import fisher_exact, hypergeom, norm

from burnish.diagnose.confirm import strengths, worse_than_rest


def _alone(n: int) -> np.ndarray:
    return np.arange(n)


def test_scores_of_0_and_1_are_tested_by_fishers_exact_test():
    random = np.random.default_rng(0)
    error_N = (random.random(80) < 0.3).astype(float)
    members_CN = random.random((6, 80)) < 0.3
    for members_N, found in zip(members_CN, worse_than_rest(members_CN, error_N, _alone(80)), strict=True):
        inside, outside = error_N[members_N], error_N[~members_N]
        table = [[inside.sum(), len(inside) - inside.sum()], [outside.sum(), len(outside) - outside.sum()]]
        assert found.p_value == pytest.approx(fisher_exact(table, alternative="greater").pvalue)


def test_graded_scores_are_tested_by_dealing_them_anew_as_enumeration_confirms():
    error_N = np.array([0.9, 0.2, 0.7, 0.6, 0.1, 0.3, 0.8, 0.0, 0.2, 0.4])
    members_N = np.arange(10) < 5
    deals = 20_000
    found = worse_than_rest(members_N[None], error_N, _alone(10), deals=deals)[0].p_value
    sums = [error_N[list(rows)].sum() for rows in combinations(range(10), 5)]
    exact = np.mean([total >= error_N[members_N].sum() - 1e-9 for total in sums])
    # 4 standard errors of a share over that many deals.
    assert found == pytest.approx(exact, abs=4 * (exact * (1 - exact) / deals) ** 0.5)


def test_rows_in_twos_that_say_the_same_count_once():
    random = np.random.default_rng(1)
    error_N = random.random(30)
    members_N = np.arange(30) < 9
    error_N[members_N] += 0.2
    once = worse_than_rest(members_N[None], error_N, _alone(30), deals=20_000)[0].p_value
    twice = worse_than_rest(
        np.repeat(members_N, 2)[None], np.repeat(error_N, 2), np.repeat(_alone(30), 2), deals=20_000, seed=1
    )[0].p_value
    assert once < 0.2, "a case in which counting twice would matter"
    # 4 standard errors of the difference of two shares over 20,000 deals each.
    assert twice == pytest.approx(once, abs=4 * (2 * once * (1 - once) / 20_000) ** 0.5)


@pytest.mark.parametrize("held", ["whole", "in part", "both"])
def test_alike_rows_of_one_group_do_not_make_a_weakness(held):
    """60 groups of 1 to 7 rows, wrong together; the slice has nothing to do with it."""
    random = np.random.default_rng(2)
    trials, found, careless = 400, 0, 0
    for trial in range(trials):
        group_N = np.repeat(np.arange(60), random.integers(1, 8, size=60))
        error_N = (random.random(60) < 0.3).astype(float)[group_N]
        whole_N, part_N = (random.random(60) < 0.25)[group_N], random.random(len(group_N)) < 0.25
        members_N = {"whole": whole_N, "in part": part_N, "both": whole_N & (random.random(len(group_N)) < 0.8)}[held]
        p = worse_than_rest(members_N[None], error_N, group_N, deals=500, seed=trial)[0].p_value
        found += p is not None and p <= 0.05
        careless += worse_than_rest(members_N[None], error_N, _alone(len(error_N)))[0].p_value <= 0.05
    # 3 binomial standard errors of 400 trials at 5% are 3.3 points.
    assert found / trials <= 0.05 + 0.033
    if held != "in part":
        assert careless / trials > 0.05 + 0.033, "counting row by row would find weaknesses here"


def test_a_weakness_within_groups_is_seen_although_every_group_holds_both_kinds():
    group_N = np.repeat(np.arange(30), 4)
    members_N = np.tile([True, True, False, False], 30)
    error_N = np.where(members_N, 0.8, 0.2) + np.random.default_rng(3).normal(0, 0.05, 120)
    assert worse_than_rest(members_N[None], error_N, group_N)[0].p_value < 0.001


def test_strength_is_the_standardised_excess_of_the_hypergeometric_law():
    random = np.random.default_rng(4)
    error_N = (random.random(90) < 0.3).astype(float)
    members_CN = random.random((5, 90)) < 0.2
    for members_N, z in zip(members_CN, strengths(members_CN, error_N, _alone(90)), strict=True):
        law = hypergeom(90, int(error_N.sum()), int(members_N.sum()))
        assert z == pytest.approx((error_N[members_N].sum() - law.mean()) / law.std())


def test_strength_standardises_by_the_spread_of_the_deals_also_in_groups():
    random = np.random.default_rng(5)
    group_N = np.repeat(np.arange(40), random.integers(1, 6, size=40))
    members_N = (random.random(len(group_N)) < 0.5) & (group_N % 2 == 0)
    error_N = random.random(len(group_N)) + 0.05 * members_N
    z = strengths(members_N[None], error_N, group_N)[0]
    p = worse_than_rest(members_N[None], error_N, group_N, deals=20_000)[0].p_value
    # The deals are close to normal here; a variance wrong by a fifth would move a p of 1 to 20% by more than 2 points.
    assert 0.01 < p < 0.25
    assert norm.sf(z) == pytest.approx(p, abs=0.015)


def test_what_cannot_be_tested_says_why():
    error_N = (np.arange(40) < 8).astype(float)
    few, most = np.arange(40) < 4, np.arange(40) < 36
    one_group = np.where(np.arange(40) < 10, 0, np.arange(40))
    reasons = [
        worse_than_rest(few[None], error_N, _alone(40))[0],
        worse_than_rest(most[None], error_N, _alone(40))[0],
        worse_than_rest((np.arange(40) < 10)[None], error_N, one_group)[0],
        worse_than_rest((np.arange(40) < 10)[None], np.ones(40), _alone(40))[0],
        # One wrong row of 40: even if it lies among these ten, the chance of that is 10 of 40.
        worse_than_rest((np.arange(40) < 10)[None], (np.arange(40) == 3).astype(float), _alone(40))[0],
    ]
    assert [found.p_value for found in reasons] == [None] * 5
    for found, words in zip(reasons, ["4 rows", "4 outside", "one group", "same score", "could not show"], strict=True):
        assert words in found.why_missing
