"""What training does: it learns, candidates do not touch each other, and it says what became of each."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from burnish.errors import ConfigError, DataError, ModelError, TrainingError
from burnish.model.adapter import adapter_hash, load_adapter
from burnish.model.base import Base, load_base
from burnish.model.lora import AdapterSpec, attach
from burnish.talk import Silence
from burnish.train.batch import Row, target_weight
from burnish.train.memory import in_portions
from burnish.train.run import train
from burnish.train.trainee import trainee_of
from tests.heard import Heard
from tests.train.conftest import THREE, MakeJob, candidate


def weights(trial_folder: Path, base: Base) -> dict[str, torch.Tensor]:
    return load_adapter(trial_folder, base)[1]


def test_the_loss_falls_and_the_best_weights_are_saved(job: MakeJob, base: Base) -> None:
    asked = job((candidate("a", lr=1e-2),), epochs=8)
    (trial,) = train(asked)
    dev = [point.dev_loss for point in trial.curve if point.dev_loss is not None]
    assert len(dev) == 9  # one before training, one each epoch
    assert trial.dev_loss == min(dev[1:]) < 0.7 * dev[0]
    assert (trial.learned, trial.stopped, trial.folder) == (True, "done", "a")
    assert adapter_hash(weights(asked.folder / "a", base)) == trial.adapter_hash


def test_candidates_trained_together_each_equal_their_solo_run(job: MakeJob, base: Base) -> None:
    together = train(job(folder="together"))
    for trial in together:
        (alone,) = train(job((trial.candidate,), folder=f"alone-{trial.folder}"))
        for ours, solo in zip(trial.curve, alone.curve, strict=True):
            assert (ours.step, ours.lr) == (solo.step, solo.lr)
            for loss, solo_loss in ((ours.train_loss, solo.train_loss), (ours.dev_loss, solo.dev_loss)):
                assert (loss is None) == (solo_loss is None)
                assert loss is None or loss == pytest.approx(solo_loss, rel=1e-4)
        left = weights(job(folder="together").folder / trial.folder, base)
        right = weights(job(folder=f"alone-{trial.folder}").folder / trial.folder, base)
        for name in left:
            # 12 AdamW steps of up to 8e-3: a rounding difference may turn the sign of a step that hardly matters
            assert (left[name] - right[name]).abs().mean() < 1e-4, name


def test_the_same_job_gives_the_same_bytes(job: MakeJob) -> None:
    first, second = (train(job(folder=name)) for name in ("one", "two"))
    assert [trial.adapter_hash for trial in first] == [trial.adapter_hash for trial in second]
    assert first == second


def test_the_base_is_the_plain_base_again_afterwards(job: MakeJob, base: Base) -> None:
    before = {name: part.clone() for name, part in base.model.state_dict().items()}
    train(job(epochs=1))
    train(job((candidate("f", lr=1e-3),), folder="full", epochs=1, method="full"))
    after = base.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(part.requires_grad for part in base.model.parameters())


def test_a_candidate_that_diverges_stops_and_harms_no_other(job: MakeJob) -> None:
    wild = candidate("wild", lr=1.0, rank=4)
    wild = replace(wild, alpha=1e30)
    listener = Heard()
    calm, lost = train(job((THREE[1], wild), folder="both"), talk=listener)
    (alone,) = train(job((THREE[1],), folder="alone"))
    assert lost.stopped == "diverged"
    assert not lost.learned
    assert any("wild diverged at step" in line for line in listener.lines)
    assert calm.dev_loss == pytest.approx(alone.dev_loss, rel=1e-4)


def test_a_loss_that_is_no_number_everywhere_names_the_rows(job: MakeJob, base: Base) -> None:
    parameter = next(base.model.get_decoder().layers[0].mlp.parameters())  # type: ignore[operator]
    kept = parameter.data[0, 0].item()
    parameter.data[0, 0] = math.nan
    try:
        with pytest.raises(
            TrainingError, match=r"no candidate has a finite loss at step 0; the batch was: row-\d+, "
        ) as caught:
            train(job(dev=0))
    finally:
        parameter.data[0, 0] = kept
    assert "Look at these rows" in caught.value.hint


def test_training_stops_early_when_the_dev_loss_rises(job: MakeJob, base: Base, rows: tuple[Row, ...]) -> None:
    asked = job((candidate("a", lr=3e-2),), epochs=30, patience=2)
    wrong = [
        replace(row, tokens=tuple(reversed(row.tokens))) for row in asked.dev
    ]  # learning the rows does not help here
    (trial,) = train(replace(asked, dev=wrong))
    dev = [point.dev_loss for point in trial.curve if point.dev_loss is not None]
    assert trial.stopped == "early"
    assert len(dev) < 31
    best = min(dev[1:])
    assert trial.dev_loss == best
    assert trial.best_step == next(point.step for point in trial.curve if point.dev_loss == best)


def test_only_the_finalists_go_on_after_two_fifths_of_the_epochs(job: MakeJob, base: Base) -> None:
    asked = job(epochs=5, finalists=1)
    trials = train(asked)
    at_rung = {t.folder: next(p.dev_loss for p in t.curve if p.dev_loss is not None and p.epoch == 2.0) for t in trials}
    (last,) = (trial for trial in trials if trial.stopped == "done")
    assert at_rung[last.folder] == min(at_rung.values())
    assert sorted(trial.stopped for trial in trials) == ["done", "outrun", "outrun"]
    assert {trial.curve[-1].epoch for trial in trials if trial.stopped == "outrun"} == {2.0}
    whole = {trial.folder: trial for trial in train(job(epochs=5, folder="whole"))}
    assert last.dev_loss == pytest.approx(whole[last.folder].dev_loss, rel=1e-4)  # the others' leaving changed nothing
    assert all(adapter_hash(weights(asked.folder / trial.folder, base)) == trial.adapter_hash for trial in trials)


def test_without_dev_rows_the_last_weights_are_kept(job: MakeJob) -> None:
    (trial,) = train(job((candidate("a"),), dev=0))
    assert (trial.dev_loss, trial.best_step, trial.stopped) == (None, 12, "done")


def test_full_fine_tuning_writes_a_model_that_loads(job: MakeJob, rows: tuple[Row, ...]) -> None:
    asked = job((candidate("f", lr=2e-3),), method="full", epochs=4)
    (trial,) = train(asked)
    assert trial.learned
    tuned = load_base(str(asked.folder / "f"), precision="float32", device="cpu")
    assert tuned.chat.template_hash == asked.base.chat.template_hash
    assert adapter_hash(dict(tuned.model.named_parameters())) == trial.adapter_hash


def test_row_weights_decide_what_is_learned(job: MakeJob, rows: tuple[Row, ...]) -> None:
    def loss_on_first(weight: float) -> float:
        asked = job((candidate("a", lr=1e-2),), folder=f"weight-{weight}", epochs=2)
        heavy = [replace(row, weight=weight if index < 3 else 1.0) for index, row in enumerate(asked.rows)]
        (trial,) = train(replace(asked, rows=heavy, dev=asked.rows[:3]))
        assert trial.dev_loss is not None
        return trial.dev_loss

    assert loss_on_first(30.0) < loss_on_first(1.0) - 0.05


def test_a_row_without_an_answer_is_refused_by_name(job: MakeJob) -> None:
    asked = job()
    empty = replace(asked.rows[4], learned=(False,) * len(asked.rows[4].tokens))
    with pytest.raises(DataError, match="row-4 has nothing to learn from"):
        train(replace(asked, rows=[*asked.rows[:4], empty]))


def test_other_settings_in_the_same_folder_are_refused(job: MakeJob) -> None:
    train(job(epochs=1))
    with pytest.raises(ConfigError, match=r"train\.epochs 1 -> 2"):
        train(job(epochs=2))
    train(job(epochs=1, checkpoint_every_s=5.0))  # what decides nothing may change


def test_a_bank_left_on_the_base_is_not_trained_over(job: MakeJob, base: Base) -> None:
    bank = attach(base.model, [AdapterSpec(name="x", rank=2, alpha=4, seed=0)])
    try:
        with pytest.raises(ModelError, match="carries a bank"):
            train(job())
    finally:
        bank.detach()


def test_portions_are_halved_until_they_fit_in_memory() -> None:
    tried: list[int] = []

    def work(rows: int) -> str:
        tried.append(rows)
        if rows > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        return "done"

    listener = Heard()
    assert in_portions(work, 16, listener) == ("done", 2)
    assert tried == [16, 8, 4, 2]
    assert "going on with 8 rows at a time" in listener.lines[0]


def test_one_row_that_does_not_fit_stops_with_advice() -> None:
    def work(rows: int) -> None:
        raise MemoryError

    with pytest.raises(TrainingError, match="single row") as caught:
        in_portions(work, 2, Silence())
    assert "data.max_tokens" in caught.value.hint


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    def work(rows: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        in_portions(work, 2, Silence())


def test_portions_change_nothing_but_rounding(job: MakeJob, base: Base) -> None:
    with trainee_of(job()) as trainee:
        rows = job().rows[:9]
        trainee.flat.theta_KP.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
        gradients = []
        for portions in ([rows], [rows[:4], rows[4:8], rows[8:]]):
            trainee.flat.grad_KP.zero_()
            for portion in portions:
                loss = trainee.losses(portion, [0, 1, 2], weight_sum=target_weight(rows)).sum()
                trainee.flat.add_gradients_(loss)
            gradients.append(trainee.flat.grad_KP.clone())
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)
