"""What the referee was shown so far, and whom it sends away: the part of a run that compares candidates on the way.

Shapes: L looks so far, K slots, G slots at work, N rows of dev that the referee looks at.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from burnish.train.batch import Row, target_weight
from burnish.train.job import TrainJob


class Looks:
    """Losses by look, slot and row of dev: `looked` and `losses_LKN` are in a checkpoint, the job gives the rest."""

    def __init__(self, job: TrainJob, total_steps: int) -> None:
        self._job, self._total_steps = job, total_steps
        referee = job.referee if job.dev else None
        self._steps = frozenset(referee.looks(total_steps) if referee else ())
        self._shown = list(referee.rows(len(job.dev))) if referee and self._steps else []
        self.looked: list[int] = []
        self.losses_LKN = torch.zeros(0, len(job.candidates), len(self._shown), dtype=torch.float64)

    def is_due(self, step: int) -> bool:
        """True after the steps at which the referee wants to look."""
        return step in self._steps

    @property
    def rows(self) -> list[Row]:
        """The dev rows that the referee looks at."""
        return [self._job.dev[index] for index in self._shown]

    def of_dev(self, loss_GD: Tensor) -> Tensor:
        """The referee's part of losses on all of dev, [G, N]."""
        return loss_GD[:, self._shown]

    def leavers(self, step: int, slots: Sequence[int], loss_GN: Tensor) -> set[int]:
        """Notes what these slots lose on each row, summed over its targets; returns the slots that leave now."""
        assert self._job.referee is not None
        weight_N = torch.tensor([target_weight([row]) for row in self.rows], dtype=torch.float64)
        look_1KN = torch.full((1, *self.losses_LKN.shape[1:]), torch.nan, dtype=torch.float64)
        look_1KN[0, list(slots)] = loss_GN / weight_N
        self.losses_LKN = torch.cat([self.losses_LKN, look_1KN])
        self.looked.append(step)
        return set(self._job.referee.leavers(self.looked, self.losses_LKN.numpy(), weight_N.numpy(), self._total_steps))
