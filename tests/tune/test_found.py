"""What a search found is used by a round, weights of the rows and all, and shown in the report of that round alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from burnish.data.intake import add_files
from burnish.errors import Interrupted
from burnish.loop.apply import apply_suggestion
from burnish.loop.past import round_folder
from burnish.loop.project import Project, create_project, open_project
from burnish.loop.round import run_round
from burnish.loop.searched import finite
from burnish.loop.tuning import tune
from burnish.records import Candidate, CurvePoint, Interval, Trial, as_json
from burnish.talk import Silence
from burnish.tune.space import Space
from burnish.tune.study import TuneStudy
from tests.heard import Heard
from tests.loop.conftest import small_settings, write_rows

WEIGHTED = {"lr": 0.004, "rank": 8, "batch_size": 16, "epochs": 3, "human_weight": 3.0, "replay_share": 0.1}


@pytest.fixture
def mixed_project(tmp_path: Path, small_base: Path) -> Project:
    """A project with rows that people wrote, synthetic ones and replay."""
    project = create_project(tmp_path / "mixed", small_settings(small_base))
    rows = [json.loads(line) for line in write_rows(tmp_path / "plain.jsonl", 120).read_text().splitlines()]
    kinds = ("human", "synthetic", "human", "replay")
    path = tmp_path / "mixed.jsonl"
    path.write_text(
        "".join(json.dumps({**row, "provenance": kinds[at // 3 % 4]}) + "\n" for at, row in enumerate(rows))
    )
    add_files(project.store, project.settings, [path], Silence(), skip_bad=False)
    return project


def earlier_search(project: Project, values: dict[str, Any]) -> None:
    """Puts a search of other data into the project's file that came to these values."""
    space = Space(
        lr=(1e-4, 1e-1), ranks=(8,), epochs=(3,), batch_sizes=(16,), human_weights=(3.0,), replay_shares=(0.1,)
    )
    study = TuneStudy(project.store.root / "tune.db", "earlier", space, seed=0)
    (number,) = study.next_heat(1, [values]).proposals
    candidate = Candidate(name="t000", rank=8, alpha=8.0, lr=0.004, seed=0)
    score = Interval(value=0.9, low=0.8, high=1.0, n=50)
    study.tell(number, Trial(candidate=candidate, curve=(), best_step=3, dev_loss=1.0, dev_score=score), 0.1)
    study.note_choice(number)
    study.close()


def report_of(project: Project, number: int) -> Any:
    return json.loads((round_folder(project, number) / "report.json").read_text())


def page_of(project: Project, number: int) -> str:
    return (round_folder(project, number) / "report.html").read_text()


def test_a_round_under_the_applied_settings_trains_the_very_adapter_that_the_search_chose(
    mixed_project: Project,
) -> None:
    earlier_search(mixed_project, WEIGHTED)  # so that the only trial is one with weighted rows and a share of replay
    found = tune(mixed_project, Silence(), trials=1, slots=1)
    assert found.verdict.chosen.values == WEIGHTED
    assert (found.settings["train.human_weight"], found.settings["train.replay_share"]) == (3.0, 0.1)
    assert apply_suggestion(mixed_project) == found.settings
    tuned = open_project(mixed_project.folder, ["synthesize.top_up=false"])  # repeats come after a search
    assert (tuned.settings.train.human_weight, tuned.settings.train.replay_share) == (3.0, 0.1)
    done, _ = run_round(tuned, Silence())
    # float32 and a bank of one in both: the same rows, weights, order and schedule give the same bytes
    assert done.challenger_hash == found.verdict.chosen.trial.adapter_hash
    (shown,) = report_of(tuned, 1)["search"]
    assert (shown["chosen"], shown["is_used"]) == (0, True)
    assert "This round trained with its settings." in page_of(tuned, 1)


def test_each_data_weight_changes_what_a_round_trains_where_there_are_such_rows(mixed_project: Project) -> None:
    changes: list[list[str]] = [[], ["train.human_weight=3"], ["train.replay_share=0.1"]]
    done = [run_round(open_project(mixed_project.folder, change), Silence())[0] for change in changes]
    assert len({one.challenger_hash for one in done}) == 3


def test_data_weights_change_no_weight_of_a_project_without_such_rows(small_project: Project) -> None:
    plain, _ = run_round(small_project, Silence())
    changes = ["train.human_weight=5", "train.replay_share=0.1"]
    again, is_new = run_round(open_project(small_project.folder, changes), Silence())
    assert is_new
    assert again.challenger_hash == plain.challenger_hash


def test_the_next_report_shows_every_trial_with_its_curve_and_the_one_after_shows_none(small_project: Project) -> None:
    found = tune(small_project, Silence(), trials=4, slots=2)
    run_round(small_project, Silence())
    report = report_of(small_project, 1)
    (shown,) = report["search"]
    assert [(one["number"], one["values"]) for one in shown["trials"]] == [(o.number, o.values) for o in found.tried]
    assert [one["trial"]["curve"] for one in shown["trials"]] == [
        json.loads(json.dumps(as_json(one.trial)["curve"])) for one in found.tried
    ]
    assert (shown["chosen"], shown["best"], shown["reason"]) == (
        found.verdict.chosen.number,
        found.verdict.best.number,
        found.verdict.reason,
    )
    assert shown["is_used"] == (not found.settings)
    assert shown["num_rows"] == shown["total_rows"] == report["data"]["roles"]["train"]
    for one in shown["trials"]:
        assert (one["rungs"] == one["num_rungs"]) == (one["trial"]["stopped"] != "outrun")
    assert 'id="search">The search' in page_of(small_project, 1)
    run_round(small_project, Silence(), again=True)
    assert report_of(small_project, 2)["search"] == []
    assert "The search" not in page_of(small_project, 2)


def test_of_a_large_project_the_search_on_a_part_is_shown_before_the_best_on_all_rows(small_project: Project) -> None:
    found = tune(small_project, Silence(), trials=3, slots=3, subset_rows=30)
    run_round(small_project, Silence())
    part, whole = report_of(small_project, 1)["search"]
    assert (part["num_rows"], len(part["trials"])) == (30, 3)
    assert whole["num_rows"] == whole["total_rows"] == part["total_rows"] > 30
    assert len(whole["trials"]) == len(found.tried)
    assert part["trials"][part["chosen"]]["values"] == whole["trials"][whole["chosen"]]["values"]
    assert "On 30 of " in page_of(small_project, 1)


def test_a_search_that_was_stopped_is_shown_as_far_as_it_came(small_project: Project) -> None:
    heard = Heard()
    with pytest.raises(Interrupted):
        tune(
            small_project,
            heard,
            trials=4,
            slots=1,
            should_stop=lambda: any(line.startswith("heat 2") for line in heard.said),
        )
    run_round(small_project, Silence())
    (shown,) = report_of(small_project, 1)["search"]
    assert ([one["number"] for one in shown["trials"]], shown["chosen"], shown["is_used"]) == ([0], None, False)
    assert "had not ended when this round began" in page_of(small_project, 1)


def test_a_file_of_searches_that_cannot_be_read_costs_the_round_nothing_but_that_part(small_project: Project) -> None:
    (small_project.store.root / "tune.db").write_bytes(b"not a database " * 100)
    heard = Heard()
    done, is_new = run_round(small_project, heard)
    assert is_new
    assert done.round == 1
    assert any("does not show the search" in warning for warning in heard.warned)
    assert report_of(small_project, 1)["search"] == []


def test_losses_that_are_not_finite_are_told_as_not_measured() -> None:
    wild = CurvePoint(step=2, epoch=1.0, train_loss=float("inf"), dev_loss=float("nan"), lr=0.1)
    tame = CurvePoint(step=1, epoch=0.5, train_loss=2.0, dev_loss=None, lr=0.1)
    candidate = Candidate(name="a", rank=4, alpha=8.0, lr=0.1, seed=0)
    told = finite(Trial(candidate=candidate, curve=(tame, wild), best_step=1, dev_loss=None, stopped="diverged"))
    assert told.curve == (tame, CurvePoint(step=2, epoch=1.0, train_loss=None, dev_loss=None, lr=0.1))
