"""A tiny base, some rows, and jobs that take a fraction of a second."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from burnish.config import LoraSettings, TrainSettings
from burnish.fakes import small_examples, tiny_base
from burnish.model.base import Base
from burnish.records import Candidate, Example, Preference, Task, Thumb
from burnish.train.batch import Row
from burnish.train.job import TrainJob, pair_rows, rows_of, thumb_rows

MakeJob = Callable[..., TrainJob]


@pytest.fixture(scope="session")
def base() -> Base:
    return tiny_base()


@pytest.fixture(scope="session")
def rows(base: Base) -> tuple[Row, ...]:
    return rows_of(base, Task(labels=("address", "appeal", "payment")), small_examples(40))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Forked children may not use a pool of threads that their parent began."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def candidate(name: str, *, lr: float = 5e-3, rank: int = 4, seed: int = 0) -> Candidate:
    return Candidate(name=name, rank=rank, alpha=2.0 * rank, lr=lr, seed=seed)


THREE = (candidate("a", rank=2, lr=3e-3), candidate("b", rank=4, seed=1), candidate("c", rank=3, lr=8e-3, seed=2))


@pytest.fixture
def job(base: Base, rows: tuple[Row, ...], tmp_path: Path) -> MakeJob:
    def make(
        candidates: Sequence[Candidate] = THREE, *, folder: str = "work", dev: int = 10, seed: int = 0, **train: object
    ) -> TrainJob:
        settings = {"epochs": 3, "batch_size": 8, "checkpoint_every_s": 1e-6, "finalists": 8, **train}
        return TrainJob(
            base=base,
            rows=rows[:30],
            dev=rows[30 : 30 + dev],
            candidates=candidates,
            train=TrainSettings.model_validate(settings),
            lora=LoraSettings(rank=4),
            seed=seed,
            folder=tmp_path / folder,
        )

    return make


LABELS = ("address", "appeal", "payment")


def wrong(label: str) -> str:
    """Another label than this one."""
    return LABELS[(LABELS.index(label) + 1) % len(LABELS)]


def preferred(examples: Sequence[Example]) -> list[Preference]:
    """The right label against a wrong one."""
    return [Preference(id=one.id, prompt=one.prompt, chosen=one.answer, rejected=wrong(one.answer)) for one in examples]


def thumbs(examples: Sequence[Example]) -> list[Thumb]:
    """The right label to every other example, found good, and a wrong one to the rest."""
    return [
        Thumb(id=one.id, prompt=one.prompt, answer=wrong(one.answer) if bad else one.answer, is_good=not bad)
        for number, one in enumerate(examples)
        for bad in [number % 2 == 1]
    ]


@pytest.fixture
def preference_job(base: Base, job: MakeJob) -> MakeJob:
    """As `job`, of 30 pairs or thumbs and 10 for dev."""

    def make(objective: str, candidates: Sequence[Candidate] = THREE, **asked: object) -> TrainJob:
        task, examples = Task(labels=LABELS), small_examples(40)
        rows = (
            pair_rows(base, task, preferred(examples))
            if objective == "dpo"
            else thumb_rows(base, task, thumbs(examples))
        )
        made = job(candidates, objective=objective, **asked)
        return replace(made, rows=rows[:30], dev=rows[30 : 30 + len(made.dev)])

    return make
