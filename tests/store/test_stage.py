"""A stage runs once per key, and its story can be read."""

from pathlib import Path

import pytest

from burnish.errors import Interrupted, StorageError
from burnish.store.stage import run_stage, stage_key, stage_runs
from burnish.store.store import open_store
from tests.child import KILLED, in_child

PLAIN = {"stage": "data", "version": 1, "settings": {"a": 1}, "inputs": {"rows": "h"}, "seed": 0, "libraries": ()}


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def write_one(folder: Path) -> dict[str, object]:
    (folder / "one").write_text("1")
    return {"n": 1, "meta": {"host": "here"}}


def test_a_finished_stage_is_returned_and_its_work_not_called_again(store):
    first = run_stage(store, **PLAIN, work=write_one)
    again = run_stage(store, **PLAIN, work=lambda folder: pytest.fail("worked twice"))
    assert (first.was_cached, again.was_cached) == (False, True)
    assert (again.content_hash, again.record) == (first.content_hash, {"n": 1})
    assert again.meta["host"] == "here"


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "data2"},
        {"version": 2},
        {"settings": {"a": 2}},
        {"inputs": {"rows": "g"}},
        {"inputs": {"row": "h"}},
        {"seed": 1},
        {"libraries": ("numpy",)},
    ],
)
def test_each_part_of_the_key_makes_another_stage(change, store):
    run_stage(store, **PLAIN, work=write_one)
    assert not run_stage(store, **{**PLAIN, **change}, work=write_one).was_cached
    assert stage_key(**PLAIN) != stage_key(**{**PLAIN, **change})


def test_a_damaged_result_is_made_again_and_is_the_same(store):
    first = run_stage(store, **PLAIN, work=write_one)
    (first.path / "one").write_text("2")
    again = run_stage(store, **PLAIN, work=write_one)
    assert not again.was_cached
    assert again.content_hash == first.content_hash


def test_what_is_in_scratch_survives_a_kill_and_nothing_else_does(store):
    def work(folder: Path) -> dict[str, object]:
        steps = folder / "scratch" / "steps"
        done = len(steps.read_text()) if steps.exists() else 0
        (folder / f"seen-{done}").write_text("")
        steps.write_text("x" * (done + 1))
        return {"done": done}

    assert in_child(lambda: run_stage(store, **PLAIN, work=work), "artifact.manifest=kill") == KILLED
    sealed = run_stage(store, **PLAIN, work=work)
    assert sealed.record == {"done": 1}
    assert sorted(p.name for p in sealed.path.iterdir()) == ["manifest.json", "seen-1"]


def test_a_kill_after_the_manifest_costs_no_second_run(store):
    assert in_child(lambda: run_stage(store, **PLAIN, work=write_one), "artifact.rename=kill") == KILLED
    assert run_stage(store, **PLAIN, work=lambda folder: pytest.fail("worked twice")).record == {"n": 1}


@pytest.mark.parametrize(("error", "status"), [(ValueError("odd"), "failed"), (Interrupted("stop"), "interrupted")])
def test_a_stage_that_fails_is_told_so_and_runs_again(error, status, store):
    def work(folder: Path) -> dict[str, object]:
        raise error

    with pytest.raises(type(error)):
        run_stage(store, **PLAIN, work=work)
    (run,) = stage_runs(store)
    assert (run.status, run.attempts) == (status, 1)
    assert str(error) in run.note
    run_stage(store, **PLAIN, work=write_one)
    (run,) = stage_runs(store)
    assert (run.status, run.attempts, run.note) == ("done", 2, "")


def test_a_killed_stage_is_shown_as_stopped_and_a_live_one_as_running(store):
    assert in_child(lambda: run_stage(store, **PLAIN, work=write_one), "stage.started=kill") == KILLED
    assert [run.status for run in stage_runs(store)] == ["stopped"]

    def work(folder: Path) -> dict[str, object]:
        return {"seen": [run.status for run in stage_runs(store)]}

    assert run_stage(store, **PLAIN, work=work).record == {"seen": ["running"]}


def test_a_full_disk_in_the_work_of_a_stage_is_told_as_such(store):
    def work(folder: Path) -> dict[str, object]:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"no space left .* while working on data"):
        run_stage(store, **PLAIN, work=work)


def test_a_moved_project_finds_its_artifacts(tmp_path):
    (tmp_path / "old").mkdir()
    run_stage(open_store(tmp_path / "old"), **PLAIN, work=write_one)
    (tmp_path / "old").rename(tmp_path / "moved")
    assert run_stage(open_store(tmp_path / "moved"), **PLAIN, work=write_one).was_cached
