"""How often a canary goes back without reason, and how long it takes to see true harm and true benefit.

    python -m benchmarks.canary [--runs 1000] [--json]

Worlds with known truth, and the tests that `burnish deploy step` uses (`burnish.betting`). Outcomes are good or bad,
the champion's good on 80% unless told otherwise. In a split the arms are drawn by chance; under a shadow both answer
the same request and differ on a share of them. Every difference is a look, so a false alarm is an alarm at the worst of
all stopping times. Three stages, as by default. Takes about two minutes of one core.
"""

import argparse
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from burnish.betting import Floats, log_wealth, staged_wealth

LOOKS = 4000
STAGES = 3
LIMIT = math.log(1 / 0.05)
SEED = 20261130
RUNS = 1000


class Differences(NamedTuple):
    """Differences of one canary, and how many of the challenger's conversations each has used up."""

    values: Floats
    challenger: Floats


class World(NamedTuple):
    """What is simulated."""

    name: str
    draw: Callable[[np.random.Generator, float], Differences]
    """Differences for a true gain."""
    most: float = 0.2
    """The largest true harm that it can have."""
    best: float = 0.2
    """The largest true gain."""


def split(share: float, good: float = 0.8) -> Callable[[np.random.Generator, float], Differences]:
    """Arms by chance: some outcomes of one arm, until one of the other comes."""

    def draw(random: np.random.Generator, gain: float) -> Differences:
        is_first = random.random(LOOKS) < share
        lengths = random.geometric(np.where(is_first, 1 - share, share))
        many = random.binomial(lengths, np.where(is_first, good + gain, good)) / lengths
        one = (random.random(LOOKS) < np.where(is_first, good, good + gain)).astype(float)
        return Differences(np.where(is_first, many - one, one - many), np.where(is_first, lengths, 1.0))

    return draw


def shadow(differing: float) -> Callable[[np.random.Generator, float], Differences]:
    """Pairs that differ on this share of the requests."""

    def draw(random: np.random.Generator, gain: float) -> Differences:
        drawn = random.random(LOOKS)
        better = (differing + gain) / 2
        values = np.where(drawn < better, 1.0, np.where(drawn < differing, -1.0, 0.0))
        return Differences(values, np.ones(LOOKS))

    return draw


def compared(
    differing: float, speaking: float, good: float = 0.8
) -> Callable[[np.random.Generator, float], Differences]:
    """Both answers to conversations that users said nothing of, half from each arm; bad answers make them speak."""

    def draw(random: np.random.Generator, gain: float) -> Differences:
        better, worse = (differing + gain) / 2, (differing - gain) / 2
        quiet, both = 1.0 - speaking, good - worse
        neither = 1.0 - better - worse - both
        values = np.zeros(LOOKS)
        for seen in (  # of a better, a worse, and two equal answers where the champion answered, then the challenger
            np.array([better * quiet, worse, both + neither * quiet]),
            np.array([better, worse * quiet, both + neither * quiet]),
        ):
            values += random.choice([1.0, -1.0, 0.0], LOOKS, p=seen / seen.sum()) / 2
        return Differences(values, np.ones(LOOKS))

    return draw


WORLDS = [
    World("split, 1%", split(0.01)),
    World("split, 25%", split(0.25)),
    World("split, 25%, champion 95% good", split(0.25, 0.95), best=0.05),
    World("split, 50%", split(0.5)),
    World("shadow, 10% differ", shadow(0.10), 0.1, 0.1),
    World("shadow, 25% differ", shadow(0.25)),
    World("compared, 25% differ", compared(0.25, 0.7)),
]
GAINS = (0.05, 0.10, 0.20)


def first_over(wealth: Floats) -> float:
    """The first look over the bar; infinite where there is none."""
    over = wealth >= LIMIT
    return float(over.argmax()) if over.any() else math.inf


def simulate(world: World, runs: int) -> dict[str, Any]:
    """Rates of false alarms in a world where nothing differs, and median delays where something does."""
    random = np.random.default_rng(SEED)
    alarms = {"rolled_back": 0, "ramped": 0}
    for _ in range(runs):
        equal = world.draw(random, 0.0).values
        starts = sorted([0, *random.integers(1, LOOKS // 2, STAGES - 1).tolist()])
        alarms["rolled_back"] += bool((staged_wealth(-equal, starts, STAGES) >= LIMIT).any())
        alarms["ramped"] += bool((log_wealth(equal) >= LIMIT).any())
    delays = {}
    for gain in GAINS:
        if gain > world.most:
            continue
        found = [_delays(world, random, gain) for _ in range(max(1, runs // 4))]
        delays[f"{100 * gain:.0f}"] = [_median([one[at] for one in found]) for at in range(3)]
    return {**{name: count / runs for name, count in alarms.items()}, "delays": delays}


def _delays(world: World, random: np.random.Generator, gain: float) -> tuple[float, float, float]:
    """Differences, and the challenger's conversations, until harm is proven; differences until benefit is."""
    worse = world.draw(random, -gain)
    at = first_over(staged_wealth(-worse.values, (0,), STAGES))
    used = float(worse.challenger[: int(at)].sum()) if math.isfinite(at) else math.inf
    if gain > world.best:
        return at, used, math.nan
    return at, used, first_over(log_wealth(world.draw(random, gain).values))


def adapting(runs: int) -> dict[str, list[float]]:
    """Median delays of harm by one process: our mixture, and a bet that adapts (aGRAPA, Waudby-Smith and Ramdas)."""
    random, draw = np.random.default_rng(SEED), split(0.5)
    found: dict[str, list[float]] = {}
    for gain in GAINS:
        drawn = [-draw(random, -gain).values for _ in range(max(1, runs // 4))]
        ways = (log_wealth, _agrapa)
        found[f"{100 * gain:.0f}"] = [_median([first_over(way(values)) for values in drawn]) for way in ways]
    return found


def _agrapa(gains: Floats) -> Floats:
    counts = np.arange(1, gains.size + 1)
    mean = np.concatenate([[0.0], (np.cumsum(gains) / (counts + 1))[:-1]])
    square = np.concatenate([[0.25], ((np.cumsum(gains**2) + 0.25) / (counts + 1))[:-1]])
    return np.concatenate([[0.0], np.cumsum(np.log1p(np.clip(mean / square, 0, 0.75) * gains))])


def late(runs: int, *, is_staged: bool) -> float:
    """Median delay of harm of 10 points that begins with the second stage, after 500 differences of 5 points better."""
    random, draw = np.random.default_rng(SEED), split(0.25)
    found = []
    for _ in range(max(1, runs // 4)):
        values = np.concatenate([draw(random, 0.05).values[:500], draw(random, -0.10).values])
        wealth = staged_wealth(-values, (0, 500), STAGES) if is_staged else log_wealth(-values)
        found.append(first_over(wealth) - 500)
    return _median(found)


def _median(values: list[float]) -> float:
    return float(np.median(values))


def _shown(delay: float) -> str:
    return "-" if math.isnan(delay) else f"{delay:.0f}"


def main() -> None:
    """Prints a line for each world, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = {world.name: simulate(world, asked.runs) for world in WORLDS}
    late_s = {name: late(asked.runs, is_staged=name == "parts") for name in ("parts", "one_process")}
    ways = adapting(asked.runs)
    if asked.json:
        told = {"worlds": found, "late_harm": late_s, "mixture_and_adapting": ways}
        print(json.dumps({"name": "canary", "runs": asked.runs, **told}))
        return
    print(
        "| world | false rollback | false ramp | harm proven after, by points | conversations | benefit proven after |"
    )
    for name, one in found.items():
        columns = [", ".join(f"{gain}: {_shown(told[at])}" for gain, told in one["delays"].items()) for at in range(3)]
        print(f"| {name} | {one['rolled_back']:.1%} | {one['ramped']:.1%} | {' | '.join(columns)} |")
    print(f"mixture and adapting bet, harm by points: {ways}")
    parts, one_process = late_s["parts"], late_s["one_process"]
    print(f"late harm of 10 points: {parts:.0f} with a part for each stage, {one_process:.0f} with one process")


if __name__ == "__main__":
    main()
