"""How many rows prove a gain, and which gains so many rows can prove."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from scipy import stats


class PlanRow(NamedTuple):
    """What a set of n rows can prove, and how many rows would prove gains of 5, 10 and 15 points."""

    name: str
    n: int
    smallest_gain: float
    """May exceed 1.0: then n rows can prove nothing at all."""
    rows_for_5: int
    rows_for_10: int
    rows_for_15: int


def rows_needed(gain: float, discordance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Rows that prove a true `gain` with this power, one-sided McNemar at alpha (Connor 1987), rounded up.

    `discordance` is the share of rows that change score, for other scores the mean squared difference; it is raised to
    the gain where it is smaller. Assumes independent rows.
    """
    assert 0 < gain <= 1, f"a gain of {gain} cannot be planned for"
    spread = max(discordance, gain)
    z_alpha, z_power = float(stats.norm.isf(alpha)), float(stats.norm.ppf(power))
    return math.ceil(((z_alpha * math.sqrt(spread) + z_power * math.sqrt(spread - gain**2)) / gain) ** 2 - 1e-9)


def rows_needed_no_loss(margin: float, discordance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Rows that prove, at a true difference of 0, a loss below `margin`: (z_a + z_b)^2 discordance / margin^2."""
    assert 0 < margin <= 1, f"a margin of {margin} cannot be planned for"
    quantiles = float(stats.norm.isf(alpha)) + float(stats.norm.ppf(power))
    return math.ceil(quantiles**2 * discordance / margin**2 - 1e-9)


def detectable_gain(n: int, discordance: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true gain that n independent rows prove with this power; infinite where not even 1.0 would be proven."""
    if n < 1 or rows_needed(1.0, discordance, alpha, power) > n:
        return math.inf
    low, high = 1e-4, 1.0
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if rows_needed(middle, discordance, alpha, power) <= n else (middle, high)
    return high


def plan(counts: Mapping[str, int], discordance: float, alpha: float = 0.05, power: float = 0.8) -> tuple[PlanRow, ...]:
    """What each named set (a vault, a slice of it) can prove, in the given order; gains at or above it, 0-1."""
    wanted = [rows_needed(gain, discordance, alpha, power) for gain in (0.05, 0.10, 0.15)]
    return tuple(PlanRow(name, n, detectable_gain(n, discordance, alpha, power), *wanted) for name, n in counts.items())


def plan_sentence(n: int, smallest_gain: float) -> str:
    """The plan of one vault in words: "With 60 vault rows this gate can only prove gains above 17 points."."""
    if smallest_gain > 1.0:
        return f"With {n} vault rows this gate can prove no gain at all; it needs more rows."
    only = "" if smallest_gain <= 0.05 else "only "
    return f"With {n} vault rows this gate can {only}prove gains above {100 * smallest_gain:.0f} points."
