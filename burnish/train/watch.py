"""What training looks like from outside: curves, when to stop, and whether anything was learned at all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from burnish.records import CurvePoint, as_json, from_json

LEAST_GAIN_SHARE = 0.01
"""A dev loss that fell by less than this share of its start counts as not fallen."""
GUESSING_SHARE = 0.95
"""A dev loss above this share of the uniform baseline counts as guessing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Progress of one candidate; each observation gives the next Watch."""

    curve: tuple[CurvePoint, ...] = ()
    best_step: int = 0
    best_loss: float | None = None
    """Lowest dev loss after training began, in nats per target token."""
    worse_epochs: int = 0
    """Epochs since the best one."""
    stopped: str = ""
    """Empty while it runs; then done, early, outrun or diverged."""
    loss_sum: float = 0.0
    loss_steps: int = 0
    """Steps since the last point of the curve, and the sum of their losses."""

    @property
    def is_running(self) -> bool:
        """True until the candidate has stopped for whatever reason."""
        return not self.stopped

    def after_step(self, loss: float) -> "Watch":
        """Counts the loss of one step towards the next point of the curve."""
        return replace(self, loss_sum=self.loss_sum + loss, loss_steps=self.loss_steps + 1)

    def mark(self, *, step: int, epoch: float, lr: float, dev_loss: float | None) -> "Watch":
        """Puts a point on the curve: the mean loss of the steps since the last one, and the dev loss if measured."""
        train_loss = self.loss_sum / self.loss_steps if self.loss_steps else None
        point = CurvePoint(step=step, epoch=epoch, train_loss=train_loss, dev_loss=dev_loss, lr=lr)
        return replace(self, curve=(*self.curve, point), loss_sum=0.0, loss_steps=0)

    def after_epoch(self, *, step: int, dev_loss: float, patience: int) -> "Watch":
        """Early stopping: `patience` epochs without a lower dev loss end the candidate; nan or infinity ends it now."""
        if not math.isfinite(dev_loss):
            return replace(self, stopped="diverged")
        if self.best_loss is None or dev_loss < self.best_loss:
            return replace(self, best_step=step, best_loss=dev_loss, worse_epochs=0)
        worse = self.worse_epochs + 1
        return replace(self, worse_epochs=worse, stopped="early" if worse >= patience else "")

    def as_state(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_state` makes the same Watch."""
        return as_json(self)

    @staticmethod
    def from_state(state: dict[str, Any]) -> "Watch":
        """The Watch that `as_state` wrote."""
        return from_json(Watch, state)


class Lesson(NamedTuple):
    """Whether training taught anything, and the sentence that says so."""

    learned: bool
    sentence: str


def lesson(curve: Sequence[CurvePoint], best_loss: float | None, *, vocab_size: int) -> Lesson:
    """Compares the best dev loss with guessing uniformly over the vocabulary and with the untuned base at step 0.

    Without a dev loss the last train loss stands in for it and the first one for the base.
    """
    guessing = math.log(vocab_size)
    losses = [point.dev_loss for point in curve if point.dev_loss is not None]
    if best_loss is None:
        losses = [point.train_loss for point in curve if point.train_loss is not None]
    start, best = (losses[0], best_loss if best_loss is not None else losses[-1]) if losses else (guessing, guessing)
    if not best < GUESSING_SHARE * guessing:
        return Lesson(False, f"no learning: loss {best:.2f} against {guessing:.2f} for guessing")
    if not best <= (1 - LEAST_GAIN_SHARE) * start:
        return Lesson(False, f"no learning: loss {best:.2f} against {start:.2f} before training")
    return Lesson(True, f"loss {start:.2f} before training, {best:.2f} after; {guessing:.2f} would be guessing")


def preference_lesson(curve: Sequence[CurvePoint], best_loss: float | None) -> Lesson:
    """Compares the best dev loss with the one before training, where the adapter was its own reference.

    Without a dev loss the last train loss stands in for it and the first one for the start.
    """
    losses = [point.dev_loss for point in curve if point.dev_loss is not None]
    if best_loss is None:
        losses = [point.train_loss for point in curve if point.train_loss is not None]
    if not losses:
        return Lesson(False, "no learning: no step was taken")
    start, best = losses[0], best_loss if best_loss is not None else losses[-1]
    if not best <= (1 - LEAST_GAIN_SHARE) * start:
        return Lesson(False, f"no learning: loss {best:.3f} against {start:.3f} before training")
    return Lesson(True, f"preference loss {start:.3f} before training, {best:.3f} after")
