"""Bets on outsiders: they seldom win while nothing has changed, and soon where strangers come in."""

import numpy as np
from scipy import stats

from burnish.monitor.outsider import Bets, bet, conformal_p


def run(random: np.random.Generator, far_share: float, windows: int) -> tuple[float, Bets]:
    held = random.normal(size=150)
    bets, highest = Bets(tuple(held), ()), 0.0
    for _ in range(windows):
        far = random.uniform(size=100) < far_share
        found = bet(bets, held, random.normal(size=100) + 4.0 * far, random)
        bets, highest = found.bets, max(highest, found.e_value)
    return highest, bets


def test_without_drift_the_wealth_passes_20_in_a_twentieth_of_all_runs_at_most():
    random = np.random.default_rng(0)
    hits = sum(run(random, 0.0, 3)[0] >= 20 for _ in range(40))
    assert stats.binom.sf(hits - 1, 40, 0.05) > 1e-4, hits


def test_a_fifth_of_strangers_is_proven_within_three_windows():
    random = np.random.default_rng(1)
    assert sum(run(random, 0.2, 3)[0] >= 100 for _ in range(20)) >= 18


def test_bets_go_on_from_what_was_written_down_as_if_never_interrupted():
    held, distances = np.linspace(0, 1, 50), np.random.default_rng(2).uniform(size=40)
    whole = bet(Bets(tuple(held), ()), held, distances, np.random.default_rng(3))
    random = np.random.default_rng(3)
    half = bet(Bets(tuple(held), ()), held, distances[:20], random)
    assert bet(Bets(*half.bets), held, distances[20:], random).bets == whole.bets


def test_a_conformal_p_value_is_a_rank_among_the_held_out_rows():
    assert conformal_p([1.0, 2.0, 3.0], np.array([0.5, 2.0, 9.0])).tolist() == [1.0, 0.75, 0.25]


def test_rows_that_are_all_alike_are_no_evidence():
    held = np.zeros(50)
    assert bet(Bets(tuple(held), ()), held, np.zeros(100), np.random.default_rng(4)).e_value < 20
