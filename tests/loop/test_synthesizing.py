"""A batch of synthetic rows is planned from weak places, sealed, barred until its audit, and then trains."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from burnish.data.dedup import prompt_text
from burnish.data.intake import add_files
from burnish.errors import DataError, UsageError
from burnish.loop.auditing import find_batch, held_batches, judge_sheet, sample_of, write_sheet
from burnish.loop.held_gold import judge_by_file
from burnish.loop.past import round_key
from burnish.loop.project import Project, create_project, settings_with
from burnish.loop.proposal import propose
from burnish.loop.round import run_round
from burnish.loop.seeds import gather
from burnish.loop.synthesis import Synthesis
from burnish.loop.synthesizing import synthesize_project
from burnish.loop.trusted import trusted_rows
from burnish.records import Example
from burnish.store.audits import audits
from burnish.store.batches import batches
from burnish.store.stage import stage_runs
from burnish.synthesize.batch import read_batch
from burnish.talk import Silence
from tests.loop.conftest import small_settings, write_rows


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> tuple[Project, Synthesis]:
    """A project with one batch that nobody has judged."""
    folder = tmp_path_factory.mktemp("made")
    project = create_project(folder / "desk", small_settings(small_base))
    rows = write_rows(folder / "rows.jsonl", 150)
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    found = synthesize_project(project, Silence())
    assert found is not None
    return project, found


def labelled(project: Project, file: Path, wrong: int = 0, name: str = "") -> Path:
    """The sheet of a batch as people fill it in, some answers other than the batch's."""
    held = find_batch(project, name)
    write_sheet(project, held, file)
    answers = {row.id: row.answer for row in held.rows}
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows):
        right = answers[row["id"]]
        row["answer"] = right if number >= wrong else "login" if right == "payment" else "payment"
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, ["id", "text", "answer"])
        writer.writeheader()
        writer.writerows(rows)
    return file


def test_a_batch_has_rows_of_known_parents_and_no_row_that_measures(made_once):
    project, found = made_once
    seeds = gather(project)
    people = {row.id for row in seeds.of("train")}
    assert found.batch.rows
    assert all(set(one.parents) <= people for one in found.batch.provenance)
    measured = {row.prompt[-1].content for row in seeds.protected}
    assert not measured & {row.prompt[-1].content for row in found.batch.rows}
    report = found.batch.report
    assert sum(report.by_reason.values()) + report.num_kept == report.num_made
    assert report.num_kept <= found.plan.num_rows


def test_what_was_made_once_is_found_again(made_once):
    project, found = made_once
    again = synthesize_project(project, Silence())
    assert again is not None
    assert not again.is_new
    assert again.name == found.name
    assert again.batch == found.batch
    assert len(batches(project.store)) == 2


def test_a_batch_that_nobody_judged_trains_nothing_and_changes_no_key(made_once):
    project, found = made_once
    seeds = gather(project)
    assert seeds.trusted.waiting == (found.name,)
    assert seeds.learned == list(seeds.of("train"))
    assert found.name not in seeds.data


def test_a_batch_trains_unaudited_only_where_the_settings_say_so(made_once):
    project, found = made_once
    bold = Project(
        folder=project.folder,
        settings=settings_with(project.settings, {"synthesize.take_unaudited": True}),
        store=project.store,
    )
    seeds = gather(bold)
    assert seeds.trusted.unaudited == {found.name}
    assert {row.id for row in found.batch.rows} == {row.id for row in seeds.trusted.rows}
    assert round_key(bold, seeds) != round_key(project, gather(project))  # by the setting


def test_dry_run_shows_the_plan_and_rows_and_keeps_nothing(small_project: Project):
    found = propose(small_project, Silence())
    assert found.plan.num_rows
    assert found.examples
    assert "synthesize" not in {run.stage for run in stage_runs(small_project.store)}
    assert len(batches(small_project.store)) == 1


def test_the_sheet_is_blind_and_the_same_each_time(made_once, tmp_path):
    project, found = made_once
    held = find_batch(project, "")
    write_sheet(project, held, tmp_path / "a.csv")
    write_sheet(project, held, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert rows[0].keys() == {"id", "text", "answer"}
    assert not any(row["answer"] for row in rows)
    assert {row["id"] for row in rows} <= {row.id for row in found.batch.rows}


def test_a_sheet_half_filled_in_is_refused_and_changes_nothing(made_once, tmp_path):
    project, _ = made_once
    held = find_batch(project, "")
    write_sheet(project, held, tmp_path / "sheet.csv")
    with pytest.raises(DataError, match="have no verdict yet"):
        judge_sheet(project, held, tmp_path / "sheet.csv", by="ann")
    assert audits(project.store) == []


def test_a_sheet_with_a_word_that_is_no_label_is_refused_by_line(made_once, tmp_path):
    project, _ = made_once
    file = labelled(project, tmp_path / "sheet.csv")
    lines = file.read_text().splitlines()
    lines[2] = lines[2].rsplit(",", 1)[0] + ",refund"
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"line 3 .*'refund' is no answer"):
        judge_sheet(project, find_batch(project, ""), file, by="ann")


def test_a_sheet_of_another_batch_is_refused(made_once, tmp_path):
    project, _ = made_once
    (tmp_path / "other.csv").write_text("id,text,answer\nsomebody,hello,login\n")
    with pytest.raises(DataError, match="is no row of this sample"):
        judge_sheet(project, find_batch(project, ""), tmp_path / "other.csv", by="ann")


def test_a_batch_that_is_not_there_is_named_with_those_that_are(made_once):
    project, found = made_once
    with pytest.raises(UsageError, match="no synthetic batch 'nothing'") as raised:
        find_batch(project, "nothing")
    assert found.name in raised.value.hint


def small_with(folder: Path, base: Path, **changes: object) -> Project:
    project = create_project(folder / "desk", settings_with(small_settings(base), changes))
    rows = write_rows(folder / "rows.jsonl", 150)
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    return project


def test_an_accepted_batch_trains_and_a_failed_one_never_does(tmp_path: Path, small_base: Path):
    project = small_with(tmp_path, small_base, **{"synthesize.audit_needed": 0.8})
    found = synthesize_project(project, Silence())
    assert found is not None
    rows = {row.id for row in found.batch.rows}
    failed = judge_sheet(
        project, find_batch(project, ""), labelled(project, tmp_path / "bad.csv", wrong=len(rows) // 2), by="ann"
    )
    assert failed.status == "rejected"
    assert gather(project).trusted.rejected == (found.name,)
    assert not rows & {row.id for row in gather(project).learned}
    judged = judge_sheet(
        project, find_batch(project, found.name), labelled(project, tmp_path / "good.csv", name=found.name), by="bob"
    )
    assert judged.status == "accepted"
    assert rows <= {row.id for row in gather(project).learned}
    assert [entry.by for entry in audits(project.store)] == ["ann", "bob"]


def test_held_gold_judges_a_batch_where_people_need_not(tmp_path: Path, small_base: Path):
    project = small_with(tmp_path, small_base, **{"synthesize.audit_needed": 0.8})
    synthesize_project(project, Silence())
    held = find_batch(project, "")
    sample = sample_of(project, held)
    gold = [{"text": prompt_text(row), "label": row.answer} for row in sample]
    file = tmp_path / "gold.jsonl"

    def write(rows: list[dict[str, str]]) -> Path:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    with pytest.raises(DataError, match=rf"no answer to 1 of {len(sample)} rows .* {sample[0].id}"):
        judge_by_file(project, held, write(gold[1:]))
    with pytest.raises(DataError, match="an earlier row with this prompt says"):
        judge_by_file(project, held, write([*gold, {**gold[0], "label": "no such answer"}]))
    assert audits(project.store) == []
    audit = judge_by_file(project, held, write(gold))
    assert (audit.status, audit.by, audit.correct) == ("accepted", "held gold", len(sample))
    assert {row.id for row in held.rows} <= {row.id for row in gather(project).learned}


def test_a_round_makes_a_batch_and_trains_candidates_with_and_without_it(tmp_path: Path, small_base: Path):
    project = small_with(tmp_path, small_base, **{"synthesize.take_unaudited": True})
    result, is_new = run_round(project, Silence())
    assert is_new
    held = held_batches(project)
    assert [one.name.startswith("synthetic-r1-") for one in held] == [True]
    folder = next(project.store.path_of(one.artifact) for one in batches(project.store) if one.name == held[0].name)
    assert {row.id for row in read_batch(folder).rows} == {row.id for row in gather(project).trusted.rows}
    again, is_new = run_round(project, Silence())
    assert not is_new, "the round's own batch must not make it look like a new one"
    assert again.challenger == result.challenger


def test_a_row_too_like_one_that_measures_leaves_training_whenever_that_came(made_once):
    project, found = made_once
    bold = Project(
        folder=project.folder,
        settings=settings_with(project.settings, {"synthesize.take_unaudited": True}),
        store=project.store,
    )
    clash: Example = found.batch.rows[0]
    left = trusted_rows(bold, [replace(clash, id="a late dev row")])
    assert clash.id in left.left_out[found.name]
    assert clash.id not in {row.id for row in left.rows}
    assert left.rows


def test_a_row_that_a_person_adds_later_is_no_duplicate_of_a_made_one(made_once, tmp_path):
    project, found = made_once
    row = found.batch.rows[0]
    file = tmp_path / "late.jsonl"
    file.write_text(json.dumps({"text": row.prompt[-1].content, "label": row.answer, "id": "late"}) + "\n")
    report = add_files(project.store, project.settings, [file], Silence(), skip_bad=False)
    assert (report.num_kept, report.num_duplicates) == (1, 0)
