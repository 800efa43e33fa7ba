"""A round does what it says, once; and what it decided can be traced."""

import json
import shutil
from dataclasses import replace

from burnish.budget import Budget
from burnish.config import Settings
from burnish.data.dataset import load_examples
from burnish.data.intake import add_files
from burnish.loop.past import results, round_folder
from burnish.loop.project import open_project, settings_with
from burnish.loop.round import run_round
from burnish.loop.rounds import run_rounds
from burnish.loop.stages import as_champion
from burnish.loop.workbench import Workbench
from burnish.registry import champion, models
from burnish.store.manifest import verify
from burnish.store.roles import current_roles
from burnish.store.stage import stage_runs
from burnish.talk import Silence
from tests.loop.conftest import write_rows


def test_a_second_call_does_no_work_twice(small_project):
    first, is_new = run_round(small_project, Silence())
    spent = Budget(store=small_project.store, settings=small_project.settings.budget).spent()
    stages = [(run.key, run.attempts) for run in stage_runs(small_project.store)]
    second, is_new_again = run_round(small_project, Silence())
    assert (is_new, is_new_again) == (True, False)
    assert second == first
    assert Budget(store=small_project.store, settings=small_project.settings.budget).spent() == spent
    assert [(run.key, run.attempts) for run in stage_runs(small_project.store)] == stages


def test_the_same_project_elsewhere_ends_with_the_same_weights(small_project, tmp_path):
    first, _ = run_round(small_project, Silence())
    moved = small_project.folder.rename(tmp_path / "moved")
    again = open_project(moved)
    assert champion(again.store) is not None
    second, _ = run_round(again, Silence(), again=True)
    assert second.round == 2
    assert second.challenger_hash == first.challenger_hash


def test_a_base_inside_the_project_is_found_after_a_move(small_project, small_base, tmp_path):
    shutil.copytree(small_base, small_project.folder / "models" / "own")
    small_project.folder.rename(tmp_path / "moved")
    again = open_project(tmp_path / "moved", ["base=models/own"])
    bench, plain = (Workbench(place.settings, place.store.root, Silence()) for place in (again, small_project))
    assert bench.base.base_hash == plain.base.base_hash


def test_new_data_makes_a_new_round_and_known_rows_keep_their_role(small_project, tmp_path):
    run_round(small_project, Silence())
    before = current_roles(small_project.store)
    more = write_rows(tmp_path / "more.jsonl", 45, start=200)
    add_files(small_project.store, small_project.settings, [more], Silence(), skip_bad=False)
    result, is_new = run_round(small_project, Silence())
    after = current_roles(small_project.store)
    assert is_new
    assert result.round == 2
    assert {name: after[name] for name in before} == before
    assert len(after) == len(list(load_examples(small_project.store))) == 135


def test_the_registry_holds_the_base_and_every_challenger_with_verified_weights(small_project):
    result, _ = run_round(small_project, Silence())
    versions = {version.name: version for version in models(small_project.store)}
    assert set(versions) == {"base", result.challenger}
    challenger = versions[result.challenger]
    assert challenger.adapter_hash == result.challenger_hash
    assert challenger.parents == ("base",)
    folder = small_project.store.path_of(challenger.artifact)
    assert verify(folder.parent).record["trials"]
    assert (folder / "adapter_model.safetensors").exists()


def test_a_later_round_goes_on_from_the_learning_rate_and_alpha_of_its_champion(small_project):
    tried = settings_with(small_project.settings, {"lora.alpha": 48.0, "train.lr": 3e-3, "train.search": [1.0]})
    result, _ = run_round(replace(small_project, settings=tried), Silence())
    version = next(one for one in models(small_project.store) if one.name == result.challenger)
    open_ones = settings_with(Settings(), {"train.search": "auto"})
    later = as_champion(small_project.store.root, open_ones, version)
    assert (later.train.lr, later.train.search, later.lora.alpha) == (3e-3, (1.0,), 48.0)
    fixed = settings_with(Settings(), {"lora.alpha": 8.0, "train.lr": 1e-3})
    assert as_champion(small_project.store.root, fixed, version).lora.alpha == 8.0
    assert as_champion(small_project.store.root, open_ones, None).lora.alpha == "auto"


def test_every_round_leaves_its_settings_result_and_report(small_project):
    result, _ = run_round(small_project, Silence())
    folder = round_folder(small_project, result.round)
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["train.lr"]["value"] == "auto"
    assert "best" in settings["train.lr"]["reason"]
    page = (folder / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert results(small_project) == [result]


def test_a_full_fine_tune_goes_through_the_same_round(small_project):
    tuned = open_project(small_project.folder, ["train.method=full", "train.search=[1.0]"])
    result, _ = run_round(tuned, Silence())
    version = next(version for version in models(tuned.store) if version.name == result.challenger)
    assert (tuned.store.path_of(version.artifact) / "model.safetensors").exists()


def test_rounds_stop_when_nothing_is_new(small_project):
    done, why = run_rounds(small_project, Silence(), rounds=5)
    assert len(done) < 5
    assert "nothing is new" in why


def test_a_budget_that_would_be_passed_stops_before_the_spend(small_project):
    import pytest

    from burnish.errors import BudgetError

    poor = open_project(small_project.folder, ["budget.seconds=0.001"])
    with pytest.raises(BudgetError) as error:
        run_round(poor, Silence())
    assert error.value.exit_code == 4
    assert error.value.hint
    assert Budget(store=poor.store, settings=poor.settings.budget).spent().seconds == 0
