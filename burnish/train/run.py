"""The training loop, to be read top to bottom: rows, epochs, steps, checkpoints, and one Trial for each candidate.

K candidates share every batch and the pass through the frozen base; they share nothing else, so each ends as it would
alone. Whatever stops the process, the same call goes on from the last checkpoint and ends with the same bytes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from burnish.errors import Interrupted, TrainingError
from burnish.records import Trial
from burnish.store.failpoints import failpoint
from burnish.store.files import require_space
from burnish.talk import Silence, Talk
from burnish.train.batch import Row, by_length, check_rows, epoch_order, target_weight
from burnish.train.checkpoint import KEPT, Checkpoint, claim_folder, last_good_checkpoint, save_checkpoint
from burnish.train.dropout import thinned
from burnish.train.job import TrainJob
from burnish.train.memory import in_portions
from burnish.train.optim import AdamW, clip_, scheduled_lr
from burnish.train.trainee import Trainee, trainee_of
from burnish.train.watch import Watch, lesson

TOKENS_AT_ONCE = 4096
"""Tokens of a forward pass over all slots: more is no faster on a CPU and takes memory, about 0.2 MB each at 10M."""
GRADIENT_SCALE = 2.0**48
"""Gradients of positions that hardly matter are denormal numbers, which CPUs take a hundred times longer to multiply: a
step of the built-in base took 3 times as long. A power of two lifts them and is divided out without rounding."""
RUNG_SHARE = 0.4
"""Share of the epochs after which only the finalists go on."""
CURVE_POINTS = 60
"""Points of a learning curve, besides one for each epoch."""


def train(
    job: TrainJob, *, talk: Talk | None = None, should_stop: Callable[[], bool] = lambda: False
) -> tuple[Trial, ...]:
    """Trains every candidate of the job and writes each into job.folder/<its name>; goes on where a killed run was.

    Raises Interrupted after a checkpoint when `should_stop` says so, TrainingError with the rows' ids when no candidate
    has a finite loss, DataError when a row teaches nothing, ConfigError when the folder belongs to another job,
    StorageError before the first step when the disk has no room for checkpoints and weights.
    """
    check_rows(job.rows, name="train")
    check_rows(job.dev, name="dev_b")
    claim_folder(job.folder / "scratch", job.identity())
    with trainee_of(job) as trainee:
        run = _Run(job, trainee, talk or Silence(), should_stop)
        require_space(job.folder, run.bytes_to_write(), "training")
        run.resume()
        with run.talk.track("train", run.total_steps, "steps") as advance:
            advance(run.step, "")
            if run.step == 0:
                run.look_at_dev()
            while run.epoch < job.train.epochs and run.running:
                for rows in run.batches_left():
                    run.take_step(rows)
                    run.look_when_due()
                    advance(1, run.note())
                    run.save_when_due()
                run.end_epoch()
        return run.finish()


class _Run:
    """The state of a run between steps: everything here but job, trainee and talk is in a checkpoint."""

    def __init__(self, job: TrainJob, trainee: Trainee, talk: Talk, should_stop: Callable[[], bool]) -> None:
        self.job, self.trainee, self.talk, self.should_stop = job, trainee, talk, should_stop
        self.folder = job.folder / "scratch" / "checkpoints"
        self.lengths = [len(row.tokens) for row in job.rows]
        self.steps_per_epoch = -(-len(job.rows) // job.train.batch_size)
        self.total_steps = self.steps_per_epoch * job.train.epochs
        self.mark_every = max(1, self.total_steps // CURVE_POINTS)
        self.adam = AdamW(trainee.flat.theta_KP)
        self.best_KP = trainee.flat.theta_KP.clone()
        self.watches = [Watch() for _ in job.candidates]
        self.looks = frozenset(job.referee.looks(self.total_steps) if job.referee and job.dev else ())
        self.looked: list[int] = []
        self.shown = list(job.referee.rows(len(job.dev))) if self.looks and job.referee else []
        self.losses_LKN = torch.zeros(0, len(job.candidates), len(self.shown), dtype=torch.float64)
        self.step = self.epoch = self.place = 0
        self.rows_at_once = job.train.batch_size
        self.saved_at_s = time.monotonic()

    @property
    def running(self) -> list[int]:
        """Slots that have not stopped."""
        return [slot for slot, watch in enumerate(self.watches) if watch.is_running]

    def bytes_to_write(self) -> int:
        """What the run may take on the disk: the checkpoints kept, the one being written, and the weights at the end.

        A checkpoint holds weights, best weights and two moments of AdamW.
        """
        weights = self.trainee.flat.theta_KP
        return weights.numel() * weights.element_size() * (4 * (KEPT + 1) + 1)

    def batches_left(self) -> list[list[Row]]:
        """The batches of this epoch from the current place on."""
        job = self.job
        order = epoch_order(self.lengths, batch_size=job.train.batch_size, seed=job.seed, epoch=self.epoch)
        rows = thinned(job.rows, job.token_dropout, seed=job.seed, epoch=self.epoch)
        return [[rows[index] for index in batch] for batch in order[self.place :]]

    def take_step(self, rows: Sequence[Row]) -> None:
        """One update of every running slot. A slot whose loss or gradient is not finite stops and harms no other."""
        slots, flat = self.running, self.trainee.flat
        loss_G = self._gradients(rows, slots)
        norm_K = clip_(flat.grad_KP, self.job.train.max_grad_norm)
        finite_G = (torch.isfinite(loss_G) & torch.isfinite(norm_K[slots])).tolist()
        if not any(finite_G):
            raise _nothing_finite(self.step, rows)
        lr_K = torch.zeros_like(norm_K)
        for slot, loss, is_finite in zip(slots, loss_G.tolist(), finite_G, strict=True):
            if is_finite:
                lr_K[slot] = self._lr(slot)
                self.watches[slot] = self.watches[slot].after_step(loss)
            else:
                flat.grad_KP[slot].zero_()
                self.watches[slot] = replace(self.watches[slot], stopped="diverged")
                name = self.job.candidates[slot].name
                self.talk.warn(
                    f"candidate {name} diverged at step {self.step} and was stopped; the batch was: {_ids(rows)}"
                )
        self.adam.step_(flat, lr_K, weight_decay=self.job.train.weight_decay)
        self.step, self.place = self.step + 1, self.place + 1
        if self.step % self.mark_every == 0 and self.place < self.steps_per_epoch:
            for slot in self.running:
                self._mark(slot, dev_loss=None)
        failpoint("train.step")

    def _gradients(self, rows: Sequence[Row], slots: Sequence[int]) -> Tensor:
        """Mean loss of each slot over the batch, [G]; the gradients are in the flat buffer, summed over portions."""
        weight_sum = target_weight(rows)

        def work(rows_at_once: int) -> Tensor:
            self.trainee.flat.grad_KP.zero_()
            total_G = torch.zeros(len(slots), device=self.trainee.flat.grad_KP.device)
            for portion in _portions(rows, len(slots), rows_at_once):
                loss_G = self.trainee.losses(portion, slots, weight_sum=weight_sum)
                self.trainee.flat.add_gradients_(loss_G.sum() * GRADIENT_SCALE)
                total_G += loss_G.detach()
            self.trainee.flat.grad_KP.div_(GRADIENT_SCALE)
            return total_G

        total_G, self.rows_at_once = in_portions(work, self.rows_at_once, self.talk)
        return total_G

    def end_epoch(self) -> None:
        """Measures the running slots on dev_b, keeps the best weights and stops those that no longer improve."""
        if self.job.dev:
            self.look_at_dev()
        else:
            for slot in self.running:
                self._mark(slot, dev_loss=None)
        self.epoch, self.place = self.epoch + 1, 0
        if self.job.dev and not self.job.referee and self.epoch == max(1, round(RUNG_SHARE * self.job.train.epochs)):
            self.drop_outrun()

    def drop_outrun(self) -> None:
        """Stops all running slots but those with the lowest dev losses; ties go to the earlier candidate."""
        running = sorted(self.running, key=lambda slot: (self.watches[slot].best_loss or 0.0, slot))
        for slot in running[self.job.train.finalists :]:
            self.watches[slot] = replace(self.watches[slot], stopped="outrun")

    @torch.no_grad()
    def look_at_dev(self) -> None:
        """A point with the dev loss on each curve. Before the first step all slots are the untuned base."""
        if not self.job.dev:
            return
        is_start = self.step == 0
        slots = None if is_start else self.running
        loss_GN = self._losses_on(self.job.dev, slots)
        losses = loss_GN.sum(1) / target_weight(self.job.dev)
        for slot, loss in zip(self.running, losses.expand(len(self.running)).tolist(), strict=True):
            self._mark(slot, dev_loss=loss)
            if is_start:
                continue
            watch = self.watches[slot].after_epoch(step=self.step, dev_loss=loss, patience=self.job.train.patience)
            self.watches[slot] = watch
            if watch.best_step == self.step:
                self.best_KP[slot].copy_(self.trainee.flat.theta_KP[slot])
        if slots is not None and self.step in self.looks:
            self._ask_referee(slots, loss_GN[:, self.shown])

    def look_when_due(self) -> None:
        """A look at dev in the middle of an epoch, where the referee wants one: marks the curves, keeps no weights."""
        if self.step in self.looks and self.place < self.steps_per_epoch:
            slots = self.running
            with torch.no_grad():
                loss_GN = self._losses_on(self._shown_rows, slots)
            losses = loss_GN.sum(1) / target_weight(self._shown_rows)
            for slot, loss in zip(slots, losses.tolist(), strict=True):
                self._mark(slot, dev_loss=loss)
            self._ask_referee(slots, loss_GN)

    @property
    def _shown_rows(self) -> list[Row]:
        """The dev rows that the referee looks at."""
        return [self.job.dev[index] for index in self.shown]

    def _losses_on(self, dev: Sequence[Row], slots: Sequence[int] | None) -> Tensor:
        """Weighted nll of each slot on each row, summed over its targets, [G, N]."""
        loss_GN = torch.zeros(1 if slots is None else len(slots), len(dev), dtype=torch.float64)
        for batch in by_length([len(row.tokens) for row in dev], batch_size=self.job.train.batch_size):
            rows = [dev[index] for index in batch]
            done = 0
            for portion in _portions(rows, len(loss_GN), self.rows_at_once):
                loss_GN[:, batch[done : done + len(portion)]] = self.trainee.row_losses(portion, slots)
                done += len(portion)
        return loss_GN

    def _ask_referee(self, slots: Sequence[int], loss_GN: Tensor) -> None:
        """Notes what these slots lose on each row and stops those that the referee names."""
        assert self.job.referee is not None
        weight_N = torch.tensor([target_weight([row]) for row in self._shown_rows], dtype=torch.float64)
        look_1KN = torch.full((1, *self.losses_LKN.shape[1:]), torch.nan, dtype=torch.float64)
        look_1KN[0, list(slots)] = loss_GN / weight_N
        self.losses_LKN = torch.cat([self.losses_LKN, look_1KN])
        self.looked.append(self.step)
        leavers = self.job.referee.leavers(self.looked, self.losses_LKN.numpy(), weight_N.numpy(), self.total_steps)
        for slot in set(leavers) & set(self.running):
            self.watches[slot] = replace(self.watches[slot], stopped="outrun")

    def _mark(self, slot: int, *, dev_loss: float | None) -> None:
        epoch = self.epoch + self.place / self.steps_per_epoch
        self.watches[slot] = self.watches[slot].mark(step=self.step, epoch=epoch, lr=self._lr(slot), dev_loss=dev_loss)

    def _lr(self, slot: int) -> float:
        return scheduled_lr(
            self.job.candidates[slot].lr,
            step=self.step,
            total_steps=self.total_steps,
            warmup_steps=round(self.job.train.warmup_share * self.total_steps),
            decay_share=self.job.decay_share,
        )

    def note(self) -> str:
        """The last losses of the running slots, for the progress bar."""
        means = [watch.loss_sum / watch.loss_steps for watch in self.watches if watch.is_running and watch.loss_steps]
        return f"loss {min(means):.2f}" if means else ""

    def save_when_due(self) -> None:
        """A checkpoint when the last one is old enough, or when a stop was asked for; then Interrupted is raised."""
        stop = self.should_stop()
        if stop or time.monotonic() - self.saved_at_s >= self.job.train.checkpoint_every_s:
            save_checkpoint(self.folder, self._checkpoint())
            self.saved_at_s = time.monotonic()
        if stop:
            raise Interrupted(
                f"training stopped at step {self.step} of {self.total_steps}; nothing is lost",
                hint=f"run the same command again to go on from step {self.step}",
            )

    def _checkpoint(self) -> Checkpoint:
        tensors = {
            "weights": {"theta": self.trainee.flat.theta_KP.cpu()},
            "best": {"best": self.best_KP.cpu()},
            "optimizer": {"m": self.adam.m_KP.cpu(), "v": self.adam.v_KP.cpu()},
            "looks": {"losses": self.losses_LKN},
        }
        state: dict[str, Any] = {
            "step": self.step,
            "epoch": self.epoch,
            "place": self.place,
            "adam_count": self.adam.count,
            "rows_at_once": self.rows_at_once,
            "looked": self.looked,
            "watches": [watch.as_state() for watch in self.watches],
        }
        return Checkpoint(self.step, tensors, state)

    @torch.no_grad()
    def resume(self) -> None:
        """Goes to the last good checkpoint, if there is one, and says so."""
        found = last_good_checkpoint(self.folder, self.talk)
        if found is None:
            return
        self.trainee.flat.theta_KP.copy_(found.tensors["weights"]["theta"])
        self.best_KP.copy_(found.tensors["best"]["best"])
        self.adam.m_KP.copy_(found.tensors["optimizer"]["m"])
        self.adam.v_KP.copy_(found.tensors["optimizer"]["v"])
        self.losses_LKN, self.looked = found.tensors["looks"]["losses"], list(found.state["looked"])
        self.adam.count = found.state["adam_count"]
        self.step, self.epoch, self.place = found.state["step"], found.state["epoch"], found.state["place"]
        self.rows_at_once = found.state["rows_at_once"]
        self.watches = [Watch.from_state(state) for state in found.state["watches"]]
        self.talk.say(f"going on from step {self.step} of {self.total_steps}")

    @torch.no_grad()
    def finish(self) -> tuple[Trial, ...]:
        """Writes the best weights of every candidate and says what became of it."""
        trials = []
        for slot, (candidate, watch) in enumerate(zip(self.job.candidates, self.watches, strict=True)):
            if watch.best_loss is not None:
                self.trainee.flat.theta_KP[slot].copy_(self.best_KP[slot])
            failpoint("train.save")
            weights_hash = self.trainee.save(slot, self.job.folder / candidate.name)
            taught = lesson(watch.curve, watch.best_loss, vocab_size=self.trainee.vocab_size)
            self.talk.say(f"candidate {candidate.name} (lr {candidate.lr:.2g}): {taught.sentence}")
            trials.append(
                Trial(
                    candidate=candidate,
                    curve=watch.curve,
                    best_step=watch.best_step or self.step,
                    dev_loss=watch.best_loss,
                    adapter_hash=weights_hash,
                    folder=candidate.name,
                    stopped=watch.stopped or "done",
                    learned=taught.learned,
                )
            )
        return tuple(trials)


def _portions(rows: Sequence[Row], num_slots: int, rows_at_once: int) -> list[Sequence[Row]]:
    """The rows in portions that keep a forward pass within TOKENS_AT_ONCE and `rows_at_once`."""
    longest = max(len(row.tokens) for row in rows)
    count = max(1, min(rows_at_once, TOKENS_AT_ONCE // (longest * num_slots)))
    return [rows[start : start + count] for start in range(0, len(rows), count)]


def _nothing_finite(step: int, rows: Sequence[Row]) -> TrainingError:
    return TrainingError(
        f"no candidate has a finite loss at step {step}; the batch was: {_ids(rows)}",
        hint="Look at these rows, or lower train.lr; the last good checkpoint is kept.",
    )


def _ids(rows: Sequence[Row]) -> str:
    return ", ".join(row.id for row in rows[:8]) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
