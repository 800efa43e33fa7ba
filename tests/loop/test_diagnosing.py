"""A project's diagnosis: of the model asked for, by rows that people may look at, and the same when asked again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from burnish.data.intake import add_files
from burnish.errors import UsageError
from burnish.loop.diagnosing import diagnose_project, named_texts
from burnish.loop.past import round_folder
from burnish.loop.project import Project
from burnish.loop.rendering import load_report
from burnish.loop.round import run_round
from burnish.loop.seeds import gather
from burnish.records import Interval, Weakness
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


def test_a_round_diagnoses_the_champion_and_the_command_finds_that_again(small_project: Project) -> None:
    result, _ = run_round(small_project, Silence())
    done = [(run.key, run.attempts) for run in stage_runs(small_project.store)]
    assert [run.stage for run in stage_runs(small_project.store)].count("diagnose") == 1
    again = diagnose_project(small_project, Silence(), model=result.previous_champion)
    assert again == result.diagnosis
    assert [(run.key, run.attempts) for run in stage_runs(small_project.store)] == done
    assert again.as_text() == result.diagnosis.as_text(), "a kept diagnosis lists its causes in the same order"


def test_the_report_of_a_round_has_the_diagnosis(small_project: Project) -> None:
    result, _ = run_round(small_project, Silence())
    told = load_report(small_project, result.round).diagnosis
    assert told is not None
    assert told.found == result.diagnosis
    shown = (round_folder(small_project, result.round) / "report.html").read_text(encoding="utf-8")
    assert f"{told.found.num_wrong} of {told.found.num_looked} rows of dev_a wrong" in shown


def test_texts_are_shown_of_dev_a_and_of_no_other_role(small_project: Project) -> None:
    seeds = gather(small_project)
    looked, checked = seeds.of("dev_a")[0], seeds.of("dev_b")[0]
    whole = Interval(value=0.2, low=0.1, high=0.3, n=12)
    weak = Weakness(
        name="channel=web",
        kind="declared",
        found=whole,
        checked=whole,
        p_holm=None,
        confirmed=False,
        prevalence=0.5,
        shrunk_error=0.5,
        priority=0.1,
        examples=(looked.id, checked.id),
    )
    found = replace(diagnose_project(small_project, Silence(), model="base"), weaknesses=(weak,))
    assert named_texts(found, seeds) == {looked.id: looked.prompt[-1].content}
