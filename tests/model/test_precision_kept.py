"""The number type is measured once a project, with its reason, and stays: a busy machine would measure otherwise."""

from pathlib import Path

import pytest

from burnish.config import Settings, TrainSettings
from burnish.fakes import tiny_folder
from burnish.loop.workbench import Workbench
from burnish.talk import Silence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "base")


def bench(folder: Path, root: Path, precision: str = "auto") -> Workbench:
    train = TrainSettings.model_validate({"precision": precision})
    return Workbench(Settings(base=str(folder), train=train), root, Silence())


def test_what_was_measured_first_is_kept_with_its_reason(folder: Path, tmp_path: Path) -> None:
    first = bench(folder, tmp_path).base
    assert first.reason.startswith(f"{first.precision}: ")
    assert "GFLOP/s here" in first.reason
    again = bench(folder, tmp_path).base
    assert (again.precision, again.reason) == (first.precision, first.reason)


@pytest.mark.parametrize("kept", ["float32: 9 against 1 GFLOP/s here", "bfloat16: 9 against 1 GFLOP/s here"])
def test_a_later_round_takes_the_kept_precision_and_says_why_it_was_chosen(
    folder: Path, tmp_path: Path, kept: str
) -> None:
    (tmp_path / "precision").write_text(kept)
    base = bench(folder, tmp_path).base
    assert f"{base.precision}: " in kept
    assert str(next(base.model.parameters()).dtype) == f"torch.{base.precision}"
    assert base.reason == kept


def test_what_the_user_asks_for_goes_before_what_was_measured(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "precision").write_text("bfloat16: 9 against 1 GFLOP/s here")
    assert bench(folder, tmp_path, "float32").base.reason == "float32: asked for"
