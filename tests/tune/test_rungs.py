"""The rungs keep the winner as often as they claim, by simulated banks with known ends, and save work."""

from typing import NamedTuple

import numpy as np
import pytest

from burnish.tune.rungs import LOOK_ROWS, Rungs, still_to_fall

STEPS = 256
SLOTS = 8


class Bank(NamedTuple):
    """What every slot would lose on every row at every look, were it not stopped, and at the end."""

    looks_LKN: np.ndarray
    end_K: np.ndarray


def simulated(random: np.random.Generator, rungs: Rungs, *, rows: int = LOOK_ROWS) -> Bank:
    """Power laws with their own floor, height and speed, so that slow ones overtake; rows differ in how hard they are.

    Rows answer to each candidate in their own way (a third of the spread), and training adds 2% to each look.
    """
    floor = random.uniform(0.2, 0.5, SLOTS)
    height = random.uniform(2.0, 6.0, SLOTS)
    speed = random.uniform(0.4, 1.2, SLOTS)
    hard_N = random.lognormal(-0.18, 0.6, rows)
    own_KN = 1 + 0.3 * random.standard_normal((SLOTS, rows))
    steps = [*rungs.looks(STEPS), STEPS]
    mean_LK = floor + height * np.array(steps)[:, None] ** -speed
    noise_LK = 1 + 0.02 * random.standard_normal(mean_LK.shape)
    noise_LK[-1] = 1
    looks = (mean_LK * noise_LK)[:, :, None] * hard_N * own_KN
    return Bank(looks[:-1], mean_LK[-1])


class Race(NamedTuple):
    kept: list[int]
    steps: int
    """Over all slots."""


def race(bank: Bank, rungs: Rungs) -> Race:
    """Runs the rungs as the training loop does: a slot that left shows nan from then on."""
    looks, seen = rungs.looks(STEPS), bank.looks_LKN.copy()
    running, steps, last = set(range(SLOTS)), 0, 0
    weight_N = np.ones(seen.shape[2])
    for place, step in enumerate(looks):
        steps += (step - last) * len(running)
        last = step
        for gone in set(range(SLOTS)) - running:
            seen[place, gone] = np.nan
        running -= set(rungs.leavers(looks[: place + 1], seen[: place + 1], weight_N, STEPS))
    return Race(sorted(running), steps + (STEPS - last) * len(running))


def rate_of_loss(rungs: Rungs, *, banks: int = 400) -> tuple[float, float]:
    """Share of banks whose winner left, and the share of the steps that were not taken."""
    random = np.random.default_rng(0)
    lost = steps = 0
    for _ in range(banks):
        bank = simulated(random, rungs)
        result = race(bank, rungs)
        lost += int(bank.end_K.argmin()) not in result.kept
        steps += result.steps
    return lost / banks, 1 - steps / (banks * SLOTS * STEPS)


@pytest.mark.parametrize("keep_share", [1.0, 0.5])
def test_the_winner_leaves_no_more_often_than_stated(keep_share: float) -> None:
    lost, saved = rate_of_loss(Rungs(level=0.05, keep_share=keep_share))
    assert lost <= 0.05
    assert saved > (0.5 if keep_share == 0.5 else 0.2)


def test_a_careless_rule_is_caught_by_the_same_simulation() -> None:
    lost, _ = rate_of_loss(Rungs(level=0.49, slack=0.0, worth=0.0, keep_share=0.1), banks=100)
    assert lost > 0.05


def test_a_power_law_keeps_its_word() -> None:
    loss = [0.3 + 4 * step**-0.5 for step in (16, 32, 64, 512)]
    assert still_to_fall(loss[0] - loss[1], loss[1] - loss[2], 3) == pytest.approx(loss[2] - loss[3], rel=1e-9)
    assert still_to_fall(1.0, 1.0, 3) == 3.0
    assert still_to_fall(1.0, -0.1, 3) == 0.0


def looks_of(curves: list[list[float]], *, rows: int = 60) -> np.ndarray:
    """The same loss on every row but for what rows differ by: [L, K, N]."""
    spread = np.random.default_rng(1).normal(1, 0.1, rows)
    return np.array(curves)[:, :, None] * spread


def test_a_flat_loser_leaves_and_a_falling_one_stays() -> None:
    losses = looks_of([[3.0, 3.0, 3.0], [2.0, 2.95, 2.6], [1.0, 2.94, 1.8]])
    assert Rungs(keep_share=1.0).leavers([8, 16, 32], losses, np.ones(60), 256) == (1,)


def test_nobody_is_judged_at_the_first_look() -> None:
    losses = looks_of([[3.0, 9.0]])
    assert Rungs().leavers([16], losses, np.ones(60), 256) == ()


def test_nobody_is_hopeless_before_two_doublings_are_known() -> None:
    losses = looks_of([[3.0, 9.0], [2.0, 9.0], [1.0, 9.0]])
    assert Rungs(keep_share=1.0).leavers([16, 32], losses[:2], np.ones(60), 256) == ()
    assert Rungs(keep_share=0.5).leavers([16, 32], losses[:2], np.ones(60), 256) == (1,)
    assert Rungs(keep_share=1.0).leavers([16, 32, 64], losses, np.ones(60), 256) == (1,)


def test_the_best_stays_even_when_everybody_diverged_but_it() -> None:
    losses = looks_of([[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]])
    losses[1:, 0] = np.nan
    assert Rungs().leavers([8, 16, 32], losses, np.ones(60), 256) == ()


def test_one_dev_row_proves_nothing() -> None:
    losses = looks_of([[3.0, 9.0], [2.0, 9.0], [1.0, 9.0]], rows=1)
    assert Rungs().leavers([8, 16, 32], losses, np.ones(1), 256) == ()


def test_a_level_that_is_no_probability_is_refused() -> None:
    with pytest.raises(AssertionError):
        Rungs(level=1.0)
    with pytest.raises(AssertionError):
        Rungs(keep_share=0.0)


def test_looks_see_the_same_spread_rows_and_never_more_than_there_are() -> None:
    assert Rungs().rows(3) == (0, 1, 2)
    assert Rungs().rows(0) == ()
    spread = Rungs().rows(1000)
    assert len(spread) == len(set(spread)) == LOOK_ROWS
    assert spread[-1] > 950


def test_short_runs_have_the_looks_they_have_room_for() -> None:
    assert Rungs().looks(256) == (16, 32, 64, 128)
    assert Rungs().looks(8) == (1, 2, 4)
    assert Rungs().looks(1) == ()
