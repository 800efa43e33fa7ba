"""Hand-offs of a project: the round and the command say the same, at no further answers."""

import json
from dataclasses import replace

import pytest

from burnish.errors import DataError
from burnish.loop.handing import handoffs_of_project
from burnish.loop.past import round_folder
from burnish.loop.project import Project
from burnish.loop.rendering import load_report
from burnish.loop.round import run_round
from burnish.loop.seeds import demand_dev_rows, gather
from burnish.records import as_json
from burnish.store.stage import stage_runs
from burnish.talk import Silence


def test_the_report_of_a_round_has_the_hand_offs_that_the_command_finds_again(small_project: Project) -> None:
    result, _ = run_round(small_project, Silence())
    told = load_report(small_project, result.round).handoffs
    assert told is not None
    assert (told.before.model, told.after.model) == (result.previous_champion, result.challenger)
    done = [run.key for run in stage_runs(small_project.store)]
    again = handoffs_of_project(small_project, Silence(), of=result.challenger)
    assert [run.key for run in stage_runs(small_project.store)] == done, "a round has scored all that it asks for"
    assert again.after == told.after
    assert again.overall.after == told.overall.after
    shown = (round_folder(small_project, result.round) / "report.html").read_text(encoding="utf-8")
    assert "What still goes to people" in shown


def test_no_row_of_another_role_is_named(small_project: Project) -> None:
    result, _ = run_round(small_project, Silence())
    seeds = gather(small_project)
    told = json.dumps(as_json(handoffs_of_project(small_project, Silence(), of=result.challenger)))
    for role, rows in seeds.by_role.items():
        for row in rows:
            assert row.id not in told, role


def test_without_rows_to_set_a_threshold_on_it_says_which_role_is_empty(small_project: Project) -> None:
    seeds = gather(small_project)
    with pytest.raises(DataError, match="no row has the role dev_b, so there is nothing to compare hand-offs by"):
        demand_dev_rows(replace(seeds, by_role={**seeds.by_role, "dev_b": ()}), "compare hand-offs by")
