"""The training loop, to be read top to bottom: rows, epochs, steps, checkpoints, and one Trial for each candidate.

K candidates share the pass through the frozen base, and their batches where they learn from the same rows
(train/course.py); they share nothing else, so each ends as it would alone. Whatever stops the process, the same call
goes on from the last checkpoint and ends with the same bytes.
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
from burnish.train.batch import Row, by_length
from burnish.train.checkpoint import KEPT, Checkpoint, claim_folder, last_good_checkpoint, save_checkpoint
from burnish.train.course import Turn, cohorts_of, courses_of, runs_of, turns_of
from burnish.train.goal import Goal, Likelihood, Pairs, Thumbs
from burnish.train.job import TrainJob
from burnish.train.looks import Looks
from burnish.train.optim import AdamW, clip_
from burnish.train.passes import Passes, mean_losses
from burnish.train.preference import mismatch
from burnish.train.reference import Reference, reference_of, sequences_of
from burnish.train.refusals import check_job
from burnish.train.standings import Standings
from burnish.train.trainee import Trainee, trainee_of
from burnish.train.watch import Watch, lesson, preference_lesson

TOKENS_AT_ONCE = 4096
"""Tokens of a forward pass over all slots: more is no faster on a CPU and takes memory, about 0.2 MB each at 10M."""


def train(
    job: TrainJob, *, talk: Talk | None = None, should_stop: Callable[[], bool] = lambda: False
) -> tuple[Trial, ...]:
    """Trains every candidate of the job and writes each into job.folder/<its name>; goes on where a killed run was.

    Raises Interrupted after a checkpoint when `should_stop` says so, TrainingError with the rows' ids when no candidate
    has a finite loss, ConfigError when the folder belongs to another job, StorageError before the first step when the
    disk has no room for checkpoints and weights, and what `check_job` raises.
    """
    check_job(job)
    claim_folder(job.folder / "scratch", job.identity())
    with trainee_of(job) as trainee:
        run = _Run(job, trainee, talk or Silence(), should_stop)
        require_space(job.folder, run.bytes_to_write(), "training")
        run.resume()
        with run.talk.track("train", run.total_steps, "steps") as advance:
            advance(run.step, "")
            if run.step == 0:
                run.look_before_training()
            while run.standings.running:
                for turn in run.turns_left():
                    run.take(turn)
                    run.look_when_due()
                    advance(1, run.standings.note())
                    run.save_when_due()
                run.end_epoch()
        return run.finish()


class _Run:
    """The state of a run between steps: everything here but job, trainee and talk is in a checkpoint."""

    def __init__(self, job: TrainJob, trainee: Trainee, talk: Talk, should_stop: Callable[[], bool]) -> None:
        if job.train.objective == "kto":
            lengths = [len(row.tokens) for row in job.dev]
            job = replace(job, dev=mismatch(job.dev, by_length(lengths, batch_size=job.train.batch_size)))
        self.job, self.trainee, self.talk, self.should_stop = job, trainee, talk, should_stop
        self.folder = job.folder / "scratch" / "checkpoints"
        self.cohorts = cohorts_of(job)
        self.courses = courses_of(job, self.cohorts)
        self.total_steps = sum(max(self.courses[slot].total_steps for slot in cohort.slots) for cohort in self.cohorts)
        self.passes = self._passes(self._goal())
        self.adam = AdamW(trainee.flat.theta_KP)
        self.best_KP = trainee.flat.theta_KP.clone()
        self.standings = Standings(job, self.cohorts, self.courses)
        self.looks = Looks(job, self.total_steps)
        self.step = self.epoch = self.place = 0
        self.saved_at_s = time.monotonic()

    def _passes(self, goal: Goal) -> Passes:
        batch_size = self.job.train.batch_size
        return Passes(self.trainee, goal, self.talk, batch_size=batch_size, tokens_at_once=TOKENS_AT_ONCE)

    def _goal(self) -> Goal:
        """What the steps lower; the adapters must be as they start, for a reference may be measured."""
        if self.job.train.objective == "sft":
            return Likelihood(self.trainee)
        goal = Pairs if self.job.train.objective == "dpo" else Thumbs
        return goal(self.trainee, self._reference(), self.courses)

    def _reference(self) -> Reference:
        passes, num_slots = self._passes(Likelihood(self.trainee)), len(self.job.candidates)
        slots = list(range(num_slots)) if self.job.starts else None
        sequences = sequences_of([*(row for cohort in self.cohorts for row in cohort.rows), *self.job.dev])
        folder = self.job.folder / "scratch" / "reference"
        return reference_of(folder, sequences, num_slots, self.talk, lambda rows: passes.losses(rows, slots))

    def bytes_to_write(self) -> int:
        """What the run may take on the disk: the checkpoints kept, the one being written, and the weights at the end.

        A checkpoint holds weights, best weights and two moments of AdamW.
        """
        weights = self.trainee.flat.theta_KP
        return weights.numel() * weights.element_size() * (4 * (KEPT + 1) + 1)

    def turns_left(self) -> list[Turn]:
        """The turns of this epoch from the current place on."""
        return turns_of(self.job, self.cohorts, self.epoch)[self.place :]

    def take(self, turn: Turn) -> None:
        """A step of the turn's cohort; it passes when none of that cohort runs any more."""
        cohort = self.cohorts[turn.cohort]
        if slots := self.standings.running_in(cohort):
            self._update(slots, turn.rows)
            for slot in self.standings.running_in(cohort):
                self.standings.count_step(slot)
        self.step, self.place = self.step + 1, self.place + 1
        failpoint("train.step")

    def _update(self, slots: Sequence[int], rows: Sequence[Row]) -> None:
        """One update of these slots. One whose loss or gradient is not finite stops and harms no other."""
        flat, watches = self.trainee.flat, self.standings.watches
        loss_G = self.passes.gradients(rows, slots)
        norm_K = clip_(flat.grad_KP, self.job.train.max_grad_norm)
        finite_G = (torch.isfinite(loss_G) & torch.isfinite(norm_K[slots])).tolist()
        if not any(finite_G) and all(w.stopped == "diverged" for k, w in enumerate(watches) if k not in slots):
            raise _nothing_finite(self.step, rows)
        lr_K = torch.zeros_like(norm_K)
        for slot, loss, is_finite in zip(slots, loss_G.tolist(), finite_G, strict=True):
            if is_finite:
                lr_K[slot] = self.standings.lr(slot)
                watches[slot] = watches[slot].after_step(loss)
            else:
                flat.grad_KP[slot].zero_()
                self._freeze(slot, rows)
        for run in runs_of(slots):
            self.adam.step_(flat, lr_K, weight_decay=self.job.train.weight_decay, slots=run)

    def _freeze(self, slot: int, rows: Sequence[Row]) -> None:
        """Stops a slot whose numbers are not finite, and says so."""
        self.standings.stop(slot, "diverged")
        name, step = self.job.candidates[slot].name, self.standings.steps_K[slot]
        self.talk.warn(f"candidate {name} diverged at step {step} and was stopped; the batch was: {_ids(rows)}")

    def end_epoch(self) -> None:
        """Measures the running slots on dev_b, keeps the best weights and stops those that no longer improve."""
        for cohort in self.cohorts:
            slots = self.standings.running_in(cohort)
            if self.job.dev and slots:
                self.look_at_dev(slots)
            for slot in slots if not self.job.dev else ():
                self.standings.mark(slot, dev_loss=None)
        self.epoch, self.place = self.epoch + 1, 0
        if self.job.dev and not self.job.referee:
            self.standings.drop_outrun(self.epoch)
        self.standings.stop_finished(self.epoch)

    @torch.no_grad()
    def look_before_training(self) -> None:
        """The first point of each curve: before the first step slots are the untuned base, unless told otherwise."""
        if not self.job.dev:
            return
        slots = self.standings.running
        is_untuned = self.job.train.objective == "sft" and not self.job.starts
        losses = mean_losses(self.passes.losses(self.job.dev, None if is_untuned else slots), self.job.dev)
        for slot, loss in zip(slots, losses * len(slots) if is_untuned else losses, strict=True):
            self.standings.mark(slot, dev_loss=loss)

    @torch.no_grad()
    def look_at_dev(self, slots: Sequence[int]) -> None:
        """A point with the dev loss on the curves of these slots; the best weights are kept."""
        loss_GN = self.passes.losses(self.job.dev, slots)
        for slot, loss in zip(slots, mean_losses(loss_GN, self.job.dev), strict=True):
            if self.standings.judge_epoch(slot, loss):
                self.best_KP[slot].copy_(self.trainee.flat.theta_KP[slot])
        if self.looks.is_due(self.step):
            self._ask_referee(slots, self.looks.of_dev(loss_GN))

    @torch.no_grad()
    def look_when_due(self) -> None:
        """A look at dev in the middle of an epoch, where the referee wants one: marks the curves, keeps no weights."""
        slots = self.standings.running
        if not self.looks.is_due(self.step):
            return
        if self.standings.steps_K[slots[0]] % self.courses[slots[0]].steps_per_epoch == 0:
            return
        loss_GN = self.passes.losses(self.looks.rows, slots)
        for slot, loss in zip(slots, mean_losses(loss_GN, self.looks.rows), strict=True):
            self.standings.mark(slot, dev_loss=loss)
        self._ask_referee(slots, loss_GN)

    def _ask_referee(self, slots: Sequence[int], loss_GN: Tensor) -> None:
        """Stops those of the running slots that the referee names."""
        for slot in self.looks.leavers(self.step, slots, loss_GN) & set(self.standings.running):
            self.standings.stop(slot, "outrun")

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
            "looks": {"losses": self.looks.losses_LKN},
        }
        state: dict[str, Any] = {
            "step": self.step,
            "epoch": self.epoch,
            "place": self.place,
            "steps": self.standings.steps_K,
            "updates": self.adam.counts,
            "rows_at_once": self.passes.rows_at_once,
            "looked": self.looks.looked,
            "watches": [watch.as_state() for watch in self.standings.watches],
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
        self.looks.losses_LKN, self.looks.looked = found.tensors["looks"]["losses"], list(found.state["looked"])
        self.standings.steps_K, self.adam.counts = list(found.state["steps"]), list(found.state["updates"])
        self.step, self.epoch, self.place = found.state["step"], found.state["epoch"], found.state["place"]
        self.passes.rows_at_once = found.state["rows_at_once"]
        self.standings.watches = [Watch.from_state(state) for state in found.state["watches"]]
        self.talk.say(f"going on from step {self.step} of {self.total_steps}")

    @torch.no_grad()
    def finish(self) -> tuple[Trial, ...]:
        """Writes the best weights of every candidate and says what became of it."""
        trials = []
        for slot, (candidate, watch) in enumerate(zip(self.job.candidates, self.standings.watches, strict=True)):
            if watch.best_loss is not None:
                self.trainee.flat.theta_KP[slot].copy_(self.best_KP[slot])
            failpoint("train.save")
            weights_hash = self.trainee.save(slot, self.job.folder / candidate.name)
            if self.job.train.objective == "sft":
                taught = lesson(watch.curve, watch.best_loss, vocab_size=self.trainee.vocab_size)
            else:
                taught = preference_lesson(watch.curve, watch.best_loss)
            self.talk.say(f"candidate {candidate.name} (lr {candidate.lr:.2g}): {taught.sentence}")
            trials.append(
                Trial(
                    candidate=candidate,
                    curve=watch.curve,
                    best_step=watch.best_step or self.standings.steps_K[slot],
                    dev_loss=watch.best_loss,
                    adapter_hash=weights_hash,
                    folder=candidate.name,
                    stopped=watch.stopped or "done",
                    learned=taught.learned,
                )
            )
        return tuple(trials)


def _nothing_finite(step: int, rows: Sequence[Row]) -> TrainingError:
    return TrainingError(
        f"no candidate has a finite loss at step {step}; the batch was: {_ids(rows)}",
        hint="Look at these rows, or lower train.lr; the last good checkpoint is kept.",
    )


def _ids(rows: Sequence[Row]) -> str:
    return ", ".join(row.id for row in rows[:8]) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
