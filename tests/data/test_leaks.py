"""D8: a leak stops a round before anything is trained, is listed as a pair, and an override stands in the settings."""

import json

import pytest

from burnish.data.check import DataCheck
from burnish.data.intake import add_files
from burnish.errors import DataError
from burnish.loop.inspection import check_project
from burnish.loop.project import Project, create_project, open_project
from burnish.loop.round import run_round
from burnish.store.roles import append_roles, role_history
from burnish.store.stage import stage_runs
from burnish.talk import Silence
from tests.loop.conftest import small_base, small_settings, write_rows

__all__ = ["small_base"]  # a fixture

WORDS = " ".join(f"word{n}" for n in range(30))
NEAR = f"{WORDS} new1 new2 new3 new4"
"""140 runs of 1 to 5 words, and 20 more: similarity 0.875."""


def project_with_leak(folder, base, second: str) -> Project:
    """Two messages on two sides, one of them as if the other had been found too late."""
    project = create_project(folder, small_settings(base))
    rows = write_rows(folder / "rows.jsonl", 60)
    with rows.open("a", encoding="utf-8") as file:
        for name, text, extra in (("kept", WORDS, ""), ("leak", second, ' , "channel": "web"')):
            file.write(f'{{"id": "{name}", "text": "{text}", "label": "{"login" if extra else "payment"}"{extra}}}\n')
    add_files(project.store, project.settings, [rows], Silence())
    append_roles(project.store, {"kept": "dev_a", "leak": "train"}, "planted")
    return project


def leaks(found: DataCheck) -> list[str]:
    return [sample for problem in found.problems if problem.name.startswith("leak") for sample in problem.samples]


@pytest.mark.parametrize("second", [WORDS, NEAR], ids=["exact", "near"])
def test_a_round_stops_at_a_leak_before_anything_is_trained_and_the_check_lists_the_pair(second, small_base, tmp_path):
    project = project_with_leak(tmp_path / "desk", small_base, second)
    with pytest.raises(DataError, match="different roles: scores would flatter") as caught:
        run_round(project, Silence())
    assert caught.value.exit_code == 65
    assert {run.stage for run in stage_runs(project.store)} == {"data"}
    (pair,) = leaks(check_project(project, Silence()))
    assert "dev_a rows.jsonl:61" in pair
    assert "train rows.jsonl:62" in pair


def test_a_user_may_call_two_near_texts_different_and_the_round_keeps_that_in_its_settings(small_base, tmp_path):
    project = project_with_leak(tmp_path / "desk", small_base, NEAR)
    allowed = open_project(project.folder, ["data.near_duplicate=0.95"])
    result, _ = run_round(allowed, Silence())
    kept = json.loads((project.store.root / "rounds" / "001" / "settings.json").read_text())
    assert result.round == 1
    assert kept["data.near_duplicate"]["value"] == 0.95
    assert kept["data.near_duplicate"]["reason"] != "default"


def test_equal_texts_are_a_leak_at_every_threshold(small_base, tmp_path):
    project = project_with_leak(tmp_path / "desk", small_base, WORDS)
    with pytest.raises(DataError, match="the same prompt"):
        run_round(open_project(project.folder, ["data.near_duplicate=1.0"]), Silence())


def test_rows_added_later_between_two_roles_do_not_stop_the_next_round(small_base, tmp_path):
    project = create_project(tmp_path / "desk", small_settings(small_base))
    words = WORDS.split()
    texts = [" ".join(words[start : start + 24]) for start in (0, 4, 2)]
    rows = write_rows(tmp_path / "rows.jsonl", 60)
    with rows.open("a", encoding="utf-8") as file:
        file.writelines(f'{{"id": "t{n}", "text": "{text}", "label": "login"}}\n' for n, text in enumerate(texts[:2]))
    later = tmp_path / "later.jsonl"
    later.write_text(f'{{"id": "t2", "text": "{texts[2]}", "label": "login"}}\n')
    add_files(project.store, project.settings, [rows], Silence())
    append_roles(project.store, {"t0": "train", "t1": "dev_a"}, "planted")
    add_files(project.store, project.settings, [later], Silence())
    run_round(project, Silence())
    assert {change.example: change.role for change in role_history(project.store)}["t2"] == "aside"
