"""A batch of wrong answers is seen as such and trains no more; nothing is computed twice; a second batch is needed."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.data.intake import add_files
from burnish.data.provenance import BATCH
from burnish.errors import DataError, Interrupted, UsageError
from burnish.loop.attributed import AttributionResult
from burnish.loop.attributing import attribute_project, plan_attribution
from burnish.loop.past import round_key
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.rendering import load_report
from burnish.loop.round import run_round
from burnish.loop.seeds import gather
from burnish.loop.stages import job_of
from burnish.loop.weighing import ATTRIBUTION_FILE, tell_weights, weights_of
from burnish.loop.workbench import Workbench
from burnish.records import Message, Provenance
from burnish.registry import get as find_model
from burnish.store.barred import bar
from burnish.store.batches import add_batch
from burnish.store.stage import run_stage, stage_runs
from burnish.synthesize.batch import BatchReport, write_batch
from burnish.talk import Silence
from burnish.train.batch import hash_rows
from tests.heard import Heard
from tests.loop.conftest import TOPICS, small_settings, write_rows

LEARNS = {
    "train.epochs": 12,
    "train.lr": 0.02,
    "train.search": [1.0],
    "train.patience": 12,
    "roles.train": 0.5,
    "roles.dev_a": 0.1,
    "roles.dev_b": 0.3,
    "roles.vault": 0.1,
    "roles.audit": 0.0,
    "synthesize.take_unaudited": True,
}
"""Settings under which the tiny base learns the three topics."""


def desk(folder: Path, base: Path, **changes: Any) -> Project:
    project = create_project(folder / "desk", settings_with(small_settings(base), {**LEARNS, **changes}))
    add_files(project.store, project.settings, [write_rows(folder / "first.jsonl", 120)], Silence())
    return project


def add_made(project: Project, name: str, answers: Mapping[str, str], *, usd: float = 0.0) -> None:
    """Seals a synthetic batch: each row of train once more with its words shuffled on, answered as `answers` says."""
    train = gather(project).of("train")
    made, origins = [], []
    for number, row in enumerate(train):
        *words, last = row.prompt[-1].content.split()
        text = " ".join([*words[:-3], f"{name}{number}", last[::-1], words[-1]])
        turns = (
            *row.prompt[:-1],
            Message(role="user", content=text),
            Message(role="assistant", content=answers[row.answer]),
        )
        made.append(replace(row, id=f"{name}-{number}", messages=turns, group=f"{name}-{number}"))
        origins.append(Provenance(example=f"{name}-{number}", move="noise", generator="", parents=(row.id,)))
    report = BatchReport(batch=name, num_made=len(made), num_kept=len(made), usd=usd)
    sealed = run_stage(
        project.store,
        stage="synthesize",
        version=1,
        settings={"name": name},
        inputs={},
        seed=0,
        work=lambda folder: write_batch(folder, made, origins, report),
    )
    add_batch(
        project.store,
        name=name,
        artifact=project.store.relative(sealed.path),
        content_hash=sealed.content_hash,
        num_rows=len(made),
    )


RIGHT = {topic: topic for topic in TOPICS}
WRONG = {"payment": "login", "login": "appeal", "appeal": "payment"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> tuple[Project, AttributionResult]:
    """A project with a file, a synthetic batch of right answers and one of wrong ones, attributed."""
    project = desk(tmp_path_factory.mktemp("judged"), small_base)
    add_made(project, "good", RIGHT, usd=3.0)
    add_made(project, "wrong", WRONG)
    return project, attribute_project(project, Silence())


def by_name(result: AttributionResult) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in result.as_json()["batches"]}


def test_a_batch_of_wrong_answers_is_seen_as_harmful_and_one_of_right_answers_is_not(judged):
    project, result = judged
    seen = by_name(result)
    assert seen["wrong"]["verdict"] == "harmed", result.table()
    assert seen["wrong"]["gain"]["high"] < 0
    assert seen["good"]["verdict"] != "harmed"
    assert {one.batch: one.weight for one in result.weights} == {"good": 1.0, "wrong": 0.0}
    assert (result.start.name, result.start.num_rows) == ("first.jsonl", len(gather(project).of("train")))


def test_the_next_round_leaves_the_harmful_batch_out_and_says_so(judged):
    project, _ = judged
    seeds, talk = gather(project), Heard()
    assert {row.id for row in seeds.attributable} - {row.id for row in seeds.learned} == {
        row.id for row in seeds.attributable if row.slices.get(BATCH) == "wrong"
    }
    assert {row.weight for row in seeds.learned} == {1.0}
    assert set(seeds.data) == {"first.jsonl", "good"}, "the model did not learn from the other one"
    tell_weights(seeds.trusted.weights, talk)
    assert [line.split()[0] for line in talk.said] == ["wrong"]


def test_a_round_after_an_attribution_is_another_one_and_trains_without_the_harmful_rows(judged):
    project, _ = judged
    record = project.store.root / ATTRIBUTION_FILE
    weighed, kept = gather(project), record.read_bytes()
    record.unlink()
    try:
        plain = gather(project)
        assert list(plain.learned) == list(plain.attributable), "without an attribution all rows train"
        assert round_key(project, plain) != round_key(project, weighed)
        record.write_bytes(kept.replace(b'"weight": 0.0', b'"weight": 0.5'))
        half = gather(project)
        assert {row.slices.get(BATCH, ""): row.weight for row in half.learned} == {"": 1.0, "good": 1.0, "wrong": 0.5}
        record.write_bytes(kept.replace(b'"weight": 0.0', b'"weight": 1.0'))
        assert round_key(project, gather(project)) == round_key(project, plain), "in full is as without a verdict"
    finally:
        record.write_bytes(kept)
    keys = {round_key(project, seeds) for seeds in (plain, half, weighed)}
    assert len(keys) == 3
    made = []
    for seeds in (plain, half, weighed, weighed):
        base = Workbench(project.settings, project.store.root, Silence()).base
        made.append(hash_rows(job_of(project.settings, base, seeds, ()).rows))
    assert len(set(made[:3])) == 3
    assert made[2] == made[3]


def test_a_verdict_holds_for_the_rows_it_was_made_on_and_no_others(judged):
    project, _ = judged
    learned = gather(project).attributable
    assert weights_of(project, learned) == {"good": 1.0, "wrong": 0.0}
    gone = next(row for row in learned if row.slices.get(BATCH) == "wrong")
    changed = [row for row in learned if row is not gone]
    assert weights_of(project, changed) == {"good": 1.0}


def test_a_round_trains_without_the_harmful_batch_until_one_of_its_rows_changes(judged, tmp_path: Path):
    shutil.copytree(judged[0].folder, tmp_path / "copy")
    project = open_project(tmp_path / "copy", ["train.epochs=1", "synthesize.rows=0"])
    talk = Heard()
    result, _ = run_round(project, talk)
    assert [line for line in talk.said if line.startswith("wrong is left out")]
    assert set(find_model(project.store, result.challenger).data) == {"first.jsonl", "good"}
    told = load_report(project, result.round).attribution
    assert told is not None
    assert {one.name: one.use for one in told.batches} == {"good": "in full", "wrong": "left out"}
    assert "Which batch helped" in (project.folder / result.report).read_text(encoding="utf-8")
    assert run_round(project, Silence()) == (result, False)
    gone = next(row for row in gather(project).attributable if row.slices.get(BATCH) == "wrong")
    bar(project.store, {gone.id: "wrong"}, asked=gone.id, reason="the customer wished so")
    again, is_new = run_round(project, Silence())
    assert is_new
    assert set(find_model(project.store, again.challenger).data) == {"first.jsonl", "good", "wrong"}


def test_a_batch_has_the_price_of_its_making_and_a_file_has_none(judged):
    seen = by_name(judged[1])
    assert seen["good"]["cost"]["usd"] == 3.0
    assert seen["good"]["cost"]["seconds"] > 0
    gain = seen["good"]["gain"]
    per_point = seen["good"]["cost_per_point"]
    assert per_point is None if gain["low"] <= 0 else per_point["usd"] == pytest.approx(0.03 / gain["value"])
    assert seen["wrong"]["cost_per_point"] is None


def test_the_same_command_again_trains_and_scores_nothing_and_comes_to_the_same(judged):
    project, first = judged
    before = stage_runs(project.store)
    again = attribute_project(project, Silence())
    assert stage_runs(project.store) == before
    assert (first.is_new, again.is_new) == (True, False)
    assert again.as_json() == first.as_json()


def test_a_command_that_was_stopped_while_scoring_trains_nothing_again(tmp_path: Path, small_base: Path):
    project = desk(tmp_path, small_base, **{"train.epochs": 1})
    add_made(project, "good", RIGHT)

    def trainings() -> list[tuple[str, int]]:
        return [(run.status, run.attempts) for run in stage_runs(project.store) if run.stage == "attribute"]

    with pytest.raises(Interrupted, match="stopped after 0 of 2 scorings"):
        attribute_project(project, Silence(), repeats=1, should_stop=lambda: trainings() == [("done", 1)])
    assert not (project.store.root / ATTRIBUTION_FILE).exists()
    result = attribute_project(project, Silence(), repeats=1)
    assert trainings() == [("done", 1)]
    assert set(by_name(result)) == {"good"}


def test_record_and_drawing_lie_in_the_project(judged):
    project, result = judged
    kept = json.loads((project.store.root / ATTRIBUTION_FILE).read_text(encoding="utf-8"))
    assert kept == {"schema_version": 1, **json.loads(json.dumps(result.as_json()))}
    drawing = (project.folder / result.plot).read_text(encoding="utf-8")
    for name in ("first.jsonl", "good", "wrong", "with all batches"):
        assert f">{name}<" in drawing


def test_a_record_that_cannot_be_read_is_told_with_what_to_do(tmp_path: Path, small_base: Path):
    project = desk(tmp_path, small_base)
    (project.store.root / ATTRIBUTION_FILE).write_text('{"weights": [{"batch": 1}]}')
    with pytest.raises(DataError, match=r"attribution\.json cannot be read") as raised:
        weights_of(project, ())
    assert "remove it" in raised.value.hint


def test_files_of_people_are_compared_with_the_first_one_and_keep_their_weight(tmp_path: Path, small_base: Path):
    project = desk(tmp_path, small_base, **{"train.epochs": 1})
    add_files(project.store, project.settings, [write_rows(tmp_path / "second.jsonl", 60, start=120)], Silence())
    result = attribute_project(project, Silence(), repeats=1)
    seen = by_name(result)
    assert set(seen) == {"second.jsonl"}
    assert (seen["second.jsonl"]["origin"], seen["second.jsonl"]["cost"]) == ("people", None)
    assert result.weights == ()
    assert any("also measured on its own kind of rows" in note for note in result.notes)
    assert any("one training each" in note for note in result.notes)
    seeds = gather(project)
    assert list(seeds.learned) == list(seeds.of("train"))


def test_a_project_with_one_batch_is_told_to_add_another(tmp_path: Path, small_base: Path):
    project = desk(tmp_path, small_base)
    with pytest.raises(DataError, match=r"came in one batch, first\.jsonl") as raised:
        attribute_project(project, Silence())
    assert "burnish data add" in raised.value.hint
    assert [run.stage for run in stage_runs(project.store)] == ["data"]
    with pytest.raises(UsageError, match="0 trainings"):
        attribute_project(project, Silence(), repeats=0)


def test_a_dry_run_tells_what_would_be_trained_and_writes_nothing(tmp_path: Path, small_base: Path):
    project = desk(tmp_path, small_base)
    add_made(project, "good", RIGHT)
    before, files = stage_runs(project.store), sorted(project.store.root.rglob("*"))
    plan = plan_attribution(project, Silence(), repeats=3)
    assert stage_runs(project.store) == before
    assert not [path for path in set(project.store.root.rglob("*")) - set(files) if path.suffix in (".json", ".svg")]
    assert not (project.store.root / ATTRIBUTION_FILE).exists()
    assert plan.num_adapters == 3 * 2, "with the batch and without it"
    assert plan.parts == {"good": len(gather(project).of("train"))}
    assert plan.num_scored == len(gather(project).of("dev_b"))
    assert plan.seconds > 0
    assert "6 adapters in one bank" in plan.as_text()
