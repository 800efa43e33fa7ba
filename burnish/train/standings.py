"""Where each candidate of a run is in its course: steps taken, curve, best loss, and whether it still runs."""

from collections.abc import Sequence
from dataclasses import replace

from burnish.train.course import Cohort, Course, rivals_of
from burnish.train.job import TrainJob
from burnish.train.watch import Watch

RUNG_SHARE = 0.4
"""Share of the epochs after which only the finalists go on."""


class Standings:
    """One line for each slot of a bank; slots know nothing of each other but at a rung."""

    def __init__(self, job: TrainJob, cohorts: Sequence[Cohort], courses: Sequence[Course]) -> None:
        self.job, self.cohorts, self.courses = job, cohorts, courses
        self.watches = [Watch() for _ in job.candidates]
        self.steps_K = [0] * len(job.candidates)
        """Steps that each slot took."""

    @property
    def running(self) -> list[int]:
        """Slots that have not stopped."""
        return [slot for slot, watch in enumerate(self.watches) if watch.is_running]

    def running_in(self, cohort: Cohort) -> list[int]:
        """Slots of a cohort that have not stopped."""
        return [slot for slot in cohort.slots if self.watches[slot].is_running]

    def lr(self, slot: int) -> float:
        """The learning rate of the slot's next step."""
        return self.courses[slot].lr(self.job.candidates[slot].lr, self.steps_K[slot])

    def count_step(self, slot: int) -> None:
        """Notes that a slot took a step, on its curve where a point is due."""
        self.steps_K[slot] += 1
        if self.courses[slot].is_marked(self.steps_K[slot]):
            self.mark(slot, dev_loss=None)

    def mark(self, slot: int, *, dev_loss: float | None) -> None:
        """Puts a point on the slot's curve."""
        step = self.steps_K[slot]
        epoch = self.courses[slot].epoch(step)
        self.watches[slot] = self.watches[slot].mark(step=step, epoch=epoch, lr=self.lr(slot), dev_loss=dev_loss)

    def judge_epoch(self, slot: int, dev_loss: float) -> bool:
        """Puts the dev loss after an epoch on the curve and stops the slot early; whether its weights are the best."""
        self.mark(slot, dev_loss=dev_loss)
        step, patience = self.steps_K[slot], self.job.train.patience
        self.watches[slot] = self.watches[slot].after_epoch(step=step, dev_loss=dev_loss, patience=patience)
        return self.watches[slot].best_step == step

    def stop(self, slot: int, why: str) -> None:
        """Ends a slot: done, outrun or diverged."""
        self.watches[slot] = replace(self.watches[slot], stopped=why)

    def stop_finished(self, epoch: int) -> None:
        """Ends the slots whose course is over."""
        for slot in self.running:
            if epoch == self.courses[slot].epochs:
                self.stop(slot, "done")

    def drop_outrun(self, epoch: int) -> None:
        """Of rivals at their rung, stops all but those with the lowest dev losses; ties go to the earlier candidate."""
        for rivals in rivals_of(self.cohorts, self.courses):
            if epoch == max(1, round(RUNG_SHARE * self.courses[rivals[0]].epochs)):
                running = [slot for slot in rivals if self.watches[slot].is_running]
                running.sort(key=lambda slot: (self.watches[slot].best_loss or 0.0, slot))
                for slot in running[self.job.train.finalists :]:
                    self.stop(slot, "outrun")

    def note(self) -> str:
        """The last losses of the running slots, for the progress bar."""
        means = [watch.loss_sum / watch.loss_steps for watch in self.watches if watch.is_running and watch.loss_steps]
        return f"loss {min(means):.2f}" if means else ""
