"""A tiny base, some rows, and jobs that take a fraction of a second."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from burnish.config import LoraSettings, TrainSettings
from burnish.fakes import small_examples, tiny_base
from burnish.model.base import Base
from burnish.records import Candidate, Task
from burnish.train.batch import Row
from burnish.train.job import TrainJob, rows_of

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
