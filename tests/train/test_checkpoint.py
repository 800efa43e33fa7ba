"""A checkpoint is there whole or not at all, and a damaged one is passed over aloud."""

import json
from pathlib import Path

import pytest
import torch

from burnish.errors import ConfigError, StorageError
from burnish.store.failpoints import forget_hits
from burnish.talk import Silence
from burnish.train.checkpoint import Checkpoint, claim_folder, last_good_checkpoint, save_checkpoint
from tests.heard import Heard


def checkpoint(step: int) -> Checkpoint:
    tensors = {"weights": {"theta": torch.full((2, 3), float(step))}, "optimizer": {"m": torch.zeros(3)}}
    return Checkpoint(step, tensors, {"step": step, "loss": 1 / 3})


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(7))
    found = last_good_checkpoint(tmp_path, Silence())
    assert found is not None
    assert (found.step, found.state) == (7, {"step": 7, "loss": 1 / 3})
    assert torch.equal(found.tensors["weights"]["theta"], torch.full((2, 3), 7.0))


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert last_good_checkpoint(tmp_path / "nothing", Silence()) is None


def test_the_newest_two_stay_by_number(tmp_path: Path) -> None:
    for step in (9, 999_999, 1_000_000):
        save_checkpoint(tmp_path, checkpoint(step))
    assert steps(tmp_path) == ["step-1000000", "step-999999"]
    found = last_good_checkpoint(tmp_path, Silence())
    assert found is not None
    assert found.step == 1_000_000


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_newest_checkpoint_falls_back_and_names_the_file(tmp_path: Path, name: str, damage: str) -> None:
    save_checkpoint(tmp_path, checkpoint(1))
    path = save_checkpoint(tmp_path, checkpoint(2)) / name
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        middle = len(content) // 2
        path.write_bytes(
            content[:middle] + (bytes([content[middle] ^ 1]) + content[middle + 1 :] if damage == "flip" else b"")
        )
    listener = Heard()
    found = last_good_checkpoint(tmp_path, listener)
    assert found is not None
    assert found.step == 1
    (warning,) = listener.warned
    assert "step-000002 is damaged" in warning
    assert name in warning or name == "manifest.json"


def test_a_folder_without_a_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "step-000005.partial").mkdir()
    (tmp_path / "step-000004").mkdir()
    assert last_good_checkpoint(tmp_path, Silence()) is None


@pytest.mark.parametrize("point", ["train.ckpt.tensors", "train.ckpt.manifest", "train.ckpt.rename"])
def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, checkpoint(1))
    forget_hits()
    monkeypatch.setenv("BURNISH_FAILPOINTS", f"{point}=enospc")
    with pytest.raises(StorageError, match="no space left") as caught:
        save_checkpoint(tmp_path, checkpoint(2))
    assert caught.value.hint
    monkeypatch.delenv("BURNISH_FAILPOINTS")
    found = last_good_checkpoint(tmp_path, Silence())
    assert found is not None
    assert found.step == 1
    assert steps(tmp_path) == ["step-000001"]  # nothing half written takes up the space


JOB = {"train": {"epochs": 3, "batch_size": 16}, "rows": "a1", "seed": 0}


def test_the_same_job_may_go_on_in_its_folder(tmp_path: Path) -> None:
    claim_folder(tmp_path / "scratch", JOB)
    claim_folder(tmp_path / "scratch", json.loads(json.dumps(JOB)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": {"epochs": 4, "batch_size": 16}}, "train.epochs 3 -> 4"),
        ({"rows": "b2"}, "rows a1 -> b2"),
        ({"seed": 1}, "seed 0 -> 1"),
        ({"base": "x"}, "base absent -> x"),
    ],
)
def test_another_job_is_refused_with_the_difference(tmp_path: Path, change: dict[str, object], said: str) -> None:
    claim_folder(tmp_path, JOB)
    with pytest.raises(ConfigError, match=said) as caught:
        claim_folder(tmp_path, {**JOB, **change})
    assert "Undo the change" in caught.value.hint
