"""Training that must not begin, or not go on: another job's folder, a disk too small, a loss that is no number."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from burnish.config import LoraSettings
from burnish.errors import ConfigError, StorageError
from burnish.fakes import tiny_base
from burnish.train.job import TrainJob
from burnish.train.run import train
from tests.child import KILLED, in_child
from tests.disk import small_disk
from tests.heard import Heard
from tests.train.conftest import THREE, MakeJob, candidate

CHANGES: dict[str, Callable[[TrainJob], TrainJob]] = {
    "rows": lambda job: replace(job, rows=job.rows[1:]),
    "dev": lambda job: replace(job, dev=job.dev[1:]),
    "candidates.a.lr": lambda job: replace(job, candidates=(replace(THREE[0], lr=0.1), *THREE[1:])),
    "candidates.c.rank": lambda job: replace(job, candidates=THREE[:2]),
    "train.batch_size": lambda job: replace(job, train=job.train.model_copy(update={"batch_size": 4})),
    "lora.targets": lambda job: replace(job, lora=LoraSettings(rank=4, targets=("q_proj",))),
    "seed": lambda job: replace(job, seed=1),
    "base": lambda job: replace(job, base=tiny_base("llama", 1)),
    "precision": lambda job: replace(job, base=replace(job.base, precision="bfloat16")),
    "device": lambda job: replace(job, base=replace(job.base, device="cuda")),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_killed_run_is_never_continued_as_another_job(job: MakeJob, changed: str) -> None:  # P9
    assert in_child(lambda: train(job()), "train.step=kill@2") == KILLED
    with pytest.raises(
        ConfigError, match=rf"started with something else: (.*; )?{changed.replace('.', '[.]')} \S+ -> "
    ):
        train(CHANGES[changed](job()))


def test_a_disk_without_room_for_checkpoints_stops_training_before_its_first_step(job: MakeJob, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 300) as disk:  # P4
        asked = replace(job(), folder=disk / "work")
        with pytest.raises(StorageError, match=r"training needs about \d+\.\d kB on the disk of .*: \d+\.\d kB free"):
            train(asked)
        assert not (asked.folder / "scratch" / "checkpoints").exists()
        size_kb = sum(path.stat().st_size for path in _trained(job).rglob("*") if path.is_file()) // 1000
        assert size_kb > 300  # so the run would indeed have filled it


def _trained(job: MakeJob) -> Path:
    train(job(folder="elsewhere"))
    return job(folder="elsewhere").folder


def test_a_candidate_that_diverges_is_stopped_with_the_ids_of_its_batch(job: MakeJob) -> None:  # P11
    listener = Heard()
    wild = replace(candidate("wild", lr=1.0), alpha=1e30)
    train(job((candidate("calm"), wild)), talk=listener)
    (warning,) = [line for line in listener.warned if "diverged" in line]
    step = int(warning.split("at step ")[1].split()[0])
    named = warning.rpartition("the batch was: ")[2].split(", ")
    asked = job()
    from burnish.train.batch import epoch_order

    order = epoch_order([len(row.tokens) for row in asked.rows], batch_size=8, seed=0, epoch=0)
    assert named == [asked.rows[index].id for index in order[step]]
