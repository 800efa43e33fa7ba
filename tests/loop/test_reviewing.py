"""People are asked about what trains and shown nothing of what measures; what they decide can be taken back."""

from dataclasses import replace
from pathlib import Path

import pytest

from burnish.data.intake import add_files
from burnish.errors import BusyError, UsageError
from burnish.loop.asked import review_status
from burnish.loop.auditing import held_batches
from burnish.loop.decided import BY, corrected, release_audits, rows_of_decisions
from burnish.loop.project import Project, create_project
from burnish.loop.reviewing import claim, decide, plan_reviews, preference_items, refuse_measuring
from burnish.loop.seeds import gather
from burnish.loop.synthesizing import synthesize_project
from burnish.loop.task import task_of_project
from burnish.records import Evaluation, Interval, Message, RowResult
from burnish.store.audits import audits
from burnish.store.barred import bar
from burnish.store.claims import Wish, undo_decision
from burnish.store.reviews import ReviewItem, add_items, review_items
from burnish.store.roles import append_roles
from burnish.talk import Silence
from tests.loop.conftest import small_settings, write_rows


@pytest.fixture
def project(tmp_path: Path, small_base: Path) -> Project:
    """150 rows, one in six of them with a wrong label."""
    made = create_project(tmp_path / "desk", small_settings(small_base))
    file = write_rows(tmp_path / "rows.jsonl", 150)
    lines = file.read_text().splitlines()
    for number in range(0, 150, 6):
        lines[number] = lines[number].replace('"label": "payment"', '"label": "login"')
    file.write_text("\n".join(lines) + "\n")
    add_files(made.store, made.settings, [file], Silence(), skip_bad=False)
    return made


def asked(name: str, example: str, role: str, **changes) -> ReviewItem:
    fields = {"queue": "correction", "purpose": "gold", "draft": "login", "given": "login", **changes}
    prompt = (Message(role="user", content=f"question {name}"),)
    return ReviewItem(name=name, example=example, role=role, messages=prompt, **fields)


def answer(project: Project, name: str, by: str, kind: str, text: str = "", turn: int = 1) -> None:
    decide(project, task_of_project(project), name, by, turn, Wish(kind, text, seconds=30.0), now_s=0.0)


def test_a_plan_asks_blind_about_dev_a_suggests_on_train_alone_and_adds_nothing_twice(project):
    found = plan_reviews(project, count=60)
    assert found.num_new == len(found.items) > 0
    assert plan_reviews(project, count=60).num_new == 0
    seeds = gather(project)
    roles = {row.id: role for role, rows in seeds.by_role.items() for row in rows}
    assert {(one.queue, roles[one.example]) for one in found.items} == {("blind", "dev_a"), ("correction", "train")}
    assert all(not one.draft for one in found.items if one.queue == "blind")
    assert all(one.probability for one in found.items if one.purpose == "calibration")
    assert all(one.reason.startswith("Asked because") for one in found.items)
    answers = {row.id: row.answer for row in seeds.of("train")}
    assert any(one.is_check for one in found.items)
    assert all(one.draft != answers[one.example] for one in found.items if one.is_check)


@pytest.mark.parametrize(("role", "queue"), [("dev_b", "blind"), ("vault_1", "blind"), ("dev_a", "correction")])
def test_a_row_that_measures_cannot_be_asked_about_with_a_suggestion_or_at_all(role, queue):
    with pytest.raises(AssertionError):
        refuse_measuring([asked("a", "row", role, queue=queue)])


def test_a_label_that_the_task_does_not_have_is_refused(project):
    add_items(project.store, [asked("a", "row", "train")])
    with pytest.raises(UsageError, match="no label of this task") as caught:
        answer(project, "a", "ann", "edit", "no-such-label")
    assert "appeal" in caught.value.hint


def test_a_claim_takes_from_the_queue_that_people_gave_least_to(project):
    items = [asked(f"c{n}", "row", "train") for n in range(3)]
    add_items(project.store, [*items, asked("b0", "row", "dev_a", queue="blind", draft="")])
    for number in range(2):
        answer(project, f"c{number}", "ann", "accept")
    assert [one.item.name for one in claim(project, "ann", now_s=0.0, count=2)] == ["b0", "c2"]


def test_whoever_takes_over_wrong_drafts_gets_questions_without_drafts(project):
    items = [asked(f"k{n}", "row", "train", is_check=True) for n in range(5)]
    add_items(project.store, [*items, asked("c", "row", "train"), asked("b", "row", "dev_a", queue="blind", draft="")])
    for number in range(5):
        answer(project, f"k{number}", "ann", "accept" if number < 2 else "edit", "" if number < 2 else "appeal")
        add_items(project.store, [asked(f"again{number}", "row", "train", is_check=True)])
        answer(project, f"again{number}", "bob", "edit", "appeal")
    assert [one.item.name for one in claim(project, "ann", now_s=0.0, count=2)] == ["b"]
    assert [one.item.name for one in claim(project, "bob", now_s=0.0, count=2)] == ["c"]


def test_a_correction_on_train_becomes_a_row_and_a_new_answer_until_it_is_taken_back(project):
    row = gather(project).of("train")[0]
    right = "appeal" if row.answer != "appeal" else "login"
    item = asked("a", row.id, "train", draft=row.answer, given=row.answer)
    add_items(project.store, [item, replace(item, name="check", is_check=True, example="other")])
    answer(project, "a", "ann", "edit", right)
    answer(project, "check", "ann", "edit", right)
    found = rows_of_decisions(project)
    assert found.corrections == {row.id: right}
    assert [(one.group, one.answer) for one in found.rows] == [(row.id, right)]
    assert [(one.answer, one.is_good) for one in found.judged] == [(row.answer, False)]
    assert found.pairs == ()  # the draft was the answer on file, which no model wrote
    assert corrected([row], found.corrections)[0].answer == right
    assert corrected([row], found.corrections)[0].prompt == row.prompt
    undo_decision(project.store, "a", "ann", 1, now_s=0.0)
    assert rows_of_decisions(project).corrections == {}


def test_an_answer_of_dev_a_changes_only_when_two_reviewers_say_the_same(project):
    row = gather(project).of("dev_a")[0]
    right = "appeal" if row.answer != "appeal" else "login"
    add_items(project.store, [asked("a", row.id, "dev_a", queue="blind", draft="", given=row.answer, wanted=2)])
    answer(project, "a", "ann", "label", right)
    assert rows_of_decisions(project).corrections == {}
    answer(project, "a", "bob", "label", right)
    found = rows_of_decisions(project)
    assert found.corrections == {row.id: right}
    assert found.rows == found.pairs == found.judged == ()


def test_two_that_disagree_are_settled_by_a_third_that_the_next_plan_asks(project):
    row = gather(project).of("dev_a")[0]
    add_items(project.store, [asked("a", row.id, "dev_a", queue="blind", draft="", given=row.answer, wanted=2)])
    answer(project, "a", "ann", "label", "login")
    answer(project, "a", "bob", "label", "appeal")
    (third,) = plan_reviews(project, count=0).items
    assert (third.settles, third.not_by) == ("a", ("ann", "bob"))
    assert claim(project, "bob", now_s=0.0) == []
    assert [one.item.name for one in claim(project, "cy", now_s=0.0)] == [third.name]
    answer(project, third.name, "cy", "label", "appeal")
    assert rows_of_decisions(project).corrections == ({row.id: "appeal"} if row.answer != "appeal" else {})


@pytest.mark.parametrize("role", ["vault_2", "dev_b", "audit"])
def test_what_was_asked_about_a_row_that_measures_from_now_on_is_shown_to_nobody_any_more(project, role):
    moved, stays = (row.id for row in gather(project).of("train")[:2])
    items = [asked(name, moved, "train") for name in ("held", "decided", "doubled")]
    items = [*items[:2], replace(items[2], wanted=2), asked("other", stays, "train")]
    add_items(project.store, items)
    answer(project, "decided", "ann", "accept")
    answer(project, "doubled", "cy", "accept")
    answer(project, "doubled", "eve", "reject")
    held = {one.item.name for one in claim(project, "ann", now_s=0.0, count=4)}
    assert held == {"held", "other"}
    append_roles(project.store, {moved: role}, reason="sealed")
    assert [one.item.name for one in claim(project, "ann", now_s=1.0, count=4)] == ["other"]
    assert [one.item.name for one in claim(project, "bob", now_s=1000.0, count=4)] == ["other"]
    with pytest.raises(BusyError, match="no longer asked: its row measures now"):
        answer(project, "held", "ann", "accept")
    undo_decision(project.store, "decided", "ann", 1, now_s=0.0)
    assert [one.item.name for one in claim(project, "ann", now_s=1000.0, count=4)] == []
    assert plan_reviews(project, count=0).items == (), "two disagree on it, and nobody is asked to settle that"
    assert {one.example for one in review_items(project.store, with_withdrawn=False)} == {stays}
    append_roles(project.store, {stays: "dev_a"}, reason="ages")
    assert len(review_items(project.store, with_withdrawn=False)) == 1
    bar(project.store, {stays: "rows.jsonl"}, asked=stays, reason="asked for")
    assert claim(project, "bob", now_s=1000.0) == []


def test_an_edit_of_what_a_model_wrote_and_a_preference_become_pairs(project):
    row = gather(project).of("train")[0]
    pair = asked("p", row.id, "train", queue="preference", purpose="preference", other="appeal", draft_by="m1")
    add_items(project.store, [asked("a", row.id, "train", draft_by="m1"), pair])
    answer(project, "a", "ann", "edit", "payment")
    answer(project, "p", "ann", "prefer-b")
    told = [(one.chosen, one.rejected) for one in rows_of_decisions(project).pairs]
    assert told == [("payment", "login"), ("appeal", "login")]


def test_pairs_are_of_rows_that_train_and_on_which_two_models_differ(project):
    seeds = gather(project)
    rows = [*seeds.of("train")[:4], *seeds.of("dev_a")[:2]]
    first = evaluation("one", {row.id: "login" for row in rows})
    second = evaluation("two", {row.id: "login" if at == 0 else "appeal" for at, row in enumerate(rows)})
    found = preference_items(seeds, first, second, 10, seed=0)
    assert {one.example for one in found} == {row.id for row in rows[1:4]}
    assert {(one.draft, one.draft_by) for one in found} <= {("login", "one"), ("appeal", "two")}


def evaluation(model: str, outputs: dict[str, str]) -> Evaluation:
    rows = tuple(
        RowResult(example=name, prompt="", output=output, expected="", score=0.0) for name, output in outputs.items()
    )
    nothing = Interval(value=None, low=None, high=None, n=0)
    return Evaluation(
        model=model, model_hash="", template_hash="", metric="accuracy", rows=rows, overall=nothing, slices={}
    )


def test_the_audit_of_a_batch_is_judged_when_the_last_answer_is_there_and_taken_back_with_it(project):
    assert synthesize_project(project, Silence()) is not None
    plan_reviews(project, count=0)
    items = review_items(project.store)
    assert {(one.purpose, one.queue, one.draft) for one in items} == {("audit", "blind", "")}
    for one in items[:-1]:
        answer(project, one.name, "ann", "label", one.given)
    assert release_audits(project) == []
    assert [one.num_waiting for one in review_status(project).queues if one.queue == "blind"] == [1]
    answer(project, items[-1].name, "ann", "label", items[-1].given)
    (audit,) = release_audits(project)
    assert (audit.by, audit.n, audit.correct) == (BY, len(items), len(items))
    assert release_audits(project) == [audit]
    assert len(audits(project.store)) == 1
    undo_decision(project.store, items[0].name, "ann", 1, now_s=0.0)
    assert [one.status for one in release_audits(project)] == ["not audited"]
    assert [held.audit.status for held in held_batches(project)] == ["not audited"]

    answer(project, items[0].name, "ann", "skip", turn=3)
    (audit,) = release_audits(project)
    assert (audit.correct, audit.wrong) == (len(items) - 1, (items[0].example,)), (
        "left out, the bound would be too high"
    )
    assert audit.note.endswith("1 row was skipped by everybody, which counts as not right")
    assert [(one.num_waiting, one.num_skipped) for one in review_status(project).queues if one.queue == "blind"] == [
        (1, 1)
    ]
    add_items(project.store, [asked("audited", "other", "synthetic", purpose="audit", batch=items[0].batch)])
    answer(project, "audited", "bob", "accept")
    assert release_audits(project) == [audit], "a newcomer undoes no audit"
    answer(project, items[0].name, "bob", "label", items[0].given)
    (audit,) = release_audits(project)
    assert audit.correct == len(items), "an answer does"
