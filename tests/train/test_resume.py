"""A run that is killed, stopped or loses its newest checkpoint ends with the bytes of the undisturbed run."""

import shutil
from pathlib import Path

import pytest

from burnish.errors import Interrupted
from burnish.records import Trial
from burnish.train.run import train
from tests.child import KILLED, in_child
from tests.heard import Heard
from tests.train.conftest import MakeJob

TOTAL_STEPS = 12


@pytest.fixture
def undisturbed(job: MakeJob) -> tuple[Trial, ...]:
    return train(job(folder="undisturbed", checkpoint_every_s=1e9))


def files_of(folder: Path) -> dict[str, bytes]:
    shutil.rmtree(folder / "scratch")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


PLACES = [f"train.step=kill@{hit}" for hit in (1, 2, 5, 8, 12)]
PLACES += [f"train.ckpt.tensors=kill@{hit}" for hit in (1, 6, 15)]
PLACES += [f"train.ckpt.manifest=kill@{hit}" for hit in (1, 4)]
PLACES += [f"train.ckpt.rename=kill@{hit}" for hit in (1, 4)]
PLACES += [f"train.save=kill@{hit}" for hit in (1, 2, 3)]


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_run_ends_with_the_same_bytes(job: MakeJob, undisturbed: tuple[Trial, ...], place: str) -> None:
    assert in_child(lambda: train(job()), place) == KILLED
    assert train(job()) == undisturbed
    assert files_of(job().folder) == files_of(job(folder="undisturbed").folder)


def test_full_fine_tuning_resumes_to_the_same_bytes_too(job: MakeJob) -> None:
    from tests.train.conftest import candidate

    full = {"candidates": (candidate("f", lr=1e-3),), "method": "full"}
    expected = train(job(folder="undisturbed", **full))
    assert in_child(lambda: train(job(**full)), "train.step=kill@7") == KILLED
    assert train(job(**full)) == expected


def test_a_race_between_candidates_resumes_to_the_same_bytes(job: MakeJob) -> None:
    expected = train(job(folder="undisturbed", finalists=1))
    assert [trial.stopped for trial in expected].count("outrun") == 2
    for hit in (4, 5):  # before and after the end of the epoch in which two candidates leave
        assert in_child(lambda: train(job(folder=f"work{hit}", finalists=1)), f"train.step=kill@{hit}") == KILLED  # noqa: B023
        assert train(job(folder=f"work{hit}", finalists=1)) == expected


def test_a_run_killed_again_and_again_gets_there(job: MakeJob, undisturbed: tuple[Trial, ...]) -> None:
    kills = 0
    while in_child(lambda: train(job()), "train.step=kill@3") == KILLED:
        kills += 1
        assert kills <= TOTAL_STEPS
    assert kills >= 4  # each life takes three steps and keeps two
    assert train(job()) == undisturbed


def test_a_stop_saves_says_how_to_go_on_and_loses_nothing(job: MakeJob, undisturbed: tuple[Trial, ...]) -> None:
    asked = iter([False] * 4 + [True])
    with pytest.raises(Interrupted, match="stopped at step 5 of 12") as caught:
        train(job(checkpoint_every_s=1e9), should_stop=lambda: next(asked))
    assert caught.value.hint == "run the same command again to go on from step 5"
    listener = Heard()
    assert train(job(checkpoint_every_s=1e9), talk=listener) == undisturbed
    assert "going on from step 5 of 12" in listener.lines


def test_a_damaged_newest_checkpoint_costs_steps_but_no_bytes(job: MakeJob, undisturbed: tuple[Trial, ...]) -> None:
    assert in_child(lambda: train(job()), "train.step=kill@9") == KILLED
    newest = job().folder / "scratch" / "checkpoints" / "step-000008" / "weights.safetensors"
    content = bytearray(newest.read_bytes())
    content[-5] ^= 4
    newest.write_bytes(content)
    listener = Heard()
    assert train(job(), talk=listener) == undisturbed
    assert "step-000008 is damaged: weights.safetensors" in listener.lines[0]
    assert "going on from step 7 of 12" in listener.lines
