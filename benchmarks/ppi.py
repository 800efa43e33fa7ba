"""How often intervals helped by a judge hold, and what the judge is worth, with and without their padding.

    python benchmarks/ppi.py [--draws 1000] [--json]

Worlds with known truth: people's paired differences are -1, 0 or 1, a share of them not 0, and a judge says the same on
a share of the rows and guesses elsewhere. Labels are drawn from ten times as many rows. Coverage of the nominal 95%
intervals of `ppi.assisted_mean`, of the same without `ppi.PADDING`, and of people alone (`stats.paired_interval`);
worth: how many labels people alone would need for the same standard error, per label, the median. Takes about a
minute of one core; the standard error of a coverage of 95% over 1,000 draws is 0.7 points.
"""

import argparse
import json
import math
from typing import NamedTuple

import numpy as np
from scipy import stats as scipy_stats

from burnish.ppi import assisted_mean
from burnish.stats.pairs import paired_interval

ROWS_A_LABEL = 10
GAINS = 0.7
"""Share of the rows that differ on which the challenger is the better one."""
SEED = 20260801


class World(NamedTuple):
    """What is simulated."""

    labels: int
    differing: float
    """Share of rows on which people find the two models different."""
    judge_right: float


WORLDS = [
    World(labels, differing, judge_right)
    for labels in (50, 100)
    for differing in (0.02, 0.05, 0.10, 0.30)
    for judge_right in (0.6, 0.8)
]


def simulate(world: World, draws: int, seed: int) -> dict[str, float]:
    """Coverages and worth in one world, by name."""
    random = np.random.default_rng(seed)
    truth = world.differing * (2 * GAINS - 1)
    rows = ROWS_A_LABEL * world.labels
    held = {"assisted": 0, "unpadded": 0, "people_alone": 0}
    worth = []
    for _ in range(draws):
        differs = random.random(rows) < world.differing
        people = np.where(differs, np.where(random.random(rows) < GAINS, 1.0, -1.0), 0.0)
        guessed = np.where(random.random(rows) < world.differing, random.choice([-1.0, 1.0], rows), 0.0)
        judge = np.where(random.random(rows) < world.judge_right, people, guessed)
        labels = np.full(rows, np.nan)
        labels[: world.labels] = people[: world.labels]
        found = assisted_mean(labels, judge)
        value, low, high, se = (float(part) for part in found[:4] if part is not None)
        half = float(scipy_stats.t.isf(0.025, world.labels - 1)) * se
        alone = paired_interval(people[: world.labels].tolist())
        held["assisted"] += low <= truth <= high
        held["unpadded"] += abs(value - truth) <= half
        held["people_alone"] += alone.low is not None and alone.high is not None and alone.low <= truth <= alone.high
        plain = float(np.var(people[: world.labels], ddof=1)) / world.labels
        worth += [plain / se**2] if se else []
    return {**{name: count / draws for name, count in held.items()}, "worth": float(np.median(worth or [math.nan]))}


def main() -> None:
    """Prints a line for each world, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = [{**world._asdict(), **simulate(world, asked.draws, SEED + at)} for at, world in enumerate(WORLDS)]
    if asked.json:
        print(json.dumps({"name": "ppi", "draws": asked.draws, "worlds": found}))
        return
    print("labels  differing  judge right   assisted  unpadded  people alone   worth of a label")
    for one in found:
        print(
            f"{one['labels']:6d}  {one['differing']:9.0%}  {one['judge_right']:11.0%}  {one['assisted']:9.1%}  "
            f"{one['unpadded']:8.1%}  {one['people_alone']:12.1%}  {one['worth']:10.2f}"
        )


if __name__ == "__main__":
    main()
