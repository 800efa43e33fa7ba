"""What a step lowers, behind one face: the likelihood of answers, or what people preferred of them.

A goal sees a portion of a batch at a time; what a portion must know of the whole is told beforehand.
Shapes: G slots at work, N rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from burnish.train.batch import Row, num_targets, target_weight
from burnish.train.course import Course
from burnish.train.preference import dpo_losses, kl_estimate, kto_losses, sequence
from burnish.train.reference import Reference
from burnish.train.trainee import Trainee

Measure = Callable[[Sequence[Row]], Tensor]
"""The summed nll of each row under the slots at work, float64 [G, N], without gradients and in portions that fit."""


class Whole(NamedTuple):
    """What a portion must know of all rows that it is a part of."""

    weight: float
    """What the loss is divided by."""
    token_weight: float = 0.0
    """Weighted target tokens of chosen answers."""
    kl_G: Tensor | None = None


class Goal(Protocol):
    """A loss over rows."""

    def whole(self, rows: Sequence[Row], slots: Sequence[int] | None, measure: Measure) -> Whole:
        """What every portion of these rows has to know; never differentiated."""

    def losses(self, rows: Sequence[Row], slots: Sequence[int], whole: Whole) -> Tensor:
        """The part of these rows in the mean loss of the whole, [G]; differentiable."""

    def row_losses(self, rows: Sequence[Row], slots: Sequence[int] | None, whole: Whole) -> Tensor:
        """Each row's share of the summed loss, float64 [G, N] on the CPU; over the whole they sum to mean x weight."""


class Likelihood:
    """Negative log-likelihood of the target tokens (train/objective.py)."""

    def __init__(self, trainee: Trainee) -> None:
        self._trainee = trainee

    def whole(self, rows: Sequence[Row], slots: Sequence[int] | None, measure: Measure) -> Whole:
        """The weight of all target tokens."""
        return Whole(target_weight(rows))

    def losses(self, rows: Sequence[Row], slots: Sequence[int], whole: Whole) -> Tensor:
        """Weighted nll over the weight of the whole, [G]."""
        return self._trainee.losses(rows, slots, weight_sum=whole.weight)

    def row_losses(self, rows: Sequence[Row], slots: Sequence[int] | None, whole: Whole) -> Tensor:
        """Weighted nll, summed over each row's targets; slots None: the base alone."""
        return self._trainee.row_losses(rows, slots)


class _Preferred(ABC):
    """What pairs and thumbs have in common: a reference, and a strength for each slot."""

    def __init__(self, trainee: Trainee, reference: Reference, courses: Sequence[Course]) -> None:
        self._trainee, self._reference, self._courses = trainee, reference, courses

    def losses(self, rows: Sequence[Row], slots: Sequence[int], whole: Whole) -> Tensor:
        """The part of these rows in the mean loss of the whole, [G]."""
        loss_G = self.row_losses(rows, slots, whole).sum(1) / whole.weight
        return loss_G.to(self._trainee.flat.grad_KP)

    @abstractmethod
    def row_losses(self, rows: Sequence[Row], slots: Sequence[int] | None, whole: Whole) -> Tensor:
        """As of a `Goal`."""

    def _beta(self, slots: Sequence[int]) -> Tensor:
        return torch.tensor([self._courses[slot].beta for slot in slots], dtype=torch.float64)

    def _ratios(self, rows: Sequence[Row], slots: Sequence[int], nll_GN: Tensor) -> Tensor:
        return -nll_GN - self._reference.of(rows, slots)


class Pairs(_Preferred):
    """DPO's loss of each pair, and beside it the mean nll of the tokens of chosen answers times the slot's sft weight.

    The second term as in TRL's loss types sigmoid and sft: the first alone may lower both answers.
    """

    def whole(self, rows: Sequence[Row], slots: Sequence[int] | None, measure: Measure) -> Whole:
        """The weight of all pairs and of all tokens of chosen answers."""
        return Whole(target_weight(rows), sum(row.weight * num_targets(row) for row in rows))

    def row_losses(self, rows: Sequence[Row], slots: Sequence[int] | None, whole: Whole) -> Tensor:
        """Each pair's weighted loss, the sft term shared out by tokens; prompts are computed once for both answers."""
        assert slots is not None
        both = [sequence(one) for one in (*rows, *(row.rejected for row in rows)) if one is not None]
        nll_GM = self._trainee.row_losses(both, slots)
        chosen_GN, rejected_GN = self._ratios(both, slots, nll_GM).chunk(2, dim=1)
        weight_N = torch.tensor([row.weight for row in rows], dtype=torch.float64)
        loss_GN = weight_N * dpo_losses(chosen_GN, rejected_GN, self._beta(slots))
        sft_G = torch.tensor([self._courses[slot].sft_weight for slot in slots], dtype=torch.float64)
        share_G1 = sft_G[:, None] * whole.weight / whole.token_weight
        return loss_GN + share_G1 * weight_N * nll_GM[:, : len(rows)]


class Thumbs(_Preferred):
    """KTO's loss of each thumb; how far the slot moved is estimated on the mismatched answers of the whole batch."""

    def whole(self, rows: Sequence[Row], slots: Sequence[int] | None, measure: Measure) -> Whole:
        """The weight of all thumbs and each slot's estimate, for which mismatched answers go through once more."""
        assert slots is not None
        others = [row.mismatched for row in rows if row.mismatched is not None]
        assert len(others) == len(rows), [row.id for row in rows if row.mismatched is None]
        return Whole(target_weight(rows), kl_G=kl_estimate(self._ratios(others, slots, measure(others))))

    def row_losses(self, rows: Sequence[Row], slots: Sequence[int] | None, whole: Whole) -> Tensor:
        """Each thumb's weighted loss."""
        assert slots is not None
        assert whole.kl_G is not None
        alone = [sequence(row) for row in rows]
        ratio_GN = self._ratios(alone, slots, self._trainee.row_losses(alone, slots))
        is_good_N = torch.tensor([bool(row.is_good) for row in rows])
        weight_N = torch.tensor([row.weight for row in rows], dtype=torch.float64)
        return weight_N * kto_losses(ratio_GN, is_good_N, whole.kl_G, self._beta(slots))
