"""Forward and backward passes over rows, in portions that fit: the loss of each slot, and its gradients.

Shapes: G slots at work, N rows.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from burnish.talk import Talk
from burnish.train.batch import Row, by_length, target_weight
from burnish.train.goal import Goal
from burnish.train.memory import in_portions
from burnish.train.trainee import Trainee

GRADIENT_SCALE = 2.0**48
"""Gradients of positions that hardly matter are denormal numbers, which CPUs take a hundred times longer to multiply: a
step of the built-in base took 3 times as long. A power of two lifts them and is divided out without rounding."""


class Passes:
    """Passes of one trainee, each of at most `tokens_at_once` tokens over all slots, padding counted.

    `rows_at_once` falls when memory runs out, and is in a checkpoint.
    """

    def __init__(self, trainee: Trainee, goal: Goal, talk: Talk, *, batch_size: int, tokens_at_once: int) -> None:
        self._trainee, self._goal, self._talk = trainee, goal, talk
        self._batch_size, self._tokens_at_once = batch_size, tokens_at_once
        self.rows_at_once = batch_size

    def gradients(self, rows: Sequence[Row], slots: Sequence[int]) -> Tensor:
        """Mean loss of each slot over the batch, [G]; the gradients are in the flat buffer, summed over portions."""
        flat = self._trainee.flat

        def work(rows_at_once: int) -> Tensor:
            flat.grad_KP.zero_()
            whole = self._goal.whole(rows, slots, lambda some: self._nll(some, slots, rows_at_once))
            total_G = torch.zeros(len(slots), device=flat.grad_KP.device)
            for portion in self._portions(rows, len(slots), rows_at_once):
                loss_G = self._goal.losses(portion, slots, whole)
                flat.add_gradients_(loss_G.sum() * GRADIENT_SCALE)
                total_G += loss_G.detach()
            flat.grad_KP.div_(GRADIENT_SCALE)
            return total_G

        total_G, self.rows_at_once = in_portions(work, self.rows_at_once, self._talk)
        return total_G

    @torch.no_grad()
    def losses(self, rows: Sequence[Row], slots: Sequence[int] | None) -> Tensor:
        """Weighted loss of each slot on each row, float64 [G, N]: of an example the nll summed over its targets.

        slots None: the base, for examples only.
        """
        whole = self._goal.whole(rows, slots, lambda some: self._nll(some, slots, self.rows_at_once))
        num_slots = 1 if slots is None else len(slots)
        return self._by_row(rows, num_slots, self.rows_at_once, lambda some: self._goal.row_losses(some, slots, whole))

    @torch.no_grad()
    def _nll(self, rows: Sequence[Row], slots: Sequence[int] | None, rows_at_once: int) -> Tensor:
        num_slots = 1 if slots is None else len(slots)
        return self._by_row(rows, num_slots, rows_at_once, lambda some: self._trainee.row_losses(some, slots))

    def _by_row(
        self, rows: Sequence[Row], num_slots: int, rows_at_once: int, measure: Callable[[Sequence[Row]], Tensor]
    ) -> Tensor:
        loss_GN = torch.zeros(num_slots, len(rows), dtype=torch.float64)
        for batch in by_length([len(row.tokens) for row in rows], batch_size=self._batch_size):
            done = 0
            for portion in self._portions([rows[index] for index in batch], num_slots, rows_at_once):
                loss_GN[:, batch[done : done + len(portion)]] = measure(portion)
                done += len(portion)
        return loss_GN

    def _portions(self, rows: Sequence[Row], num_slots: int, rows_at_once: int) -> list[Sequence[Row]]:
        longest = max(row.width for row in rows)
        count = max(1, min(rows_at_once, self._tokens_at_once // (longest * num_slots)))
        return [rows[start : start + count] for start in range(0, len(rows), count)]


def mean_losses(loss_GN: Tensor, rows: Sequence[Row]) -> list[float]:
    """Mean loss of each slot over these rows: of examples in nats per target token, else per pair or thumb."""
    means: list[float] = (loss_GN.sum(1) / target_weight(rows)).tolist()
    return means
