"""Exact permutation tests that stop early: the one test that every comparison of a window with its reference rests on.

Exact at any level as long as the rows of both are exchangeable, which is what "no drift" means.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

HITS = 20
"""Draws at least as extreme after which the p-value is known well enough: to about a fifth of itself."""
BATCH = 1000
FINEST = 2.0
"""Draws at most, in units of 1 / level: enough for p-values down to half of the level that decides."""


def permutation_p(
    statistic: Callable[[Bools], Floats], rows: int, members: int, level: float, random: np.random.Generator
) -> float:
    """p-value of the last `members` of `rows` rows being unlike the others; `statistic` maps (draws, rows) to values.

    Sequential Monte Carlo (Besag and Clifford 1991): draws end at 20 hits, or where p is half of `level`. Valid
    at any number of rows: P(p <= a) <= a.
    """
    is_member_N = np.arange(rows) >= rows - members
    seen = float(statistic(is_member_N[None, :])[0]) - 1e-9
    most = math.ceil(FINEST / level) - 1
    hits = done = 0
    while done < most:
        size = min(BATCH, most - done)
        drawn_DN = random.permuted(np.broadcast_to(is_member_N, (size, rows)), axis=1)
        at = np.flatnonzero(statistic(drawn_DN) >= seen)
        if hits + len(at) >= HITS:
            return HITS / float(done + at[HITS - hits - 1] + 1)
        hits, done = hits + len(at), done + size
    return (hits + 1) / (done + 1)
