"""An evaluation as files: what was saved comes back, and changed bytes are refused."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from burnish.errors import DamagedError
from burnish.evaluate.files import ROWS, SUMMARY, load_evaluation, save_evaluation, stored_evaluations
from burnish.evaluate.summary import summarise
from burnish.records import Evaluation, RowResult


def _evaluation() -> Evaluation:
    rows = tuple(
        RowResult(
            example=f"r{at}",
            prompt="<|im_start|>user\nfirst\u2028second\x85third\n",
            output="né\r\n" * at,
            expected="x",
            score=None if at == 3 else at / 7,
            why_missing="too-long: 9" if at == 3 else "",
            stop_reason="length",
            logprob=-1.5,
            group="g",
            slices={"channel": "web"},
            parts={"amount": 0.5},
        )
        for at in range(6)
    )
    overall, slices = summarise(rows, ("channel",))
    return Evaluation(
        model="m", model_hash="h", template_hash="t", metric="token_f1", rows=rows, overall=overall, slices=slices
    )


def test_a_saved_evaluation_comes_back_the_same(tmp_path: Path) -> None:
    save_evaluation(tmp_path, _evaluation())
    assert load_evaluation(tmp_path) == _evaluation()


def test_the_summary_says_how_many_rows_there_are(tmp_path: Path) -> None:
    save_evaluation(tmp_path, _evaluation())
    assert json.loads((tmp_path / SUMMARY).read_text())["rows"]["count"] == 6
    assert len((tmp_path / ROWS).read_bytes().splitlines()) == 6


@pytest.mark.parametrize("change", ["edit", "cut", "drop", "empty"])
def test_changed_files_are_refused(tmp_path: Path, change: str) -> None:
    save_evaluation(tmp_path, _evaluation())
    rows = (tmp_path / ROWS).read_bytes()
    if change == "edit":
        (tmp_path / ROWS).write_bytes(rows.replace(b'"score": 0.0', b'"score": 1.0'))
    elif change == "cut":
        (tmp_path / ROWS).write_bytes(rows[:-20])
    elif change == "drop":
        (tmp_path / ROWS).unlink()
    else:
        (tmp_path / SUMMARY).write_bytes(b"{}")
    with pytest.raises(DamagedError) as caught:
        load_evaluation(tmp_path)
    assert caught.value.hint


def test_stored_evaluations_are_those_of_the_wanted_values_the_newest_first_and_whole(tmp_path: Path) -> None:
    for age, (name, shots) in enumerate([("new", 0), ("shown", 4), ("old", 0), ("damaged", 0)]):
        folder = tmp_path / "artifacts" / "evaluate" / name
        folder.mkdir(parents=True)
        save_evaluation(folder, replace(_evaluation(), metric=name, shots=shots))
        os.utime(folder / SUMMARY, (1000 - age, 1000 - age))
    (folder / ROWS).write_bytes(b"")
    assert [found.metric for found in stored_evaluations(tmp_path, {"model": "m", "shots": 0})] == ["new", "old"]
    assert list(stored_evaluations(tmp_path, {"model": "other"})) == []
