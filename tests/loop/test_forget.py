"""A forgotten example and all that was made from it stay out of every later round, whatever stops the process."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from burnish.data.batch_files import ROWS
from burnish.data.dataset import load_examples, set_hash
from burnish.data.intake import add_files
from burnish.errors import EXIT_GATE_HELD, UsageError
from burnish.loop.approval import approve
from burnish.loop.conclude import finish_interrupted
from burnish.loop.forget import bar_late_descendants, forget
from burnish.loop.forgotten import Forgotten
from burnish.loop.integrity import check_log
from burnish.loop.kept import roll_back
from burnish.loop.past import DONE_FILE, is_done, results, round_folder
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.round import run_round
from burnish.loop.seeds import gather
from burnish.loop.standing import promote_by_hand, standing
from burnish.loop.traces import PROVENANCE_FILE
from burnish.records import Example, Provenance, as_json
from burnish.registry import champion, get, history, promote, register
from burnish.store.audits import append_audit
from burnish.store.barred import barred
from burnish.store.batches import add_batch
from burnish.store.looks import append_look, attempt_of, finish_look, looks
from burnish.store.roles import append_roles, current_roles, role_history
from burnish.store.stage import run_stage
from burnish.store.tables import barred_example
from burnish.synthesize.audit import Audit
from burnish.synthesize.batch import REPORT, BatchReport
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.loop.conftest import PROMOTES, small_settings, write_rows
from tests.loop.test_evidence import Heard


def ready_to_promote(folder: Path, base: Path) -> Project:
    """A project in `folder` with no round yet, whose first round promotes."""
    project = create_project(folder / "desk", settings_with(small_settings(base), PROMOTES))
    rows = write_rows(folder / "rows.jsonl", 120)
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    return project


@pytest.fixture(scope="module")
def promoted_once(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> Path:
    """A project whose first round promoted."""
    project = ready_to_promote(tmp_path_factory.mktemp("promoted"), small_base)
    result, _ = run_round(project, Silence())
    assert result.decision == "PROMOTE"
    return project.folder


@pytest.fixture
def promoted(promoted_once: Path, tmp_path: Path) -> Project:
    """A copy of it, to be changed at will."""
    shutil.copytree(promoted_once, tmp_path / "copy")
    return open_project(tmp_path / "copy")


PLACES = ("forget.looks", "barred.commit", "db.commit@1", "db.committed@1", "forget.barred")
"""Where a kill is tried; the sweep over rounds counts on all failpoints of forgetting being here."""


def with_role(project: Project, role: str) -> list[str]:
    return [name for name, of in current_roles(project.store).items() if of == role]


def add_synthetic(project: Project, name: str, parents: Mapping[str, Sequence[str]]) -> None:
    """A batch of synthetic rows of train with their provenance, given by id with their parents."""

    def work(folder: Path) -> dict[str, Any]:
        with (folder / ROWS).open("w") as rows, (folder / PROVENANCE_FILE).open("w") as origins:
            for number, (row, made_from) in enumerate(parents.items()):
                messages = [["user", f"{name} asks {number} of {row} about a payment"], ["assistant", "payment"]]
                slices = {"provenance": "synthetic", "batch": name}
                line = {"id": row, "messages": messages, "group": row, "slices": slices, "source": name, "weight": 1.0}
                rows.write(json.dumps(line) + "\n")
                origin = Provenance(example=row, move="paraphrase", generator="g", parents=tuple(made_from))
                origins.write(json.dumps(as_json(origin)) + "\n")
        (folder / "rejects.jsonl").write_text("")
        report = BatchReport(batch=name, num_made=len(parents), num_kept=len(parents))
        (folder / REPORT).write_text(json.dumps(as_json(report)))
        return {"num_rows": len(parents)}

    sealed = run_stage(
        project.store, stage="data", version=1, settings={}, inputs={"name": name}, seed=0, work=work, libraries=()
    )
    place = project.store.relative(sealed.path)
    add_batch(project.store, name=name, artifact=place, content_hash=sealed.content_hash, num_rows=len(parents))
    append_roles(project.store, dict.fromkeys(parents, "train"), reason="synthetic")
    audit = Audit(batch=name, size=len(parents), n=len(parents), correct=len(parents), lower=1.0, status="accepted")
    append_audit(project.store, name, as_json(audit), by="test")


def training_ids(project: Project) -> set[str]:
    return {example.id for example in gather(project).learned}


def test_a_barred_row_and_its_descendants_are_absent_from_the_next_rounds_training_rows(small_project: Project):
    gather(small_project)
    mine, other = with_role(small_project, "train")[:2]
    add_synthetic(small_project, "syn", {"child": [mine, other], "grandchild": ["child"], "stranger": [other]})
    assert {mine, other, "child", "grandchild", "stranger"} <= training_ids(small_project)
    first, _ = run_round(small_project, Silence())

    found = forget(small_project, mine, reason="the customer asked")
    assert [row.example for row in found.rows] == [mine, "child", "grandchild"]
    assert [row.made_from for row in found.rows] == ["", mine, "child"]
    assert training_ids(small_project) & {mine, "child", "grandchild"} == set()
    assert {other, "stranger"} <= training_ids(small_project)
    assert {one.id for one in load_examples(small_project.store)} & {mine, "child"} == set()

    second, is_new = run_round(small_project, Silence())
    assert is_new
    assert second.round == 2
    before, after = (get(small_project.store, result.challenger) for result in (first, second))
    assert all(before.data[name] != after.data[name] for name in ("rows.jsonl", "syn"))
    again = forget(small_project, mine)
    assert [trace.round for trace in again.rounds] == [1], "the second round had none of them"
    assert [model.name for model in again.models] == [first.challenger]


def test_a_dry_run_says_the_same_and_changes_nothing(small_project: Project):
    gather(small_project)
    row = with_role(small_project, "train")[0]
    add_synthetic(small_project, "syn", {"child": [row]})
    dry = forget(small_project, row, dry_run=True)
    assert (dry.is_new, dry.dry_run, dry.at) == (True, True, "")
    assert "would be barred; nothing was changed" in dry.as_text()
    assert barred(small_project.store) == []
    assert row in training_ids(small_project)
    real = forget(small_project, row)
    assert (real.rows, real.plan) == (dry.rows, dry.plan)


def test_the_second_time_it_says_so_and_the_first_entry_stays(small_project: Project):
    gather(small_project)
    row = with_role(small_project, "train")[0]
    first = forget(small_project, row, reason="asked for")
    entries = barred(small_project.store)
    second = forget(small_project, row, reason="another reason")
    assert (first.is_new, second.is_new) == (True, False)
    assert (second.at, second.reason) == (first.at, "asked for")
    assert "is barred already" in second.as_text()
    assert barred(small_project.store) == entries
    assert [(one.example, one.asked, one.reason) for one in entries] == [(row, row, "asked for")]


def test_no_text_of_a_row_is_kept_with_the_bar(small_project: Project):
    example = next(iter(load_examples(small_project.store)))
    forget(small_project, example.id)
    with small_project.store.db.read() as connection:
        kept = connection.execute(select(barred_example)).one()
    assert not any(example.prompt[-1].content in str(value) for value in kept)


def test_an_unknown_id_names_near_ones_and_bars_nothing(small_project: Project):
    row = next(iter(load_examples(small_project.store))).id
    with pytest.raises(UsageError, match="there is no example") as caught:
        forget(small_project, row + "x")
    assert row in caught.value.hint
    assert barred(small_project.store) == []


def test_a_champion_that_learned_from_a_row_is_named_with_the_way_back(promoted: Project):
    now = champion(promoted.store)
    assert now is not None
    held = {example.id: example for example in load_examples(promoted.store)}
    row = next(name for name in with_role(promoted, "train") if _first_role(promoted, name) == "train")
    found = forget(promoted, row, dry_run=True)
    assert found.champion is not None
    assert (found.champion.name, found.champion.use) == (now.name, "learned")
    assert [(trace.round, trace.learned, trace.measured) for trace in found.rounds] == [(1, 1, 0)]
    assert any("burnish promote base" in step for step in found.plan)
    assert row in held
    assert found.as_json()["champion_use"] == "learned"
    assert not any(line.startswith("evaluations") and row in line for line in found.as_text().splitlines())


def _first_role(project: Project, row: str) -> str:
    from burnish.store.roles import role_history

    return next(change.role for change in role_history(project.store) if change.example == row)


@pytest.mark.parametrize(
    ("role", "use"), [("dev_a", "measured"), ("dev_b", "chosen"), ("vault_1", "judged"), ("audit", None)]
)
def test_each_role_leaves_its_own_trace(small_project: Project, role: str, use: str | None):
    project = small_project
    settings = settings_with(project.settings, {**PROMOTES, "roles.audit": 0.06, "roles.train": 0.34})
    rounded = Project(folder=project.folder, settings=settings, store=project.store)
    result, _ = run_round(rounded, Silence())
    row = next(name for name in current_roles(project.store) if _first_role(project, name) == role)
    found = forget(rounded, row, dry_run=True)
    if role == "vault_1" and not result.vault:
        use = None  # the gate did not open it
    if use is None:
        assert found.rounds == found.models == found.evaluations == ()
        assert "No round used the rows" in found.plan[0]
        return
    assert [(trace.round, trace.use) for trace in found.rounds] == [(1, use)]
    assert [model.use for model in found.models] == ([] if use == "measured" else [use])
    assert found.evaluations, "an evaluation asked it"
    for trace in found.evaluations:
        text = (project.store.root / trace.path / "rows.jsonl").read_text()
        assert f'"example": "{row}"' in text


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_on_the_way_bars_all_or_nothing_and_the_same_call_ends_it(small_project: Project, place: str):
    gather(small_project)
    row = with_role(small_project, "train")[0]
    add_synthetic(small_project, "syn", {"child": [row], "grandchild": ["child"]})
    name, _, hit = place.partition("@")
    plan = f"{name}=kill" + (f"@{hit}" if hit else "")
    assert in_child(lambda: forget(open_project(small_project.folder), row, reason="asked"), plan) == KILLED
    again = open_project(small_project.folder)
    assert {one.example for one in barred(again.store)} in (set(), {row, "child", "grandchild"})
    found = forget(again, row, reason="asked")
    assert {one.example for one in barred(again.store)} == {row, "child", "grandchild"}
    assert [one.example for one in found.rows] == [row, "child", "grandchild"]
    assert training_ids(again) & {row, "child", "grandchild"} == set()


def test_the_standing_counts_what_is_left(small_project: Project) -> None:
    gather(small_project)
    before = standing(small_project)
    forget(small_project, with_role(small_project, "train")[0])
    after = standing(small_project)
    assert after["examples"] == before["examples"] - 1
    assert after["roles"]["train"] == before["roles"]["train"] - 1


def test_a_vault_that_loses_a_row_gives_no_fresh_attempts(small_project: Project, tmp_path: Path):
    vault = list(gather(small_project).of("vault_1"))
    look = append_look(small_project.store, set_hash(vault), 1, "first", 0.03)
    finish_look(small_project.store, look, "HOLD")
    append_look(small_project.store, set_hash(vault), 2, "second", 0.01)
    found = forget(small_project, vault[0].id)
    assert any("vault_1 loses rows" in step for step in found.plan)
    left = gather(small_project).of("vault_1")
    assert {one.id for one in left} == {one.id for one in vault[1:]}
    kept = looks(small_project.store, set_hash(left))
    assert [(one.attempt, one.challenger_hash, one.decision) for one in kept] == [
        (1, "first", "HOLD"),
        (2, "second", None),
    ]
    assert attempt_of(small_project.store, set_hash(left), "third") == 3
    more = write_rows(tmp_path / "more.jsonl", 60, start=300)
    add_files(small_project.store, small_project.settings, [more], Silence(), skip_bad=False)
    assert {one.id for one in gather(small_project).of("vault_1")} == {one.id for one in left}, "it stays closed"


def test_a_barred_text_does_not_come_back_under_another_id(small_project: Project, tmp_path: Path):
    example = next(iter(load_examples(small_project.store)))
    forget(small_project, example.id)
    row = {"id": "brand-new", "text": example.prompt[-1].content, "label": example.answer, **example.slices}
    same, fresh = tmp_path / "same.jsonl", write_rows(tmp_path / "fresh.jsonl", 3, start=700)
    same.write_text(json.dumps(row) + "\n" + fresh.read_text())
    report = add_files(small_project.store, small_project.settings, [same], Silence(), skip_bad=False)
    assert (report.num_kept, report.num_duplicates) == (3, 1)
    texts = {one.prompt[-1].content for one in load_examples(small_project.store)}
    assert example.prompt[-1].content not in texts


def test_a_row_made_before_and_added_after_the_bar_is_barred_at_the_next_round(small_project: Project):
    gather(small_project)
    row, other = with_role(small_project, "train")[:2]
    forget(small_project, row, reason="asked")
    assert bar_late_descendants(small_project) == 0
    add_synthetic(small_project, "late", {"child": [row], "stranger": [other]})
    assert bar_late_descendants(small_project) == 1
    assert "child" not in training_ids(small_project)
    assert "stranger" in training_ids(small_project)
    assert [(one.asked, one.reason) for one in barred(small_project.store)] == [(row, "asked")] * 2
    assert bar_late_descendants(small_project) == 0


def test_other_rows_of_the_group_stay_and_are_named(small_project: Project, tmp_path: Path):
    rows = [{"text": f"my case {n} about a bill of mine", "label": "payment", "group": "ann"} for n in range(3)]
    rows += [{"text": f"a case {n} of somebody else here", "label": "login", "group": "bob"} for n in range(3)]
    file = tmp_path / "people.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    add_files(small_project.store, small_project.settings, [file], Silence(), skip_bad=False)
    mine = [one.id for one in load_examples(small_project.store) if one.group == "ann"]
    assert len(mine) == 3
    found: Forgotten = forget(small_project, mine[0])
    assert list(found.same_group) == sorted(mine[1:])
    assert all(any(name in step for step in found.plan) for name in mine[1:])
    left: list[Example] = list(load_examples(small_project.store))
    assert {one.id for one in left} >= set(mine[1:])


def taught(project: Project) -> list[str]:
    """Rows that the first round learned from."""
    first: dict[str, str] = {}
    for change in role_history(project.store):
        first.setdefault(change.example, change.role)
    return [name for name, role in first.items() if role == "train"]


def test_a_model_that_learned_what_was_forgotten_since_is_not_put_into_use_by_hand_or_by_going_back(promoted: Project):
    store, tainted = promoted.store, champion(promoted.store).name
    judged = replace(get(store, "base"), name="mended", decision="PROMOTE", created_at="")
    for name in ("mended", "mended-2"):
        register(store, replace(judged, name=name))
        promote(store, name, "better", "gate")
    measured = with_role(promoted, "dev_a")[0]
    forget(promoted, measured)
    promote_by_hand(promoted, tainted, reason="it only was measured on it", force=False)
    assert roll_back(promoted, reason="no").reason == "no"

    for mine in taught(promoted)[:2]:
        forget(promoted, mine)
    for force in (False, True):
        with pytest.raises(UsageError, match=f"{tainted} learned from 2 rows that were forgotten since") as caught:
            promote_by_hand(promoted, tainted, reason="it was good", force=force)
    assert "burnish promote mended-2 --reason" in caught.value.hint
    assert roll_back(promoted, reason="worse").after == "mended"
    move = roll_back(promoted, reason="worse still")
    assert (move.after, champion(store).name) == ("base", "base")
    assert move.reason == f"worse still (passed over: {tainted} learned from 2 rows that were forgotten since)"
    promote_by_hand(promoted, "mended", reason="again", force=False)
    assert roll_back(promoted, reason="and back").after == "base", "what was passed over once stays out of the line"
    assert check_log(promoted).breaks == ()


def test_going_back_where_every_earlier_champion_learned_it_is_refused(promoted: Project):
    store, tainted = promoted.store, champion(promoted.store).name
    forget(promoted, taught(promoted)[0])
    register(store, replace(get(store, "base"), name="mended", created_at=""))
    promote(store, "mended", "better", "gate")
    assert roll_back(promoted, reason="worse").after == "base"
    with pytest.raises(UsageError, match="no earlier champion"):
        roll_back(promoted, reason="worse")
    assert tainted not in (move.after for move in history(store)[2:])


def test_a_challenger_whose_row_was_forgotten_between_the_verdict_and_the_act_is_withheld(tmp_path, small_base):
    project = ready_to_promote(tmp_path, small_base)
    assert in_child(lambda: run_round(project, Silence()), "round.saved=kill") == KILLED
    (before,) = results(project)
    assert before.champion == before.challenger
    forget(project, with_role(project, "train")[0])
    told = Heard()
    for _ in range(2):
        finish_interrupted(project, told)
    (result,) = results(project)
    assert (result.decision, result.approval, result.exit_code) == ("PROMOTE", "withheld", EXIT_GATE_HELD)
    assert champion(project.store).name == result.champion == "base"
    assert told.warned == [
        f"round 1: {result.challenger} learned from 1 row that was forgotten since, so it is not put into use"
    ]
    folder = round_folder(project, 1)
    assert "base stays in use" in (folder / "report.md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="does not wait for an approval"):
        approve(project, 1, by="ann", reason="late")
    assert check_log(project).breaks == ()


def test_a_round_killed_after_its_promotion_does_not_promote_again_what_was_rolled_back(promoted: Project):
    (round_folder(promoted, 1) / DONE_FILE).unlink()
    assert roll_back(promoted, reason="complaints").after == "base"
    finish_interrupted(promoted, Silence())
    assert champion(promoted.store).name == "base"
    assert is_done(promoted, 1)
