"""Many slices at once: p-values adjusted for their number, and shares pulled toward their mean."""

from collections.abc import Sequence

import numpy as np
from scipy import special


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm-adjusted p-values (Holm 1979), in the given order, valid under any dependence; None stays None."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, place) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p))
        adjusted[place] = running
    return tuple(adjusted)


def shrink(successes: Sequence[float], totals: Sequence[int]) -> tuple[float, ...]:
    """Shares of slices pulled toward their mean by empirical Bayes: (x_s + m k) / (n_s + k), for reading and planning.

    Beta-binomial with prior mean m = overall share and weight k by marginal likelihood on a grid of 0.5 to 5000 rows.
    Assumes slices that are exchangeable; a slice unlike all others is pulled too far.
    """
    x, n = np.asarray(successes, dtype=float), np.asarray(totals, dtype=float)
    assert len(x) == len(n), f"{len(x)} counts of successes but {len(n)} totals"
    assert n.sum() > 0, "no rows to shrink toward"
    mean = min(max(float(x.sum() / n.sum()), 1e-6), 1 - 1e-6)
    weights = np.geomspace(0.5, 5000, 60)
    a, b = mean * weights[:, None], (1 - mean) * weights[:, None]
    evidence = (special.betaln(x + a, n - x + b) - special.betaln(a, b)).sum(axis=1)
    k = float(weights[evidence.argmax()])
    return tuple(float(value) for value in (x + mean * k) / (n + k))
