"""What each candidate goes through: which rows, how many epochs, which rates; and whose turn it is in an epoch.

Candidates that learn from the same rows are a cohort and share every batch. An epoch of the bank holds one epoch of
each cohort, in the batches and the order that it would have alone; a turn trains one cohort and touches no other. So
company decides nothing of what a candidate sees, and a pass computes nothing that nobody learns from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from burnish.errors import DataError
from burnish.records import Candidate
from burnish.train.batch import Row, epoch_order
from burnish.train.dropout import thinned
from burnish.train.job import TrainJob
from burnish.train.optim import scheduled_lr
from burnish.train.preference import mismatch

CURVE_POINTS = 60
"""Points of a learning curve, besides one for each epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The schedule of a candidate, with nothing left to look up. Steps are its own: those of its cohort."""

    epochs: int
    steps_per_epoch: int
    warmup_share: float
    decay_share: float
    beta: float = 0.0
    sft_weight: float = 0.0
    """Of a preference objective, 0 otherwise; losses under different ones cannot be compared."""

    @property
    def total_steps(self) -> int:
        """Steps until the schedule is over."""
        return self.epochs * self.steps_per_epoch

    def lr(self, peak: float, step: int) -> float:
        """The learning rate of step 0, 1, ..."""
        return scheduled_lr(
            peak,
            step=step,
            total_steps=self.total_steps,
            warmup_steps=round(self.warmup_share * self.total_steps),
            decay_share=self.decay_share,
        )

    def epoch(self, step: int) -> float:
        """How many epochs that many steps are."""
        whole, part = divmod(step, self.steps_per_epoch)
        return whole + part / self.steps_per_epoch

    def is_marked(self, step: int) -> bool:
        """True where the curve gets a point in the middle of an epoch."""
        return step % max(1, self.total_steps // CURVE_POINTS) == 0 and step % self.steps_per_epoch != 0


class Cohort(NamedTuple):
    """The slots that learn from the same rows."""

    slots: tuple[int, ...]
    rows: Sequence[Row]
    epochs: int
    """Of its longest course."""


def runs_of(slots: Sequence[int]) -> list[slice]:
    """Rising slots as few slices, so that lines of a buffer are views."""
    cuts = [0, *(at for at in range(1, len(slots)) if slots[at] != slots[at - 1] + 1)]
    return [slice(slots[low], slots[high - 1] + 1) for low, high in pairwise([*cuts, len(slots)])]


class Turn(NamedTuple):
    """A batch and whose it is."""

    cohort: int
    rows: Sequence[Row]


def cohorts_of(job: TrainJob) -> list[Cohort]:
    """The candidates by the rows that they learn from, in order of first appearance.

    Raises DataError when a subset is not there, is empty, or asks for rows that the job does not have.
    """
    slots_of: dict[str, list[int]] = {}
    for slot, candidate in enumerate(job.candidates):
        slots_of.setdefault(candidate.subset, []).append(slot)
    return [
        Cohort(tuple(slots), _learned(job, subset), max(_epochs(job, job.candidates[slot]) for slot in slots))
        for subset, slots in slots_of.items()
    ]


def _learned(job: TrainJob, subset: str) -> Sequence[Row]:
    """The rows of a subset; thumbs with the mismatched answers of their batch, which stays together in all epochs."""
    rows = _rows_of(job, subset)
    return rows if job.train.objective != "kto" else mismatch(rows, _order(job, rows, 0))


def _rows_of(job: TrainJob, subset: str) -> Sequence[Row]:
    if not subset:
        return job.rows
    if subset not in job.subsets:
        raise DataError(
            f"there is no subset {subset!r} to learn from",
            hint=f"Subsets of this job: {', '.join(sorted(job.subsets)) or 'none'}.",
        )
    wanted = set(job.subsets[subset])
    rows = [row for row in job.rows if row.id in wanted]
    missing = sorted(wanted - {row.id for row in rows})
    if missing or not rows:
        found = f"{len(missing)} ids that no row has, such as {missing[0]}" if missing else "no row"
        raise DataError(
            f"the subset {subset!r} holds {found}", hint="Name the ids of rows that are left after every filter."
        )
    return rows


def courses_of(job: TrainJob, cohorts: Sequence[Cohort]) -> list[Course]:
    """The schedule of each slot: the candidate's own where it has one, else the job's."""
    steps = {slot: -(-len(cohort.rows) // job.train.batch_size) for cohort in cohorts for slot in cohort.slots}
    return [
        Course(
            epochs=_epochs(job, candidate),
            steps_per_epoch=steps[slot],
            warmup_share=job.train.warmup_share if candidate.warmup_share is None else candidate.warmup_share,
            decay_share=job.decay_share if candidate.decay_share is None else candidate.decay_share,
            **_strength(job, candidate),
        )
        for slot, candidate in enumerate(job.candidates)
    ]


def _strength(job: TrainJob, candidate: Candidate) -> dict[str, float]:
    if job.train.objective == "sft":
        return {}
    beta = job.train.beta if candidate.beta is None else candidate.beta
    if job.train.objective == "kto":
        return {"beta": beta}
    return {"beta": beta, "sft_weight": job.train.sft_weight if candidate.sft_weight is None else candidate.sft_weight}


def _epochs(job: TrainJob, candidate: Candidate) -> int:
    return job.train.passes(len(job.rows)) if candidate.epochs is None else candidate.epochs


def turns_of(job: TrainJob, cohorts: Sequence[Cohort], epoch: int) -> list[Turn]:
    """One epoch of each cohort that is not through, evenly mixed: in any part of it each does that part of its own."""
    placed: list[tuple[float, int, Turn]] = []
    for number, cohort in enumerate(cohorts):
        if epoch < cohort.epochs:
            batches = _batches(job, cohort.rows, epoch)
            placed += [((place + 1) / len(batches), number, Turn(number, batch)) for place, batch in enumerate(batches)]
    return [turn for _, _, turn in sorted(placed, key=lambda one: one[:2])]


def _batches(job: TrainJob, rows: Sequence[Row], epoch: int) -> list[list[Row]]:
    thin = thinned(rows, job.token_dropout, seed=job.seed, epoch=epoch)
    return [[thin[index] for index in batch] for batch in _order(job, rows, epoch)]


def _order(job: TrainJob, rows: Sequence[Row], epoch: int) -> list[list[int]]:
    """The batches of an epoch as row numbers; of thumbs those of the first epoch, in another order."""
    lengths, is_kept = [len(row.tokens) for row in rows], job.train.objective == "kto"
    order = epoch_order(lengths, batch_size=job.train.batch_size, seed=job.seed, epoch=0 if is_kept else epoch)
    if not is_kept or epoch == 0:
        return order
    return [order[index] for index in np.random.default_rng([job.seed, epoch]).permutation(len(order)).tolist()]


def rivals_of(cohorts: Sequence[Cohort], courses: Sequence[Course]) -> list[tuple[int, ...]]:
    """The slots with the same rows and the same schedule, whose losses can be compared in the middle of a run."""
    groups: dict[tuple[int, Course], list[int]] = {}
    for number, cohort in enumerate(cohorts):
        for slot in cohort.slots:
            groups.setdefault((number, courses[slot]), []).append(slot)
    return [tuple(slots) for slots in groups.values()]
