"""Paired tests keep their error rates, and agree with what can be computed by hand."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import special, stats

from burnish.stats.groups import cluster_t, design_effect, sign_flip
from burnish.stats.many import holm
from burnish.stats.pairs import mcnemar_midp, noninferiority_p, paired_p, superiority_p


def test_mid_p_of_eight_wins_and_two_losses_by_hand():
    # P(X > 8) = (10 + 1) / 1024, P(X = 8) = 45 / 1024.
    assert mcnemar_midp(8, 2) == pytest.approx((11 + 22.5) / 1024)
    assert mcnemar_midp(8, 2, two_sided=True) == pytest.approx(2 * (11 + 22.5) / 1024)


def test_no_changed_row_is_no_evidence():
    assert mcnemar_midp(0, 0) == 0.5
    assert mcnemar_midp(0, 0, two_sided=True) == 1.0
    assert paired_p([0.0] * 40, two_sided=True) == 1.0
    assert paired_p([]) is None


def test_one_sided_mid_p_of_both_directions_adds_up_to_one():
    for wins, losses in product(range(8), range(8)):
        assert mcnemar_midp(wins, losses) + mcnemar_midp(losses, wins) == pytest.approx(1.0)


def one_sided_errors(p_of, n: int, alpha: float) -> np.ndarray:
    """Exact type I error at every discordance of a fine grid, wins and losses equally likely."""
    tables = np.array([(wins, losses) for wins in range(n + 1) for losses in range(n + 1 - wins)])
    b, c = tables.T
    rejected = np.array([p_of(int(w), int(k), n) for w, k in tables]) < alpha
    b, c = b[rejected], c[rejected]
    ways = special.gammaln(n + 1) - special.gammaln(b + 1) - special.gammaln(c + 1) - special.gammaln(n - b - c + 1)
    half = np.linspace(0.005, 0.5, 100)[:, None]
    return np.exp(ways + special.xlogy(b + c, half) + special.xlogy(n - b - c, 1 - 2 * half)).sum(axis=1)


def by_superiority(wins: int, losses: int, n: int) -> float:
    return superiority_p([1.0] * wins + [-1.0] * losses + [0.0] * (n - wins - losses))


def test_mid_p_is_for_reading_since_it_can_pass_its_level_by_a_third():
    worst = one_sided_errors(lambda wins, losses, n: mcnemar_midp(wins, losses), 40, 0.03).max()
    assert 1.2 * 0.03 < worst < 1.4 * 0.03


@pytest.mark.parametrize("n", [20, 40, 60])
def test_the_test_that_the_gate_rests_on_keeps_every_level(n):
    for alpha in (0.05, 0.03, 0.0125, 0.0075):
        # The grid of 129 loss rates may miss the worst one by a hair: 2% of the level.
        assert one_sided_errors(by_superiority, n, alpha).max() <= 1.02 * alpha


def test_beyond_the_exact_rows_superiority_is_the_conditional_test():
    assert by_superiority(30, 12, 500) == pytest.approx(stats.binomtest(30, 42, alternative="greater").pvalue)


def test_superiority_of_grouped_rows_is_the_grouped_test():
    d, groups = [1.0] * 12 + [0.0] * 24, [f"g{i // 3}" for i in range(36)]
    assert superiority_p(d, groups) == paired_p(d, groups)
    assert superiority_p([]) is None


def test_the_sign_flip_is_exact_for_few_groups():
    # Group sums 3, 2, 1: 6 is reached by 1 of 8 sign patterns, |6| by 2 of 8.
    d, groups = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0], ["a", "a", "a", "b", "b", "c"]
    assert sign_flip(d, groups) == 1 / 8
    assert sign_flip(d, groups, two_sided=True) == 2 / 8


def test_the_drawn_sign_flip_agrees_with_the_binomial():
    d = [1.0] * 16 + [-1.0] * 6
    exact = float(stats.binom.sf(15, 22, 0.5))
    drawn = sign_flip(d, flips=20_000, seed=3)
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))
    assert drawn == sign_flip(d, flips=20_000, seed=3), "the same seed gives the same p"


def test_ungrouped_t_is_the_paired_t_test_of_scipy():
    rng = np.random.default_rng(0)
    x = rng.normal(0.05, 0.3, 80)
    ours, theirs = cluster_t(x, null=0.01), stats.ttest_1samp(x, 0.01, alternative="greater")
    assert (ours.p_greater, ours.df) == (pytest.approx(theirs.pvalue), 79)


@pytest.mark.parametrize(("groups", "size"), [(80, 5), (20, 10)])
def test_group_robust_t_keeps_its_level_where_the_plain_one_does_not(groups, size):
    rng = np.random.default_rng(1)
    trials, names = 1500, [str(g) for g in range(groups) for _ in range(size)]
    robust = plain = 0
    for _ in range(trials):
        x = (rng.normal(0, 0.6, (groups, 1)) + rng.normal(0, 1, (groups, size))).ravel()
        robust += cluster_t(x, names).p_two_sided < 0.05
        plain += cluster_t(x).p_two_sided < 0.05
    # 3 standard errors of 1500 trials at 5% are 1.7 points; the design measured 14% and 18% for the plain test.
    assert robust / trials < 0.05 + 0.017
    assert plain / trials > 0.10


def test_grouped_pairs_need_more_than_their_rows_seem_to_say():
    d, groups = [1.0] * 12 + [0.0] * 24, [f"g{i // 12}" for i in range(36)]
    assert paired_p(d) < 0.001
    assert paired_p(d, groups) >= 1 / 8, "three groups cannot give a smaller sign-flip p"


def test_zero_losses_in_sixty_rows_prove_five_points_exactly():
    # Unconditional: the worst truth is 5% losses and no wins, under which no loss at all has chance 0.95^60.
    assert noninferiority_p([0.0] * 60, 0.05) == pytest.approx(0.95**60, rel=1e-9)
    assert noninferiority_p([0.0] * 30, 0.05) > 0.2, "thirty rows cannot prove a margin of 5 points"


@pytest.mark.parametrize("n", [20, 60, 150])
def test_small_sample_non_inferiority_never_passes_its_level(n):
    """Exact type I error at the margin, over every table of n pairs at truths off the grid of the test."""
    tables = np.array([(wins, losses) for wins in range(n + 1) for losses in range(n + 1 - wins)])
    b, c = tables.T
    table_p = np.array([noninferiority_p([1.0] * w + [-1.0] * k + [0.0] * (n - w - k), 0.05) for w, k in tables])
    ways = special.gammaln(n + 1) - special.gammaln(b + 1) - special.gammaln(c + 1) - special.gammaln(n - b - c + 1)
    for won in np.linspace(0.0, 0.47, 40):
        chance = np.exp(
            ways + special.xlogy(b, won) + special.xlogy(c, won + 0.05) + special.xlogy(n - b - c, 0.95 - 2 * won)
        )
        for alpha in (0.05, 0.0125):
            # The grid of 65 loss rates may miss the worst one by a hair: 2% of the level.
            assert chance[table_p < alpha].sum() <= 1.02 * alpha


def test_score_and_exact_non_inferiority_meet_at_the_border():
    def p(n: int) -> float:
        lost = won = round(0.06 * n)
        return noninferiority_p([1.0] * won + [-1.0] * lost + [0.0] * (n - won - lost), 0.05)

    assert p(400) == pytest.approx(p(401), abs=0.005)


def test_groups_without_a_loss_are_not_a_proof():
    """8 groups of 10 wholly alike rows hold 8 facts: with a true loss of 10 points they show none 43% of the time."""
    groups = [f"g{i // 10}" for i in range(80)]
    assert noninferiority_p([0.0] * 80, 0.1, groups) > 0.3
    assert noninferiority_p([0.0] * 80, 0.1) < 0.01


def test_grouped_non_inferiority_keeps_its_level_when_rows_of_a_group_are_the_same():
    rng = np.random.default_rng(5)
    trials, groups, size = 800, 40, 4
    names = [str(g) for g in range(groups) for _ in range(size)]
    passed = 0
    for _ in range(trials):
        draw = rng.random(groups)
        d = np.repeat(np.where(draw < 0.15, -1.0, np.where(draw < 0.20, 1.0, 0.0)), size)
        passed += noninferiority_p(d, 0.10, names) < 0.05
    # 3 standard errors of 800 trials at 5% are 2.3 points.
    assert passed / trials < 0.05 + 0.023


def test_the_design_effect_of_copies_is_the_number_of_copies():
    values = [float(v) for v in np.random.default_rng(0).integers(0, 2, 200)]
    names = [str(g) for g in range(200) for _ in range(4)]
    assert design_effect(np.repeat(values, 4), names) == pytest.approx(4.0, rel=0.02)
    assert design_effect(values) == 1.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, None, 0.03]) == (pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06))


def test_holm_keeps_the_family_wise_error():
    rng = np.random.default_rng(2)
    trials = 4000
    false = sum(min(holm(row.tolist())) < 0.05 for row in rng.random((trials, 8)))
    # 3 standard errors of 4000 trials at 5% are 1.0 point.
    assert false / trials < 0.05 + 0.0105
