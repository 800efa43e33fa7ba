"""Out of scope: a bet, request by request, that texts lie further from the training rows than held-out rows do."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from burnish.monitor.permutation import Floats
from burnish.stats.rates import Estimate, clopper_pearson

POWERS = np.linspace(0.1, 0.95, 18)
"""Exponents of the bets e * p^(e - 1); small ones bet on a few extreme texts, large ones on many a little strange."""
RARE = 0.05
"""p-value up to which a text counts as an outsider."""


class Bets(NamedTuple):
    """A betting martingale between two windows; plain numbers, so that it can be written down and gone on with."""

    seen: tuple[float, ...]
    """Distances of held-out reference rows, then of every request since."""
    log_wealth: tuple[float, ...]
    """One for each of POWERS; empty before the first request."""


class Outsiders(NamedTuple):
    """What a window adds."""

    bets: Bets
    e_value: float
    """Highest wealth in this window, from 1 at the start: with no drift it ever passes x with chance 1 / x at most."""
    p_N: Floats
    """Conformal p-value of each text against the reference rows alone; small: an outsider."""
    share: Estimate
    """Share of outsiders beyond the 5% of the reference that count as such, with its 95% interval."""


def bet(bets: Bets, held_out: Sequence[float], distance_N: Floats, random: np.random.Generator) -> Outsiders:
    """The wealth after these distances, in their order; `held_out` are the distances of the reference.

    Smoothed conformal p-values against all rows seen before are independent and uniform under exchangeability (Vovk,
    Nouretdinov and Gammerman 2003, Testing Exchangeability On-Line), so the wealth is a martingale, and a mixture over
    POWERS is one too. By Ville's inequality it ever reaches 1 / a with chance a at most. Rows seen later dilute a
    slow drift: what came in for long is no outsider any more.
    """
    seen = np.sort(np.array(bets.seen, dtype=float))
    wealth = np.array(bets.log_wealth or np.zeros(len(POWERS)))
    highest = 0.0
    for distance in distance_N:
        low, high = np.searchsorted(seen, distance), np.searchsorted(seen, distance, side="right")
        p = (len(seen) - high + random.uniform() * (high - low + 1)) / (len(seen) + 1)
        wealth = wealth + np.log(POWERS) + (POWERS - 1.0) * np.log(max(p, 1e-12))
        highest = max(highest, float(np.mean(np.exp(np.minimum(wealth, 600.0)))))
        seen = np.insert(seen, high, distance)
    p_N = conformal_p(held_out, distance_N)
    after = Bets(tuple(float(value) for value in seen), tuple(float(value) for value in wealth))
    return Outsiders(after, highest, p_N, _excess(p_N))


def conformal_p(held_out: Sequence[float], distance_N: Floats) -> Floats:
    """(1 + held-out rows at least as far) / (rows + 1): at most a with chance a, text by text (Vovk et al. 2005)."""
    known = np.sort(np.asarray(held_out, dtype=float))
    return np.asarray((1.0 + len(known) - np.searchsorted(known, distance_N)) / (len(known) + 1.0))


def _excess(p_N: Floats) -> Estimate:
    seen = clopper_pearson(int((p_N <= RARE).sum()), len(p_N))
    if seen.value is None or seen.low is None or seen.high is None:
        return seen
    value, low, high = (max(0.0, (share - RARE) / (1.0 - RARE)) for share in (seen.value, seen.low, seen.high))
    return Estimate(value, low, high, seen.n)
