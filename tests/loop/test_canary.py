"""A canary goes up on proven benefit, back on proven harm, once each whatever dies, and never past an approval."""

import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import insert

from burnish.config import Settings
from burnish.errors import UsageError
from burnish.loop.canary import start, step, stop
from burnish.loop.integrity import check_log
from burnish.loop.kept import roll_back
from burnish.loop.outcomes import look
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.standing import promote_by_hand
from burnish.records import ModelVersion
from burnish.registry import champion, history, promote, register, rollback
from burnish.store.deployments import Canary, canaries, place_of, running_canary
from burnish.store.outcomes import CanaryOutcome, add_shadow, canary_outcomes, conversation_hash
from burnish.store.tables import traffic_feedback
from burnish.store.traffic import Remark, Spoken, append_feedback, append_traffic
from tests.child import KILLED, in_child
from tests.cli.calls import burnish

PLACES = ("canary.outcomes", "canary.weighed", "canary.move", "chain.entry", "promote.pointer", "canary.promoted")
"""Failpoints between the evidence and the end of a canary."""
WHO = {"by": "ann", "reason": "the gate passed it"}
FORMER = ModelVersion(
    name="old", round=0, adapter_hash="", artifact="", base="b", base_hash="b", template_hash="t", decision="PROMOTE"
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return made(tmp_path / "desk")


def made(folder: Path, **changes: object) -> Project:
    """A project with a champion "old" and a version "new" that the gate passed; no weights, as nothing answers here."""
    small = {"project": "small", "canary.shares": [0.3, 0.6], "canary.least": 5}
    project = create_project(folder, settings_with(Settings(), small | changes))
    for name in ("old", "new"):
        register(project.store, replace(FORMER, name=name))
    register(project.store, replace(FORMER, name="held", decision="HOLD"))
    promote(project.store, "old", "first", "gate")
    return project


def talked(project: Project, canary: Canary, remarks: dict[bool, Remark], size: int, start: int = 0) -> None:
    """As many conversations, each with the version to which chance gives it, and what their users say by version."""
    rows, feedback = [], []
    for number in range(start, start + size):
        is_challenger = place_of(canary, f"key {number}") < canary.share
        model = canary.challenger if is_challenger else canary.against
        rows.append(spoken(f"r{number}", model, f"key {number}"))
        feedback.append({"response_id": f"r{number}", "model": model, **remarks[is_challenger]._asdict(), "at": "2026"})
    append_traffic(project.store, rows)
    with project.store.db.write() as connection:  # at once, as each by itself would wait for the disk
        connection.execute(insert(traffic_feedback), feedback)


def said(project: Project, name: str, model: str, key: str, *remarks: Remark) -> None:
    """One answer and what its user says of it."""
    append_traffic(project.store, [spoken(name, model, key)])
    append_feedback(project.store, name, remarks)


def spoken(name: str, model: str, key: str) -> Spoken:
    return Spoken(response_id=name, at="2026", model=model, conversation=key, answer="yes", expires_at="2999")


BETTER = {True: Remark("up"), False: Remark("down")}
WORSE = {True: Remark("down"), False: Remark("up")}


def test_proven_benefit_goes_up_stage_by_stage_and_then_promotes(project):
    canary = start(project, "new", mode="split", **WHO)
    talked(project, canary, BETTER, 20)
    assert (step(project).act, running_canary(project.store).share) == ("kept", 0.3)
    talked(project, canary, BETTER, 60, start=20)
    done = step(project)
    assert (done.act, done.canary.share, done.found.gain.value) == ("ramped", 0.6, 1.0)
    assert step(project).act == "kept", "a stage needs outcomes of its own"
    assert champion(project.store).name == "old"
    talked(project, done.canary, BETTER, 30, start=80)
    done = step(project)
    assert (done.act, done.canary.moves[-1].outcome, champion(project.store).name) == ("ended", "promoted", "new")
    assert history(project.store)[-1].by == "canary 1"
    assert history(project.store)[-1].reason.startswith("benefit is proven: +100.0 points [")
    assert step(project).act == "none"
    assert check_log(project).breaks == ()
    assert rollback(project.store, "second thoughts").name == "old"


def test_proven_harm_goes_back_and_the_champion_never_moves(project):
    canary = start(project, "new", mode="split", **WHO)
    talked(project, canary, WORSE, 70)
    done = step(project)
    assert (done.act, done.canary.moves[-1].outcome, done.canary.share) == ("ended", "rolled back", 0.0)
    assert done.canary.moves[-1].harm >= 20
    assert [move.after for move in history(project.store)] == ["old"]
    call = burnish("deploy", "status", "--project", project.folder, "--json")
    assert (call.data["running"], call.data["canaries"][0]["outcome"]) == (None, "rolled back")


def test_where_approval_is_required_it_starts_and_ends_with_an_approver(tmp_path):
    project = made(tmp_path / "desk", **{"approval.required": True, "approval.by": ["eve"], "canary.shares": [0.3]})
    with pytest.raises(UsageError, match="ann may not approve"):
        start(project, "new", mode="split", **WHO)
    canary = start(project, "new", mode="split", by="eve", reason="try it")
    talked(project, canary, BETTER, 80)
    call = burnish("deploy", "step", "--project", project.folder, "--json")
    assert (call.code, champion(project.store).name) == (4, "old")
    assert burnish("deploy", "new", "--by", "ann", "--reason", "good", "--project", project.folder).code == 2
    assert burnish("deploy", "new", "--by", "eve", "--reason", "good", "--project", project.folder).code == 0
    assert champion(project.store).name == "new"
    assert canaries(project.store)[0].moves[-1].outcome == "promoted"
    assert check_log(project).breaks == ()


def state(folder: Path) -> dict[str, object]:
    """What a user has in the end."""
    project = open_project(folder)
    return {
        "champion": champion(project.store).name,
        "moves": [(move.after, move.by) for move in history(project.store)],
        "canary": [(m.turn, m.kind, m.outcome) for one in canaries(project.store) for m in one.moves],
        "outcomes": [canary_outcomes(project.store, one) for one in canaries(project.store)],
        "log": check_log(project).breaks,
    }


@pytest.fixture(scope="module", params=["better", "worse"])
def weighed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A canary whose evidence is there and was not looked at."""
    project = made(tmp_path_factory.mktemp("weighed") / "desk", **{"canary.shares": [0.3]})
    canary = start(project, "new", mode="split", **WHO)
    talked(project, canary, BETTER if request.param == "better" else WORSE, 80)
    return project.folder


def test_a_kill_anywhere_between_evidence_and_move_leaves_one_move(weighed, tmp_path):
    numbers = count()

    def copy() -> Path:
        return Path(shutil.copytree(weighed, tmp_path / str(next(numbers))))

    whole = copy()
    step(open_project(whole))
    expected = state(whole)
    is_promoted = expected["champion"] == "new"
    assert expected["canary"][-1][1:] == ("ended", "promoted" if is_promoted else "rolled back")
    for place in PLACES if is_promoted else PLACES[:4]:
        folder = copy()
        assert in_child(lambda at=folder: step(open_project(at)), f"{place}=kill") == KILLED, place
        step(open_project(folder))
        assert state(folder) == expected, place


REFUSALS = [
    ("nwe", {}, "there is no model 'nwe'"),
    ("held", {}, "the gate did not pass held: its verdict was HOLD"),
    ("old", {}, "old is the champion"),
    ("new", {"reason": " "}, "a canary needs a reason"),
    ("new", {"by": ""}, "is no name"),
]


@pytest.mark.parametrize(("name", "changes", "told"), REFUSALS)
def test_what_cannot_be_tried_out_is_told(project, name, changes, told):
    with pytest.raises(UsageError, match=told):
        start(project, name, mode="split", **WHO | changes)
    assert canaries(project.store) == []
    start(project, "held", mode="split", force=True, **WHO)
    with pytest.raises(UsageError, match="a canary of held runs already"):
        start(project, "new", mode="split", **WHO)


def test_a_person_ends_it_with_a_reason_and_another_champion_ends_it_too(project):
    start(project, "new", mode="split", **WHO)
    with pytest.raises(UsageError, match="needs a reason"):
        stop(project, by="ann", reason="")
    assert stop(project, by="ann", reason="the desk is closed").moves[-1].outcome == "stopped"
    with pytest.raises(UsageError, match="no canary runs"):
        stop(project, by="ann", reason="again")
    start(project, "new", mode="split", **WHO)
    promote_by_hand(project, "held", by="ann", reason="a deadline", force=True)
    last = canaries(project.store)[-1].moves[-1]
    assert (last.outcome, last.reason) == ("stopped", "the champion is held, and no longer old")
    start(project, "new", mode="split", **WHO)
    assert roll_back(project, reason="worse").after == "old"
    last = canaries(project.store)[-1].moves[-1]
    assert (last.outcome, last.reason) == ("stopped", "the champion is old, and no longer held")
    assert running_canary(project.store) is None, "going back revives none"


def test_each_conversation_counts_once_and_only_where_chance_gave_it_its_version(project):
    canary = start(project, "new", mode="split", **WHO)
    low, high = (
        next(f"k{n}" for n in range(99) if (place_of(canary, f"k{n}") < 0.3) is is_low) for is_low in (True, False)
    )
    said(project, "a", "new", low, Remark("up"))
    said(project, "b", "new", low, Remark("down"))
    said(project, "c", "old", high, Remark("text", "so-so"), Remark("outcome", "Escalated"))
    said(project, "d", "new", f"{high}", Remark("up"))
    said(project, "e", "old", low, Remark("up"))
    step(project)
    assert canary_outcomes(project.store, canary) == [
        CanaryOutcome(conversation_hash(canary, low), True, 1.0, 1),
        CanaryOutcome(conversation_hash(canary, high), False, 0.0, 4),
    ]


def test_scores_of_a_judge_or_of_people_are_outcomes_too(project, tmp_path):
    canary = start(project, "new", mode="split", **WHO)
    talked(project, canary, {True: Remark("text", "hm"), False: Remark("text", "hm")}, 70)
    file, where = tmp_path / "scores.jsonl", ("--project", project.folder)
    values = {f"r{n}": 0.25 if place_of(canary, f"key {n}") < 0.3 else 0.75 for n in range(70)} | {"gone": 1.0}
    file.write_text("".join(f'{{"response_id": "{name}", "value": {value}}}\n' for name, value in values.items()))
    for new in (70, 0):
        data = burnish("deploy", "outcomes", file, *where, "--json").data
        assert (data["read"], data["new"]) == (71, new)
    found = look(project, canary)
    assert (found.gain.value, found.num_challenger + found.num_champion) == (-0.5, 70)
    for line, told in (('{"value": 1}', ":1 is no score"), ('{"response_id": "r1", "value": -1}', "has the value -1")):
        file.write_text(line)
        call = burnish("deploy", "outcomes", file, *where)
        assert (call.code, told in call.err) == (65, True)


def test_a_shadow_is_compared_where_the_right_answer_is_told(project):
    canary = start(project, "new", mode="shadow", **WHO)
    for name, theirs, remark in (
        ("same", "Yes", Remark("up")),
        ("worse", "no", Remark("up")),
        ("better", "no", Remark("correction", "no")),
        ("unknown", "no", Remark("down")),
        ("alone", None, Remark("up")),
    ):
        if theirs is not None:
            add_shadow(project.store, canary, name, theirs, "yes")
        said(project, name, "old", name, remark)
    assert step(project).act == "kept"
    assert [one.value for one in canary_outcomes(project.store, canary)] == [0.0, -1.0, 1.0]
    stop(project, by="ann", reason="seen enough")
    texts = replace(project, settings=settings_with(project.settings, {"task.kind": "text"}))
    with pytest.raises(UsageError, match="free texts are hardly ever equal"):
        start(texts, "new", mode="shadow", **WHO)


def test_the_commands_tell_people_and_scripts(project):
    where = ("--project", project.folder)
    assert burnish("deploy", "status", *where).err.startswith("there was no canary yet")
    assert burnish("deploy", "step", *where, "--json").data == {"schema_version": 1, "act": "none"}
    words = ("--by", "ann", "--reason", "it passed")
    assert "--shadow says how a canary runs" in burnish("deploy", "new", "--shadow", *words, *where).err
    call = burnish("deploy", "new", "--canary", *words, *where)
    assert (call.code, call.out) == (0, "canary of new against old: at 30%\n")
    assert "no outcome yet; 20 is proof of either" in call.err
    assert "serve.traffic.keep is off" in call.err
    data = burnish("deploy", "status", *where, "--json").data
    assert data["running"] == data["canaries"][0]
    assert (data["running"]["share"], data["running"]["outcome"], data["running"]["gain"]["n"]) == (0.3, "running", 0)
    talked(project, running_canary(project.store), WORSE, 70)
    call = burnish("deploy", "step", *where, "--json")
    assert (call.code, call.data["act"], call.data["outcome"], call.data["share"]) == (3, "ended", "rolled back", 0.0)
    assert burnish("deploy", "stop", *words, *where).code == 2
