"""A challenger that waits is not in use; a yes or a no is given once, by who may, with its evidence, whatever dies."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from burnish.data.intake import add_files
from burnish.errors import EXIT_WAITS, UsageError
from burnish.loop.approval import approve, is_stale, refuse, waiting
from burnish.loop.canary import start, step
from burnish.loop.forget import forget
from burnish.loop.integrity import check_log
from burnish.loop.past import RESULT_FILE, results, round_folder
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.rendering import load_report
from burnish.loop.round import run_round
from burnish.loop.rounds import run_rounds
from burnish.loop.seeds import gather
from burnish.loop.standing import promote_by_hand, standing
from burnish.records import as_json
from burnish.registry import champion, get, history, promote, register, rollback
from burnish.store.chain import entries
from burnish.store.deployments import running_canary
from burnish.store.users import add_user
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.cli.calls import burnish
from tests.loop.conftest import PROMOTES, small_settings, write_rows

PLACES = ("approval.written", "approval.refused", "approval.rendered")
"""Failpoints of this file's own; the sweep over rounds counts on all of them being here."""
ANSWER = {"by": "ann", "reason": "legal agrees"}


@pytest.fixture(scope="module")
def waiting_once(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> Path:
    """A project whose first round passed the gate and waits."""
    folder = tmp_path_factory.mktemp("waiting") / "desk"
    settings = settings_with(small_settings(small_base), PROMOTES | {"approval.required": True})
    project = create_project(folder, settings)
    rows = write_rows(folder.parent / "rows.jsonl", 120)
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    run_round(project, Silence())
    return folder


@pytest.fixture
def project(waiting_once: Path, tmp_path: Path) -> Project:
    """A copy of it, to be changed at will."""
    return open_project(Path(shutil.copytree(waiting_once, tmp_path / "copy")))


def state(folder: Path) -> dict[str, object]:
    """What a user has in the end."""
    project = open_project(folder)
    best = champion(project.store)
    return {
        "champion": best.name if best else None,
        "moves": [(move.after, move.kind, move.by, move.reason) for move in history(project.store)],
        "rounds": [(one.round, one.approval, one.champion, one.exit_code) for one in results(project)],
        "log": [(entry.seq, entry.kind, entry.subject) for entry in entries(project.store.db)],
        "breaks": check_log(project).breaks,
        "report": (round_folder(project, 1) / "report.md").read_text(encoding="utf-8"),
    }


def said_of_the_round(project: Project) -> tuple[str, str, str, str]:
    """What the report's history says of the round, in Markdown and JSON, and `burnish models` of its challenger."""
    folder = round_folder(project, 1)
    markdown = (folder / "report.md").read_text(encoding="utf-8").partition("## Rounds so far")[2]
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))["history"][0]
    words = ("models", "--project", project.folder)
    (listed,) = [one for one in burnish(*words, "--json").data["models"] if one["round"] and one["decision"]]
    (line,) = [one for one in burnish(*words).out.splitlines() if listed["name"] in one]
    cells = next(line for line in markdown.splitlines() if line.startswith("| 1 |")).split("|")
    shown = next((words for words in ("waits for approval", "approved") if words in line), "")
    return cells[4].strip(), told["approval"], listed["approval"], f"{listed['decision']}, {shown}"


def test_a_round_that_passes_waits_with_exit_code_4_and_moves_nothing(project, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    (result,) = results(project)
    assert (result.decision, result.approval, result.exit_code) == ("PROMOTE", "waiting", EXIT_WAITS)
    assert champion(project.store).name == result.champion == result.previous_champion == "base"
    assert waiting(project) == [result]
    assert standing(project)["next"].startswith("burnish approve 1 ")
    page = (round_folder(project, 1) / "report.html").read_text(encoding="utf-8")
    assert "waits for approval" in page
    assert said_of_the_round(project) == (
        "Passed, waits for approval",
        "waiting",
        "waiting",
        "PROMOTE, waits for approval",
    )
    assert "is now in use" not in page
    done, why = run_rounds(project, Silence(), rounds=3)
    assert (done, why) == ([result], "round 1 waits for an approval: burnish approve 1")
    assert check_log(project).breaks == ()


def test_an_approval_moves_the_champion_and_seals_who_why_and_the_evidence(project, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    before = waiting(project)[0]
    result = approve(project, 1, **ANSWER)
    assert champion(project.store).name == result.champion == before.challenger
    assert (result.approval, result.exit_code) == ("approved", 0)
    assert history(project.store)[-1].by == "round 1, approved by ann"
    entry = next(one for one in entries(project.store.db) if one.kind == "approval")
    version = get(project.store, before.challenger)
    assert {name: entry.facts[name] for name in ("by", "reason", "challenger_hash", "decision", "champion")} == {
        **ANSWER,
        "challenger_hash": before.challenger_hash,
        "decision": "PROMOTE",
        "champion": "base",
    }
    assert entry.facts["after"] == json.loads(json.dumps(as_json(before.after)))
    assert entry.facts["data"] == dict(version.data)
    assert len(entry.facts["settings_file"]) == 64
    assert said_of_the_round(project) == ("Promoted", "approved", "approved", "PROMOTE, approved")
    page = (round_folder(project, 1) / "report.html").read_text(encoding="utf-8")
    assert "is now in use" in page
    assert load_report(project, 1).decision == "PROMOTE"
    assert check_log(project).breaks == ()


def test_a_challenger_that_learned_what_was_forgotten_since_can_only_be_refused(project):
    forget(project, gather(project).of("dev_a")[0].id, reason="asked for it")
    row = gather(project).of("train")[0].id
    forget(project, row, reason="asked for it")
    with pytest.raises(UsageError, match="learned from 1 row that was forgotten since") as caught:
        approve(project, 1, **ANSWER)
    assert caught.value.hint.endswith("to close this one, refuse it")
    assert champion(project.store).name == "base"
    assert refuse(project, 1, **ANSWER).approval == "refused"
    assert check_log(project).breaks == ()


def test_what_was_refused_or_learned_what_was_forgotten_is_not_tried_out_on_users(project):
    challenger = waiting(project)[0].challenger
    begun = start(project, challenger, mode="split", **ANSWER)
    forget(project, gather(project).of("train")[0].id, reason="asked for it")
    done = step(project)
    assert (done.act, done.canary.moves[-1].outcome) == ("ended", "rolled back")
    assert "learned 1 of the rows that were forgotten since" in done.canary.moves[-1].reason
    with pytest.raises(UsageError, match="learned 1 of the rows"):
        start(project, challenger, mode="split", **ANSWER)
    refuse(project, 1, by="ann", reason="not before the audit")
    with pytest.raises(UsageError, match=f"{challenger} must not answer: ann refused it after round 1"):
        start(project, challenger, mode="split", **ANSWER)
    assert running_canary(project.store) is None
    assert begun.number == done.canary.number


def test_a_refusal_leaves_the_champion_and_is_final(project):
    result = refuse(project, 1, by="ann", reason="not before the audit")
    assert (result.approval, result.exit_code, result.champion) == ("refused", 3, "base")
    assert champion(project.store).name == "base"
    assert refuse(project, 1, by="ann", reason="again") == result
    for act, by in ((approve, "ann"), (refuse, "bob")):
        with pytest.raises(UsageError, match="round 1 was refused by ann"):
            act(project, 1, by=by, reason="another mind")
    assert [entry.kind for entry in entries(project.store.db)].count("refusal") == 1
    assert check_log(project).breaks == ()


def test_a_round_that_was_judged_against_another_champion_is_stale(project):
    other = replace(get(project.store, waiting(project)[0].challenger), name="other", created_at="")
    register(project.store, other)
    promote(project.store, "other", "an emergency", "bob")
    assert is_stale(project, waiting(project)[0])
    with pytest.raises(UsageError, match="judged against base, and other is champion now") as caught:
        approve(project, 1, **ANSWER)
    assert "burnish round --again" in caught.value.hint
    assert champion(project.store).name == "other"
    assert all(entry.kind != "approval" for entry in entries(project.store.db))
    assert refuse(project, 1, **ANSWER).approval == "refused"


def test_only_those_who_may_approve_and_only_what_waits(project):
    named = open_project(project.folder, ["approval.by=[ann, eve]"])
    with pytest.raises(UsageError, match="bob may not approve") as caught:
        approve(named, 1, by="bob", reason="x")
    assert "ann, eve" in caught.value.hint
    add_user(project.store, "ann", "engineer")
    add_user(project.store, "eve", "approver")
    for by, words in (("ann", "ann has the role engineer"), ("bob", "there is no user bob"), (" ", "asks for an app")):
        with pytest.raises(UsageError, match=words):
            approve(project, 1, by=by, reason="x")
    with pytest.raises(UsageError, match="needs a reason"):
        approve(project, 1, by="eve", reason=" ")
    with pytest.raises(UsageError, match="there is no round 7"):
        approve(project, 7, by="eve", reason="x")
    assert champion(project.store).name == "base"
    assert approve(named, 1, by="eve", reason="x").approval == "approved"


def test_a_promotion_by_hand_needs_an_approver_too_and_a_rollback_does_not(project):
    challenger = waiting(project)[0].challenger
    with pytest.raises(UsageError, match=r"approval\.required"):
        promote_by_hand(project, challenger, reason="now", force=True)
    assert champion(project.store).name == "base"
    promote_by_hand(project, challenger, reason="now", force=False, by="ann")
    last = history(project.store)[-1]
    assert (last.after, last.by) == (challenger, "ann, by hand")
    entry = next(one for one in entries(project.store.db) if one.kind == "approval")
    assert (entry.subject, entry.facts["by"], entry.facts["challenger"]) == ("approval of move 2", "ann", challenger)
    rollback(project.store, "complaints")
    assert champion(project.store).name == "base"
    assert check_log(project).breaks == ()


@pytest.mark.parametrize("act", [approve, refuse])
def test_a_kill_anywhere_is_mended_by_the_same_answer(act, waiting_once, tmp_path):
    whole = Path(shutil.copytree(waiting_once, tmp_path / "whole"))
    act(open_project(whole), 1, **ANSWER)
    expected = state(whole)
    moves = ("promote.history", "promote.pointer", "approval.written") if act is approve else ("approval.refused",)
    for name in (*moves, "chain.entry", "db.commit", "db.committed", "approval.rendered"):
        folder = Path(shutil.copytree(waiting_once, tmp_path / name))
        killed = in_child(lambda folder=folder: act(open_project(folder), 1, **ANSWER), f"{name}=kill")
        assert killed == KILLED, f"{name} was never reached"
        act(open_project(folder), 1, **ANSWER)
        assert state(folder) == expected, name


def test_a_round_finishes_the_files_of_an_answer_that_was_killed(project):
    code = in_child(lambda: approve(project, 1, **ANSWER), "approval.written=kill")
    assert (code, results(project)[0].approval, waiting(project)) == (KILLED, "waiting", [])
    run_round(project, Silence())
    assert results(project)[0].approval == "approved"


def test_a_round_on_disk_that_says_something_else_than_the_log_is_told(project):
    path = round_folder(project, 1) / RESULT_FILE
    told = json.loads(path.read_text(encoding="utf-8"))
    for change, words in (
        ({"decision": "HOLD"}, "round 1 on disk differs from entry"),
        ({"approval": "approved"}, "round 1 on disk says approved, and no entry does"),
    ):
        path.write_text(json.dumps(told | change), encoding="utf-8")
        assert any(one.what.startswith(words) for one in check_log(project).breaks)
    path.unlink()
    assert [one.what[:8] for one in check_log(project).breaks] == ["entry 3 "]
