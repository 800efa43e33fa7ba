"""A project's diagnosis: of the model asked for, by rows that people may look at, and the same when asked again."""

import json
from pathlib import Path

import pytest

from burnish.data.dataset import add_files
from burnish.errors import UsageError
from burnish.loop.diagnosing import diagnose_project
from burnish.loop.project import Project
from burnish.loop.seeds import gather
from burnish.store.stage import stage_runs
from burnish.talk import Silence
from tests.loop.test_evidence import Heard


def test_every_wrong_row_of_dev_a_has_a_cause_and_nothing_of_dev_b_is_named(small_project: Project) -> None:
    found = diagnose_project(small_project, Silence(), model="base")
    seeds = gather(small_project)
    assert found.num_looked == len(seeds.of("dev_a"))
    assert found.num_checked == len(seeds.of("dev_b"))
    assert sum(found.causes.values()) == found.num_wrong > 0
    told = json.dumps(found.as_json())
    for example in seeds.of("dev_b"):
        assert example.id not in told
        assert example.prompt[-1].content not in told
    named = {row for weakness in found.weaknesses for row in weakness.examples}
    assert named <= {example.id for example in seeds.of("dev_a")}


def test_asked_again_it_scores_nothing_anew_and_says_the_same(small_project: Project) -> None:
    first = diagnose_project(small_project, Silence(), model="base")
    done = [(run.key, run.attempts) for run in stage_runs(small_project.store)]
    assert diagnose_project(small_project, Silence()) == first, "without a round the champion is the base"
    assert [(run.key, run.attempts) for run in stage_runs(small_project.store)] == done


def test_a_column_that_no_row_of_dev_a_has_is_told_and_stops_nothing(small_project: Project, tmp_path: Path) -> None:
    train = gather(small_project).of("train")[:2]
    extra = tmp_path / "extra.jsonl"
    rows = [{"text": f"late {row.prompt[-1].content}", "label": row.answer, "group": row.group} for row in train]
    extra.write_text("".join(json.dumps({**row, "desk": str(at)}) + "\n" for at, row in enumerate(rows)))
    add_files(small_project.store, small_project.settings, [extra], Silence(), skip_bad=False)
    assert "desk" in gather(small_project).columns
    heard = Heard()
    found = diagnose_project(small_project, heard, model="base")
    assert found.num_wrong > 0
    assert [text for text in heard.warned if "'desk'" in text]


def test_a_model_that_is_not_there_is_named(small_project: Project) -> None:
    with pytest.raises(UsageError, match="r9-x"):
        diagnose_project(small_project, Silence(), model="r9-x")
