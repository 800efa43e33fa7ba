"""A run that is killed, stopped or loses a shard ends with the bytes of the undisturbed run."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from burnish.errors import Interrupted, TrainingError
from burnish.talk import Silence
from recipes.base.documents import Data
from recipes.base.export import export
from recipes.base.run import Run
from recipes.base.shards import from_shards, into_shards
from tests.child import KILLED, end_of, in_child, start_child
from tests.heard import Heard
from tests.recipes.conftest import PLAN


def ended(data: Data, folder: Path, talk: Silence | None = None) -> tuple[dict[str, bytes], list[object]]:
    """The files of weights and of the optimisers at the end of a run, the exported base, and the curve."""
    run = Run(PLAN, data, folder / "checkpoints", device="cpu", talk=talk or Silence())
    run.go(checkpoint_every_s=0)
    export(run.model, data.tokenizer, folder / "base")
    shards = (folder / "checkpoints" / f"step-{PLAN.max_steps:06d}").glob("*.safetensors")
    files = [*shards, folder / "base" / "model.safetensors"]
    assert len(files) == 3
    return {path.name: path.read_bytes() for path in files}, list(run.curve)


@pytest.fixture(scope="module")
def undisturbed(data: Data, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], list[object]]:
    return ended(data, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize(
    "place", ["train.ckpt.tensors=kill@5", "train.ckpt.manifest=kill@4", "train.ckpt.rename=kill@6"]
)
def test_a_killed_run_ends_with_the_same_bytes(data: Data, tmp_path: Path, undisturbed: object, place: str) -> None:
    assert in_child(lambda: ended(data, tmp_path), place) == KILLED
    assert ended(data, tmp_path) == undisturbed


def test_a_run_killed_from_outside_ends_with_the_same_bytes(data: Data, tmp_path: Path, undisturbed: object) -> None:
    child = start_child(lambda: ended(data, tmp_path), "train.ckpt.rename=sleep:0.2")
    deadline = time.monotonic() + 60
    while not (tmp_path / "checkpoints" / "step-000002").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    assert end_of(child) == KILLED
    assert ended(data, tmp_path) == undisturbed


def test_a_flipped_byte_in_a_shard_is_seen_and_costs_steps_only(
    data: Data, tmp_path: Path, undisturbed: object
) -> None:
    assert in_child(lambda: ended(data, tmp_path), "train.ckpt.rename=kill@5") == KILLED
    shard = tmp_path / "checkpoints" / "step-000004" / "optimizer-000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-7] ^= 1
    shard.write_bytes(content)
    heard = Heard()
    assert ended(data, tmp_path, heard) == undisturbed
    assert "step-000004 is damaged: optimizer-000.safetensors differs from its manifest" in heard.lines[0]
    assert heard.lines[1] == "going on from step 3 of 6"


def test_a_stop_saves_and_says_how_to_go_on(data: Data, tmp_path: Path, undisturbed: object) -> None:
    asked = iter([False, False, True])
    run = Run(PLAN, data, tmp_path / "checkpoints", device="cpu", talk=Silence())
    with pytest.raises(Interrupted, match="stopped at step 3 of 6") as caught:
        run.go(should_stop=lambda: next(asked))
    assert "run the same command again" in caught.value.hint
    assert ended(data, tmp_path) == undisturbed


def test_shards_are_small_and_come_together_again() -> None:
    drawn = torch.Generator().manual_seed(0)
    tensors = {name: torch.randn(size, generator=drawn) for name, size in (("a", (7, 3)), ("b", (40, 5)), ("c", (2,)))}
    tensors["step"] = torch.tensor(3.0)
    shards = {**into_shards(tensors, "model", most_bytes=128), **into_shards({}, "optimizer", most_bytes=128)}
    assert len(shards) > 5
    assert all(sum(part.nbytes for part in shard.values()) <= 128 for shard in shards.values())
    found = from_shards(shards, "model")
    assert sorted(found) == sorted(tensors)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_minutes_settle_the_number_of_steps_once_and_for_all(data: Data, tmp_path: Path) -> None:
    plan = replace(PLAN, tokens=10**9, minutes=0.01)
    heard = Heard()
    run = Run(plan, data, tmp_path, device="cpu", talk=heard)
    stops = iter(step == 20 for step in range(1, 1000))
    with pytest.raises(Interrupted):
        run.go(should_stop=lambda: next(stops))
    assert [line for line in heard.lines if "steps in 0.01 minutes" in line]
    settled = run.total_steps
    assert settled is not None
    assert 21 <= settled < plan.max_steps
    again = Run(plan, data, tmp_path, device="cpu", talk=heard)
    assert (again.total_steps, again.step) == (settled, 20)
    again.go()
    assert again.step == settled


def test_micro_rows_change_nothing_but_the_last_bits(data: Data, tmp_path: Path) -> None:
    plan = replace(PLAN, dropout=0.0)
    first, second = (
        Run(replace(plan, micro_rows=micro), data, tmp_path / str(micro), device="cpu", talk=Silence())
        for micro in (1, 4)
    )
    # the same sum of losses in another order
    torch.testing.assert_close(first._learn(), second._learn(), rtol=1e-5, atol=0)


def test_a_loss_that_is_not_finite_ends_the_run_with_a_hint(data: Data, tmp_path: Path) -> None:
    run = Run(PLAN, data, tmp_path, device="cpu", talk=Silence())
    with torch.no_grad():
        run.model.model.norm.weight.fill_(torch.nan)
    with pytest.raises(TrainingError, match="the loss of step 1 is nan") as caught:
        run.go(checkpoint_every_s=0)
    assert "lower --lr than 0.01" in caught.value.hint
    assert not list(tmp_path.glob("step-*"))


def test_training_learns(undisturbed: tuple[dict[str, bytes], list[tuple[int, float, float]]]) -> None:
    (_, first, _), *_, (_, _, last) = undisturbed[1]
    assert json.loads(json.dumps(undisturbed[1]))
    assert last < first - 0.2
