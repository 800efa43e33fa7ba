"""A whole search on a small project: it ends with settings, goes on after a kill, and refuses what cannot be tuned."""

import json
import shutil
from pathlib import Path

import optuna
import pytest
from typer.testing import CliRunner

from burnish.cli.main import app
from burnish.data.intake import add_files
from burnish.errors import BudgetError, ConfigError, DataError, Interrupted, UsageError
from burnish.loop.apply import apply_suggestion, with_settings
from burnish.loop.forecast import forecast
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.round import run_round
from burnish.loop.tuning import NUM_FINALISTS, RESULT_FILE, TuneResult, tune
from burnish.store.stage import stage_runs
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.loop.conftest import small_settings, write_rows

TRIALS = 4


def searched(project: Project, trials: int = TRIALS) -> TuneResult:
    return tune(project, Silence(), trials=trials, slots=2)


def shape(result: TuneResult) -> list[object]:
    """What must not depend on kills: values, curves, hashes and the choice."""
    return [*[(one.number, one.values, one.trial, one.move) for one in result.tried], result.settings]


def test_a_search_ends_with_settings_and_every_curve(small_project: Project) -> None:
    result = searched(small_project)
    assert len(result.tried) == TRIALS
    assert all(one.trial.curve for one in result.tried)
    assert result.verdict.chosen.trial.dev_score is not None
    assert result.settings["train.search"] == [1.0]
    kept = json.loads((small_project.store.root / RESULT_FILE).read_text())
    assert [trial["number"] for trial in kept["trials"]] == [one.number for one in result.tried]
    storage = f"sqlite:///{small_project.store.root / 'tune.db'}"
    assert len(optuna.load_study(study_name=result.study, storage=storage).trials) == TRIALS


def test_asked_again_it_tries_nothing_and_says_the_same(small_project: Project) -> None:
    first = searched(small_project)
    stages = [(run.key, run.attempts) for run in stage_runs(small_project.store)]
    again = searched(small_project)
    assert shape(again) == shape(first)
    assert [(run.key, run.attempts) for run in stage_runs(small_project.store)] == stages
    assert len(searched(small_project, trials=6).tried) == 6


@pytest.mark.parametrize("place", ["train.step=kill@5", "evaluate.rows=kill@1", "artifact.renamed=kill@2"])
def test_a_killed_search_goes_on_to_the_same_end(small_project: Project, tmp_path: Path, place: str) -> None:
    small_project.store.db.engine.dispose()
    copy = tmp_path / "copy"
    shutil.copytree(small_project.folder, copy)
    expected = shape(searched(open_project(copy)))
    assert in_child(lambda: searched(open_project(small_project.folder)), place) == KILLED
    assert shape(searched(open_project(small_project.folder))) == expected


def test_a_stop_between_heats_is_told_and_loses_nothing(small_project: Project) -> None:
    with pytest.raises(Interrupted, match="stopped after 0 of 6 trials"):
        tune(small_project, Silence(), trials=6, slots=3, should_stop=lambda: True)
    assert len(searched(small_project).tried) == TRIALS


def test_time_ends_a_search_after_a_whole_heat(small_project: Project) -> None:
    result = tune(small_project, Silence(), trials=100, slots=2, budget_s=1e-6)
    assert len(result.tried) == 2
    assert result.stopped.startswith("time")


def test_a_later_search_starts_from_what_the_earlier_one_found(small_project: Project, tmp_path: Path) -> None:
    first = searched(small_project, trials=3)
    best = first.verdict.chosen.values
    add_files(
        small_project.store,
        small_project.settings,
        [write_rows(tmp_path / "more.jsonl", 30, 500)],
        Silence(),
        skip_bad=False,
    )
    second = searched(open_project(small_project.folder), trials=1)
    assert second.study != first.study
    assert dict(second.tried[0].values) == dict(best)


def test_a_large_project_is_searched_on_a_part_and_repeated_on_all(small_project: Project) -> None:
    result = tune(small_project, Silence(), trials=3, slots=3, subset_rows=30)
    assert 1 <= len(result.tried) <= NUM_FINALISTS
    storage = f"sqlite:///{small_project.store.root / 'tune.db'}"
    assert len(optuna.get_all_study_names(storage=storage)) == 2


def test_applied_settings_are_in_the_file_with_its_comments_and_a_round_uses_them(small_project: Project) -> None:
    result = searched(small_project)
    path = small_project.folder / "burnish.yaml"
    comments = [line for line in path.read_text().splitlines() if "#" in line]
    assert apply_suggestion(small_project) == result.settings
    assert [line for line in path.read_text().splitlines() if "#" in line] == comments
    tuned = open_project(small_project.folder)
    assert tuned.settings == settings_with(small_project.settings, result.settings)
    assert apply_suggestion(tuned) == {}
    done, _ = run_round(tuned, Silence())
    assert done.round == 1


def test_a_file_that_cannot_be_changed_by_lines_stays_and_the_lines_are_told(small_project: Project) -> None:
    searched(small_project)
    path = small_project.folder / "burnish.yaml"
    path.write_text("train: {epochs: 2}\nlora: {rank: 4}\n")
    with pytest.raises(ConfigError) as caught:
        apply_suggestion(small_project)
    assert "train.lr:" in caught.value.hint
    assert path.read_text() == "train: {epochs: 2}\nlora: {rank: 4}\n"


def test_applying_before_a_search_is_told(small_project: Project) -> None:
    with pytest.raises(UsageError, match="no search"):
        apply_suggestion(small_project)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train:\n  lr: auto  # mine\n", "train:\n  lr: 0.5  # mine\n"),
        ("train:\n  epochs: 2\n\nlora:\n  lr: 3\n", "train:\n  lr: 0.5\n  epochs: 2\n\nlora:\n  lr: 3\n"),
        ("project: x\n", "project: x\ntrain:\n  lr: 0.5\n"),
        ("train:\n  lr:\n    - 1\n    - 2\n  epochs: 3\n", "train:\n  lr: 0.5\n  epochs: 3\n"),
    ],
)
def test_one_line_changes_and_nothing_else(text: str, expected: str) -> None:
    assert with_settings(text, {"train.lr": 0.5}) == expected


def test_what_leaves_nothing_to_choose_is_refused(small_project: Project, tmp_path: Path, small_base: Path) -> None:
    with pytest.raises(UsageError, match="0 slots"):
        tune(small_project, Silence(), trials=4, slots=0)
    with pytest.raises(UsageError, match="0 trials"):
        tune(small_project, Silence(), trials=0, slots=2)
    full = open_project(small_project.folder, ["train.method=full"])
    with pytest.raises(UsageError, match="adapters"):
        tune(full, Silence(), trials=4, slots=2)
    wide = open_project(small_project.folder, ["lora.rank=64"])
    with pytest.raises(ConfigError, match="more than the 32"):
        tune(wide, Silence(), trials=4, slots=2)


def test_a_project_with_one_label_or_no_dev_rows_is_refused(tmp_path: Path, small_base: Path) -> None:
    one = create_project(tmp_path / "one", settings_with(small_settings(small_base), {"task.kind": "label"}))
    rows = write_rows(tmp_path / "rows.jsonl", 60).read_text().splitlines()
    same = tmp_path / "same.jsonl"
    same.write_text("".join(json.dumps({**json.loads(line), "label": "login"}) + "\n" for line in rows))
    add_files(one.store, one.settings, [same], Silence(), skip_bad=False)
    with pytest.raises(DataError, match="the same answer, 'login'"):
        searched(one)
    shares = {"roles.train": 0.63, "roles.dev_b": 0.0}
    none = create_project(tmp_path / "none", settings_with(small_settings(small_base), shares))
    add_files(none.store, none.settings, [tmp_path / "rows.jsonl"], Silence(), skip_bad=False)
    with pytest.raises(DataError, match="dev_b"):
        searched(none)


def test_a_budget_that_would_be_passed_stops_the_search_before_the_spend(small_project: Project) -> None:
    with pytest.raises(BudgetError):
        searched(open_project(small_project.folder, ["budget.seconds=0.0001"]))


def test_a_plan_grows_with_the_work_and_names_its_choices(small_project: Project) -> None:
    plain = forecast(small_project, Silence())
    longer = forecast(open_project(small_project.folder, ["train.epochs=40"]), Silence())
    seconds = [{part.name: part.seconds for part in plan.parts}["train"] for plan in (plain, longer)]
    # twenty times the epochs; a factor of 5 leaves room for a busy machine between the two probes
    assert seconds[1] > 5 * seconds[0] > 0
    assert plain.precision == "float32"
    assert plain.slots in (1, 2, 8)
    assert plain.peak_bytes > 0
    assert plain.as_json()["seconds"] == pytest.approx(sum(part.seconds for part in plain.parts if part.is_sure))
    assert [row[0] for row in plain.table()][-1] == "together"
    assert len(plain.sentences()) == 4


def test_a_plan_without_rows_is_refused(tmp_path: Path, small_base: Path) -> None:
    empty = create_project(tmp_path / "empty", small_settings(small_base))
    with pytest.raises(DataError, match="no data yet"):
        forecast(empty, Silence())


def test_the_commands_speak_json_and_a_table(small_project: Project) -> None:
    run, where = CliRunner(), ["--project", str(small_project.folder), "--quiet"]
    shown = run.invoke(app, ["tune", "--trials", "3", "--slots", "3", *where])
    assert shown.exit_code == 0, shown.output
    assert "take trial" in shown.output
    found = json.loads(run.invoke(app, ["tune", "--trials", "3", "--slots", "3", "--json", *where]).stdout)
    assert len(found["trials"]) == 3
    assert all(trial["curve"] for trial in found["trials"])
    applied = json.loads(run.invoke(app, ["tune", "--apply", "--json", *where]).stdout)
    assert applied["changed"] == found["settings"]
    plan = json.loads(run.invoke(app, ["plan", "--json", *where]).stdout)
    assert {part["name"] for part in plan["parts"]} >= {"train", "challenger", "gate"}
