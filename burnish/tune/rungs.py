"""Which candidates of a bank leave early, by paired losses on the same dev rows: what makes a row hard cancels out.

Two ways out. Outclassed: it is in the worse half of the bank and behind the best one by more than chance.
Hopeless: even what the candidate's own curve still promises does not reach what the best one has now.

Shapes: L looks so far, K slots, N dev rows of a look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from burnish.records import as_json
from burnish.train.referee import Losses

FIRST_LOOK = 4
"""Looks are at 1/16, 1/8, 1/4 and 1/2 of the steps."""
LOOK_ROWS = 32
"""Dev rows of a look: with all of them, the looks cost more than the training that they save on small data."""
NUM_RUNGS = FIRST_LOOK - 1
"""The first look is no rung: so early, the warm-up decides who is ahead."""
DOUBLINGS_BEFORE = 2
"""A curve promises something once two doublings of the steps are known, from the look at 1/4 on."""


class _Curve(NamedTuple):
    """What a slot lost on each row at the last three looks, each at about twice the steps of the one before."""

    before_N: Losses
    middle_N: Losses
    now_N: Losses


@dataclass(frozen=True, slots=True, kw_only=True)
class Rungs:
    """A referee for `train`: rungs at 1/8, 1/4 and 1/2 of the steps; the best candidate always stays.

    As hopeless, the later winner leaves with a chance of at most `level`, provided that (1) dev rows are independent
    and at least about 30, (2) no loss falls faster per doubling of the steps than its last two doublings promise,
    `slack` times. As outclassed it leaves only if at least half of the bank and, beyond chance, the best candidate
    are ahead of it and it overtakes them all later: nothing bounds that, so it is measured
    (docs/decisions/0004-tune.md); keep_share 1 switches it off.
    """

    level: float = 0.05
    """Bound on the chance to lose the winner to the noise of dev rows, over all rungs and candidates (Bonferroni)."""
    worth: float = 0.003
    """A candidate that could beat the best one by no more than this share of its loss is not waited for."""
    slack: float = 1.5
    """Factor on the fall that a curve still promises: training is noisier than its rows tell."""
    keep_share: float = 0.5
    """Share of those still running that a rung leaves untouched, the best ones (successive halving)."""

    def __post_init__(self) -> None:
        assert 0 < self.level < 1, self.level
        assert 0 < self.keep_share <= 1, self.keep_share

    def looks(self, total_steps: int) -> tuple[int, ...]:
        """Steps after which dev is measured: 1/16, 1/8, 1/4 and 1/2 of all."""
        return tuple(sorted({round(total_steps / 2**power) for power in range(1, FIRST_LOOK + 1)} - {0}))

    def passed(self, step: int, total_steps: int) -> tuple[int, int]:
        """How many rungs a candidate that came to `step` has reached, and how many there are."""
        rungs = self.looks(total_steps)[1:]
        return sum(rung <= step for rung in rungs), len(rungs)

    def rows(self, num_dev: int) -> tuple[int, ...]:
        """At most LOOK_ROWS rows, evenly spread."""
        count = min(num_dev, LOOK_ROWS)
        return tuple(at * num_dev // count for at in range(count))

    def leavers(self, looked: Sequence[int], losses_LKN: Losses, weight_N: Losses, total_steps: int) -> tuple[int, ...]:
        """Slots that leave now; none at the first look, and as hopeless none before the third."""
        if len(looked) < 2:
            return ()
        share_N = weight_N / weight_N.sum()
        now = _filled(losses_LKN)
        mean_K = np.where(np.isfinite(now).all(axis=1), now @ share_N, np.inf)
        best = int(mean_K.argmin())
        running = [
            slot for slot in np.argsort(mean_K, kind="stable").tolist() if np.isfinite(losses_LKN[-1][slot]).all()
        ]
        untouched = max(1, int(np.ceil(self.keep_share * len(running))))
        level = self.level / max(1, (len(mean_K) - 1) * NUM_RUNGS)
        goal_N = (1 - self.worth) * now[best]
        gone = {slot for slot in running[untouched:] if _is_above(now[slot] - goal_N, share_N, level)}
        if len(looked) > DOUBLINGS_BEFORE:
            doublings = float(np.log2(total_steps / looked[-1]))
            before, middle = (_filled(losses_LKN[: len(losses_LKN) - back]) for back in (2, 1))
            curves = {slot: _Curve(before[slot], middle[slot], now[slot]) for slot in running}
            gone |= {
                slot for slot, curve in curves.items() if self._is_hopeless(curve, goal_N, share_N, doublings, level)
            }
        return tuple(sorted(gone - {best}))

    def _is_hopeless(self, curve: _Curve, goal_N: Losses, share_N: Losses, doublings: float, level: float) -> bool:
        """Whether the end that the curve promises is above the goal by more than chance.

        The promise is a smooth function of two mean falls; its slopes spread it over rows (the delta method).
        """
        first_N, last_N = curve.before_N - curve.middle_N, curve.middle_N - curve.now_N
        first, last = float(share_N @ first_N), float(share_N @ last_N)
        promise = self.slack * still_to_fall(first, last, doublings)
        by_first, by_last = (self.slack * slope for slope in _slopes(first, last, doublings))
        linear_N = curve.now_N - goal_N - by_first * first_N - by_last * last_N
        constant = by_first * first + by_last * last - promise
        return _is_above(linear_N + constant, share_N, level)

    def identity(self) -> Mapping[str, Any]:
        """Everything that decides its answers."""
        return {"rule": "rungs", "first_look": FIRST_LOOK, **as_json(self)}


def still_to_fall(first_fall: float, last_fall: float, doublings: float) -> float:
    """How much a loss falls in the next doublings of the steps if each keeps the last one's share of the one before.

    Exact for a power law a + b t^-c; at most last_fall * doublings, what a loss that falls with log t still falls.
    """
    if last_fall <= 0:
        return 0.0
    ratio = min(1.0, last_fall / first_fall) if first_fall > 0 else 1.0
    if ratio > 1 - 1e-9:
        return last_fall * doublings
    return float(last_fall * ratio * (1 - ratio**doublings) / (1 - ratio))


def _slopes(first: float, last: float, doublings: float) -> tuple[float, float]:
    """Slopes of `still_to_fall` in both falls, by differences."""
    size = 1e-4 * max(abs(first), abs(last), 1e-9)
    by_first = still_to_fall(first + size, last, doublings) - still_to_fall(first - size, last, doublings)
    by_last = still_to_fall(first, last + size, doublings) - still_to_fall(first, last - size, doublings)
    return by_first / (2 * size), by_last / (2 * size)


def _is_above(difference_N: Losses, share_N: Losses, level: float) -> bool:
    """Whether a weighted mean over rows is above zero: a one-sided t test."""
    count = len(difference_N)
    if count < 2:
        return False
    mean = float(share_N @ difference_N)
    error = float(np.sqrt(np.sum((share_N * (difference_N - mean)) ** 2) * count / (count - 1)))
    return bool(mean > stats.t.isf(level, count - 1) * error)


def _filled(losses_LKN: Losses) -> Losses:
    """The last known loss of each slot on each row, [K, N]: a slot that stopped keeps what it had."""
    known: Losses = losses_LKN[0]
    for look_KN in losses_LKN[1:]:
        known = np.where(np.isfinite(look_KN), look_KN, known)
    return known
