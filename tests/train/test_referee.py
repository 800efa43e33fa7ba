"""A referee decides in the middle of a run, the run resumes with its decisions, and schedules keep their peak."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from burnish.config import LoraSettings, TrainSettings
from burnish.model.base import Base
from burnish.records import Candidate
from burnish.train.batch import Row, target_weight
from burnish.train.job import TrainJob
from burnish.train.move import update_size
from burnish.train.optim import scheduled_lr
from burnish.train.referee import Losses, Referee
from burnish.train.run import train
from burnish.train.trainee import trainee_of
from tests.child import KILLED, in_child

RATES = (2e-3, 5e-3, 1e-2)
MakeJob = Callable[..., TrainJob]


class Halver:
    """Sends the worst slot away at each look, and remembers in its class what it was shown."""

    def looks(self, total_steps: int) -> tuple[int, ...]:
        return (2, 5)

    def rows(self, num_dev: int) -> tuple[int, ...]:
        return tuple(range(0, num_dev, 2))

    def leavers(self, looked: Sequence[int], losses_LKN: Losses, weight_N: Losses, total_steps: int) -> tuple[int, ...]:
        mean_K = losses_LKN[-1] @ weight_N / weight_N.sum()
        return (int(np.nanargmax(mean_K)),)

    def identity(self) -> Mapping[str, Any]:
        return {"rule": "halver"}


@pytest.fixture
def job(base: Base, rows: tuple[Row, ...], tmp_path: Path) -> MakeJob:
    def make(folder: str = "work", *, referee: Referee | None = None, decay_share: float = 1.0) -> TrainJob:
        return TrainJob(
            base=base,
            rows=rows[:24],
            dev=rows[24:34],
            candidates=[Candidate(name=f"c{at}", rank=4, alpha=8.0, lr=lr, seed=0) for at, lr in enumerate(RATES)],
            train=TrainSettings(epochs=2, batch_size=8, checkpoint_every_s=1e-6, finalists=3),
            lora=LoraSettings(rank=4),
            seed=0,
            folder=tmp_path / folder,
            referee=referee,
            decay_share=decay_share,
        )

    return make


def test_whom_the_referee_names_leaves_at_that_step_and_the_others_train_on(job: MakeJob) -> None:
    trials = train(job(referee=Halver()))
    assert sorted(trial.stopped for trial in trials) == ["done", "outrun", "outrun"]
    last_steps = sorted(trial.curve[-1].step for trial in trials)
    assert last_steps == [2, 5, 6]
    assert all(any(point.step == 2 and point.dev_loss is not None for point in trial.curve) for trial in trials)


def test_those_who_stay_end_as_without_a_referee(job: MakeJob) -> None:
    kept = next(trial for trial in train(job(referee=Halver())) if trial.stopped == "done")
    free = next(trial for trial in train(job("free")) if trial.candidate == kept.candidate)
    assert kept.dev_loss == pytest.approx(free.dev_loss, rel=1e-4)  # other company rounds otherwise


@pytest.mark.parametrize("hit", [1, 2, 3, 5])
def test_a_killed_run_with_a_referee_ends_with_the_same_bytes(job: MakeJob, hit: int) -> None:
    expected = train(job("undisturbed", referee=Halver()))
    assert in_child(lambda: train(job(referee=Halver())), f"train.step=kill@{hit}") == KILLED
    assert train(job(referee=Halver())) == expected


def test_losses_of_rows_add_up_to_the_loss_of_the_batch(job: MakeJob, rows: tuple[Row, ...]) -> None:
    with trainee_of(job()) as trainee, torch.no_grad():
        by_row = trainee.row_losses(rows[:5], [0, 2])
        together = trainee.losses(rows[:5], [0, 2], weight_sum=target_weight(rows[:5]))
        alone = torch.stack([trainee.row_losses([row], [0, 2])[:, 0] for row in rows[:5]], dim=1)
    assert by_row.shape == (2, 5)
    # float32 sums in another order
    torch.testing.assert_close(by_row.sum(1) / target_weight(rows[:5]), together.double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(by_row, alone, rtol=1e-4, atol=1e-5)


def test_another_referee_or_schedule_is_another_job(job: MakeJob) -> None:
    identities = [job().identity(), job(referee=Halver()).identity(), job(decay_share=0.2).identity()]
    assert len({str(identity) for identity in identities}) == 3


def test_a_short_decay_keeps_the_peak_and_ends_at_zero() -> None:
    rates = [scheduled_lr(1.0, step=step, total_steps=100, warmup_steps=10, decay_share=0.2) for step in range(101)]
    assert rates[10:82] == [1.0] * 72  # 20% of the 90 steps after the warm-up are 18
    assert rates[91] == pytest.approx(0.5)
    assert rates[100] == 0.0
    plain = [scheduled_lr(1.0, step=step, total_steps=100, warmup_steps=10) for step in range(101)]
    assert plain[10:] == pytest.approx([(100 - step) / 90 for step in range(10, 101)])


def test_the_move_is_the_norm_of_the_whole_update_against_the_weights(job: MakeJob, base: Base) -> None:
    from burnish.model.adapter import load_adapter
    from burnish.model.lora import PEFT_PREFIX

    (trial, *_) = train(job())
    spec, state = load_adapter(job().folder / trial.folder, base)
    update = weights = 0.0
    for key in (key for key in state if key.endswith(".lora_A.weight")):
        name = key.removesuffix(".lora_A.weight")
        delta = spec.alpha / spec.rank * state[f"{name}.lora_B.weight"] @ state[key]
        update += float(delta.double().square().sum())
        weights += float(base.model.get_parameter(f"{name.removeprefix(PEFT_PREFIX)}.weight").double().square().sum())
    assert update_size(base, job().folder / trial.folder) == pytest.approx((update / weights) ** 0.5, rel=1e-5)
    assert update > 0
