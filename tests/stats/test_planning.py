"""Planning and posteriors: how many rows prove what, and how far small slices are believed."""

import math

import numpy as np
import pytest
from scipy import stats

from burnish.stats.beliefs import Belief, belief_of_gain, posterior_gain, shrink_gains
from burnish.stats.many import shrink
from burnish.stats.planning import detectable_gain, plan, plan_sentence, rows_needed, rows_needed_no_loss


@pytest.mark.parametrize(
    ("gain", "discordance", "rows"),
    [(0.03, 0.15, 1028), (0.05, 0.20, 493), (0.08, 0.25, 239), (0.10, 0.25, 152), (0.15, 0.30, 80)],
)
def test_rows_needed_are_those_of_the_design(gain, discordance, rows):
    # The design rounds to the nearest row, we round up.
    assert rows_needed(gain, discordance) in (rows, rows + 1)


@pytest.mark.parametrize(
    ("margin", "discordance", "power", "rows"),
    [
        (0.03, 0.10, 0.8, 687),
        (0.05, 0.15, 0.8, 371),
        (0.08, 0.15, 0.8, 145),
        (0.10, 0.15, 0.8, 93),
        (0.05, 0.15, 0.95, 649),
    ],
)
def test_rows_for_no_loss_are_those_of_the_design(margin, discordance, power, rows):
    assert rows_needed_no_loss(margin, discordance, power=power) in (rows, rows + 1)


def power_of(n: int, gain: float, discordance: float, alpha: float = 0.05) -> float:
    """Exact power of the one-sided mid-p McNemar test at n independent rows, by enumerating the discordant pairs."""
    spread = max(discordance, gain)
    won = (spread + gain) / 2
    total = 0.0
    for pairs in range(n + 1):
        weight = float(stats.binom.pmf(pairs, n, spread))
        if weight < 1e-12:
            continue
        wins = np.arange(pairs + 1)
        midp = stats.binom.sf(wins, pairs, 0.5) + 0.5 * stats.binom.pmf(wins, pairs, 0.5)
        total += weight * float(stats.binom.pmf(wins, pairs, won / spread)[midp < alpha].sum())
    return total


@pytest.mark.parametrize(("gain", "discordance"), [(0.05, 0.20), (0.10, 0.25), (0.15, 0.30)])
def test_the_planned_rows_have_the_planned_power_by_enumeration(gain, discordance):
    # Connor's normal formula against the exact mid-p test: agreement to 2 points of power at 80 rows and more.
    assert power_of(rows_needed(gain, discordance), gain, discordance) == pytest.approx(0.80, abs=0.02)


def test_a_stricter_attempt_costs_rows_as_the_design_says():
    assert rows_needed(0.05, 0.20, alpha=0.05 / 3) / rows_needed(0.05, 0.20) == pytest.approx(1.43, abs=0.01)


def test_the_smallest_gain_is_the_inverse_of_the_rows():
    for n, discordance in [(60, 0.30), (150, 0.25), (1000, 0.15)]:
        gain = detectable_gain(n, discordance)
        assert rows_needed(gain, discordance) <= n < rows_needed(gain - 2e-4, discordance)


def test_three_rows_can_prove_nothing_and_say_so():
    assert detectable_gain(1, 0.3, alpha=0.03) == math.inf
    assert "no gain at all" in plan_sentence(1, math.inf)


def test_the_plan_tells_what_sixty_rows_can_prove():
    row, small = plan({"vault 1": 60, "channel=phone": 9}, discordance=0.30)
    assert (row.name, row.n, row.rows_for_15) == ("vault 1", 60, 81)
    assert (
        plan_sentence(row.n, row.smallest_gain) == "With 60 vault rows this gate can only prove gains above 17 points."
    )
    assert small.smallest_gain > 2 * row.smallest_gain


def test_the_posterior_of_wins_alone_is_the_beta_it_must_be():
    # All n rows discordant: P(gain > 0) is P(Beta(b + 1/2, c + 1/2) > 1/2) up to the two half cells of ties.
    d = [1.0] * 60 + [-1.0] * 40
    beta = float(stats.beta.sf(0.5, 60.5, 40.5))
    assert posterior_gain(d) == pytest.approx(beta, abs=4 * math.sqrt(beta * (1 - beta) / 20_000) + 0.002)
    assert posterior_gain(d) == posterior_gain(d), "seeded"


def test_drawn_and_closed_posteriors_agree():
    d = [1.0] * 12 + [-1.0] * 5 + [0.0] * 43
    belief = belief_of_gain(d)
    # Hand: (12.5 - 5.5) / 62, and a normal tail as the posterior is near-normal at 60 rows.
    assert belief.mean == pytest.approx(7 / 62)
    assert posterior_gain(d, 0.05) == pytest.approx(float(stats.norm.sf(0.05, belief.mean, belief.sd)), abs=0.02)


def test_a_posterior_is_calibrated_under_its_prior():
    """Gains drawn from the prior lie above their posterior medians half of the time."""
    rng = np.random.default_rng(0)
    below = 0
    for trial in range(400):
        won, lost, _ = rng.dirichlet([0.5, 0.5, 1.0])
        wins, losses, ties = rng.multinomial(30, [won, lost, 1 - won - lost])
        d = [1.0] * wins + [-1.0] * losses + [0.0] * ties
        below += posterior_gain(d, won - lost, draws=2000, seed=trial) < 0.5
    # 3 standard errors of 400 coin flips are 7.5 points.
    assert abs(below / 400 - 0.5) < 0.075


def test_no_rows_are_no_belief():
    assert posterior_gain([], 0.0) == 0.5


def test_shrinking_moves_small_slices_most_and_keeps_the_order_of_equal_sizes():
    small, big, middle = shrink([0, 50, 70], [4, 100, 100])
    overall = 120 / 204
    assert abs(small - overall) < abs(0 - overall)
    assert abs(small - 0.0) > abs(big - 0.5)
    assert big < middle


def test_slices_that_agree_are_pulled_together_and_a_clear_outlier_stays():
    alike = shrink_gains([Belief(0.10, 0.05), Belief(0.12, 0.05), Belief(0.08, 0.05)])
    assert max(b.mean for b in alike) - min(b.mean for b in alike) < 0.01
    outlier = shrink_gains([Belief(0.10, 0.02), Belief(0.12, 0.02), Belief(-0.40, 0.03)])[2]
    assert outlier.mean < -0.35
