"""Intervals cover what they say: hand-computed cases, and coverage by exact enumeration or seeded simulation."""

import numpy as np
import pytest
from scipy import special, stats

from burnish.stats.pairs import paired_interval
from burnish.stats.rates import clopper_pearson, mean_interval, wilson

Z = float(stats.norm.isf(0.025))


def test_seven_of_ten_is_forty_to_eighty_nine():
    # Wilson by hand: centre (0.7 + z^2/20) / (1 + z^2/10), half z/(1 + z^2/10) sqrt(0.021 + z^2/400).
    interval = wilson(7, 10)
    centre = (0.7 + Z**2 / 20) / (1 + Z**2 / 10)
    half = Z / (1 + Z**2 / 10) * (0.021 + Z**2 / 400) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((centre - half, centre + half), abs=1e-12)
    assert (round(interval.low, 2), round(interval.high, 2)) == (0.40, 0.89)


def test_no_rows_give_no_number():
    assert wilson(0, 0) == clopper_pearson(0, 0) == mean_interval([]) == paired_interval([]) == (None, None, None, 0)


@pytest.mark.parametrize(("right", "n", "low"), [(60, 60, 0.951), (58, 60, 0.899), (95, 100, 0.898), (97, 100, 0.924)])
def test_clopper_pearson_gives_the_audit_bounds_of_the_design(right, n, low):
    # One-sided 95% bounds are the two-sided 90% interval's.
    assert clopper_pearson(right, n, alpha=0.10).low == pytest.approx(low, abs=5e-4)


def binomial_coverage(interval, n: int, shares: np.ndarray) -> np.ndarray:
    bounds = [interval(k, n) for k in range(n + 1)]
    low, high = np.array([b.low for b in bounds]), np.array([b.high for b in bounds])
    inside = (low[None] <= shares[:, None] + 1e-12) & (shares[:, None] <= high[None] + 1e-12)
    return (inside * stats.binom.pmf(np.arange(n + 1), n, shares[:, None])).sum(axis=1)


@pytest.mark.parametrize("n", [10, 45, 150])
def test_wilson_covers_95_percent_on_average_and_clopper_pearson_always(n):
    shares = np.linspace(0.02, 0.98, 97)
    # Our own claim, "near-nominal on average down to n of about 10", taken as 1 point.
    assert abs(binomial_coverage(wilson, n, shares).mean() - 0.95) < 0.01
    assert binomial_coverage(clopper_pearson, n, shares).min() >= 0.95


@pytest.mark.parametrize("n", [20, 40])
def test_the_paired_interval_covers_what_it_says(n):
    """Exact: every table of n pairs, weighted by its probability, over a grid of true gains and discordances."""
    tables = [(wins, losses) for wins in range(n + 1) for losses in range(n + 1 - wins)]
    bounds = [paired_interval([1.0] * w + [-1.0] * c + [0.0] * (n - w - c)) for w, c in tables]
    low, high = np.array([b.low for b in bounds]), np.array([b.high for b in bounds])
    b, c = np.array(tables).T
    ways = special.gammaln(n + 1) - special.gammaln(b + 1) - special.gammaln(c + 1) - special.gammaln(n - b - c + 1)
    coverage = []
    for discordance in (0.05, 0.1, 0.2, 0.3, 0.5, 0.8):
        for gain in (g for g in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7) if g <= discordance):
            won, lost = (discordance + gain) / 2, (discordance - gain) / 2
            log = ways + special.xlogy(b, won) + special.xlogy(c, lost) + special.xlogy(n - b - c, 1 - won - lost)
            coverage.append(np.exp(log)[(low <= gain + 1e-9) & (gain - 1e-9 <= high)].sum())
    # The docstring's claim, from a denser grid than this one; n = 40 holds its worst dips.
    assert min(coverage) > 0.925
    assert np.mean(coverage) > 0.95


def test_the_paired_interval_turns_around_with_its_sides():
    d = [1.0] * 9 + [-1.0] * 3 + [0.0] * 40
    forward, backward = paired_interval(d), paired_interval([-value for value in d])
    assert (backward.low, backward.high) == pytest.approx((-forward.high, -forward.low), abs=1e-6)


def test_no_changed_row_still_leaves_room_for_a_gain_and_a_loss():
    interval = paired_interval([0.0] * 30)
    # Tango at 0 of n: z^2 / (n + z^2) on either side.
    assert (interval.low, interval.high) == pytest.approx((-(Z**2) / (30 + Z**2), Z**2 / (30 + Z**2)), abs=1e-6)


def test_all_wins_end_at_one():
    interval = paired_interval([1.0] * 12)
    assert interval.high == 1.0
    assert 0.5 < interval.low < 1.0


def grouped_scores(seed: int, groups: int, size: int, *, likeness: float = 0.5) -> tuple[np.ndarray, list[str]]:
    """Scores of 0 and 1 with mean 0.7: each row copies its group's coin with probability `likeness`."""
    rng = np.random.default_rng(seed)
    coin = rng.random((groups, 1)) < 0.7
    own = rng.random((groups, size)) < 0.7
    scores = np.where(rng.random((groups, size)) < likeness, coin, own).astype(float).ravel()
    return scores, [f"g{g}" for g in range(groups) for _ in range(size)]


def test_grouped_scores_widen_the_interval_until_it_covers():
    trials = 600
    inside = naive = 0
    for seed in range(trials):
        scores, groups = grouped_scores(seed, groups=30, size=5)
        grouped, plain = mean_interval(scores, groups), mean_interval(scores)
        inside += grouped.low <= 0.7 <= grouped.high
        naive += plain.low <= 0.7 <= plain.high
    # Binomial: 3 standard errors of 600 trials at 95% are 2.7 points.
    assert inside / trials > 0.95 - 0.027
    assert naive / trials < 0.92, "the test must be able to see that ignoring groups fails"


def test_real_scores_use_the_t_of_their_groups():
    values, groups = [0.2, 0.4, 0.6, 0.9], ["a", "a", "b", "c"]
    # By hand: mean 0.525; group residual sums -0.45, 0.075, 0.375; SE^2 = 0.34875 / 16 * 3 / 2.
    se = (0.34875 / 16 * 1.5) ** 0.5
    half = float(stats.t.isf(0.025, 2)) * se
    interval = mean_interval(values, groups)
    assert interval.low == pytest.approx(max(0.0, 0.525 - half))
    assert interval.high == pytest.approx(min(1.0, 0.525 + half))


def test_one_group_cannot_support_an_interval():
    assert mean_interval([1.0, 0.0, 1.0], ["a", "a", "a"]) == (pytest.approx(2 / 3), None, None, 3)
    assert paired_interval([1.0, 0.0, 1.0], ["a", "a", "a"])[1:] == (None, None, 3)


def test_equal_real_scores_are_not_called_certain():
    interval = mean_interval([0.9] * 20)
    assert interval.high - interval.low > 0.2
