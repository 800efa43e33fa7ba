"""Served answers become questions once, and rows when people have answered; none that measures or was forgotten."""

from dataclasses import replace
from pathlib import Path

import pytest

from burnish.data.provenance import provenance
from burnish.errors import UsageError, WaitingError
from burnish.loop.canary import unfit
from burnish.loop.decided import example_of
from burnish.loop.forget import forget
from burnish.loop.kept import learned_since
from burnish.loop.past import DONE_FILE, RESULT_FILE, round_folder
from burnish.loop.project import Project
from burnish.loop.result import save_result
from burnish.loop.reviewing import plan_traffic
from burnish.loop.round import run_round
from burnish.loop.seeds import gather
from burnish.loop.served import ask_about_traffic
from burnish.loop.standing import promote_by_hand
from burnish.records import Message
from burnish.registry import get, register
from burnish.store.claims import Wish, decide_item, undo_decision
from burnish.store.reviews import ReviewItem, add_items, review_items
from burnish.store.traffic import Remark, Spoken, append_feedback, append_traffic, find_traffic
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.loop.conftest import TOPICS
from tests.loop.test_decisions import desk

LATER = "2999-01-01T00:00:00+00:00"


@pytest.fixture
def project(tmp_path: Path, small_base: Path) -> Project:
    return desk(tmp_path / "desk", small_base, 90)


@pytest.fixture
def writing(tmp_path: Path, small_base: Path) -> Project:
    """A project whose answers are texts."""
    return desk(tmp_path / "desk", small_base, 90, task__kind="text")


def serve(project: Project, name: str, text: str, said: str = "", **changes) -> str:
    """Keeps an answer as the server does."""
    fields = {"answer": next(iter(TOPICS)), "logprob": -0.1, "num_answer": 1, "probability": 0.5} | changes
    turns = (Message(role="user", content=text),)
    row = Spoken(
        response_id=name, at="2026-11-30T12:00:00+00:00", model="m", messages=turns, expires_at=LATER, **fields
    )
    append_traffic(project.store, [row])
    if said:
        append_feedback(project.store, name, [Remark("down") if said == "down" else Remark("correction", said)])
    return example_of(name)


def answer(project: Project, item: ReviewItem, kind: str, text: str = "") -> None:
    for number in range(item.wanted):
        decide_item(project.store, item.name, f"reviewer {number}", 1, Wish(kind, text), now_s=0.0)


def own(project: Project):
    """What served answers teach."""
    return [row for row in gather(project).learned if provenance(row) == "traffic"]


def test_what_users_objected_to_is_asked_first_and_nothing_twice_and_a_label_is_asked_blind(project):
    calm = [serve(project, f"calm-{at}", f"a plain question of number {at} about wheels") for at in range(24)]
    down = serve(project, "down", "my invoice shows a stranger's name", "down")
    fixed = serve(project, "fixed", "the lamp on the roof is broken", "right")
    doubtful = serve(project, "doubtful", "can I pay with shells", logprob=-9.0)
    items = plan_traffic(project, count=8).items
    assert {down, fixed, doubtful} < {one.example for one in items}
    assert [one.example for one in sorted(items, key=lambda one: -one.value)[:3]] == [fixed, down, doubtful]
    assert len({one.example for one in items} & set(calm)) == 5
    assert {(one.queue, one.purpose, one.draft) for one in items} == {("blind", "traffic", "")}
    drawn = [one.probability for one in items if one.example in calm]
    assert drawn == [pytest.approx(0.5 * 5 / 24)] * 5
    more = plan_traffic(project, count=40)
    assert more.num_new == len(more.items) == 19
    assert plan_traffic(project, count=40).items == ()


def test_people_make_a_row_of_it_that_counts_as_theirs_and_a_users_correction_is_a_draft(writing):
    serve(writing, "a", "my invoice shows a stranger's name", "Sorry, we send a new one.", answer="Fine.")
    serve(writing, "b", "the lamp on the roof is broken", answer="Somebody comes on Monday.")
    first, second = sorted(plan_traffic(writing, count=2).items, key=lambda one: one.example)
    assert (first.queue, first.draft, first.draft_by) == ("correction", "Sorry, we send a new one.", "")
    assert (second.draft, second.draft_by, second.given) == (("Somebody comes on Monday."), "m", second.draft)
    assert own(writing) == [], "a user's word alone teaches nothing"
    answer(writing, first, "accept")
    answer(writing, second, "edit", "Somebody comes on Tuesday.")
    assert sorted(row.answer for row in own(writing)) == ["Somebody comes on Tuesday.", "Sorry, we send a new one."]
    (pair,) = gather(writing).decided.pairs
    assert (pair.chosen, pair.rejected) == ("Somebody comes on Tuesday.", "Somebody comes on Monday.")


def test_a_label_that_people_give_trains_and_one_out_of_scope_does_not(project):
    serve(project, "a", "my invoice shows a stranger's name")
    serve(project, "b", "what is the capital of France")
    items = {one.example: one for one in plan_traffic(project, count=2).items}
    answer(project, items[example_of("a")], "label", "parcel" if "parcel" in TOPICS else list(TOPICS)[-1])
    answer(project, items[example_of("b")], "out-of-scope")
    (row,) = own(project)
    assert row.group == example_of("a")
    assert row.answer in TOPICS


def test_a_prompt_that_measures_or_trains_already_is_not_asked_and_teaches_nothing_if_it_was(project):
    seeds = gather(project)
    for at, role in enumerate(("train", "dev_a", "dev_b", "vault_1")):
        serve(project, f"known-{at}", seeds.of(role)[0].prompt[-1].content)
    sealed = seeds.of("vault_1")[1].prompt[-1].content
    serve(project, "near", f"{sealed} !")
    serve(project, "raw", "a text that goes on", endpoint="completions")
    assert plan_traffic(project, count=40).items == ()
    prompt = (Message(role="user", content=f"{sealed} !"),)
    asked = ReviewItem(
        name="x", queue="blind", purpose="traffic", example="traffic:near", role="train", messages=prompt
    )  # asked about before the text was added to what measures
    add_items(project.store, [asked])
    answer(project, asked, "label", next(iter(TOPICS)))
    assert own(project) == []


def test_a_forgotten_answer_leaves_the_traffic_the_queue_and_what_is_learned_even_after_a_kill(project):
    name = serve(project, "a", "my invoice shows a stranger's name", "down")
    (item,) = plan_traffic(project, count=1).items
    answer(project, item, "label", next(iter(TOPICS)))
    assert len(own(project)) == 1
    assert in_child(lambda: forget(project, name), "forget.barred=kill") == KILLED
    found = forget(project, name, reason="asked for")
    assert [row.example for row in found.rows] == [name]
    assert find_traffic(project.store, ["a"]) == {}
    assert own(project) == []
    serve(project, "a", "my invoice shows a stranger's name")  # a log imported again
    assert plan_traffic(project, count=1).items == ()
    with pytest.raises(UsageError, match="there is no served answer 'none'"):
        forget(project, "traffic:none")


def test_a_model_that_learned_from_a_served_answer_forgotten_since_is_kept_out_and_later_ones_are_not(project):
    name = serve(project, "a", "my invoice shows a stranger's name", "down")
    (item,) = plan_traffic(project, count=1).items
    answer(project, item, "label", next(iter(TOPICS)))
    result, _ = run_round(project, Silence())
    made = get(project.store, result.challenger)
    for number in range(item.wanted):  # what is taken back later was learned all the same
        undo_decision(project.store, item.name, f"reviewer {number}", 1, now_s=0.0)
    forget(project, name)
    register(project.store, replace(made, name="later", created_at=LATER))
    folder = round_folder(project, 2)
    folder.mkdir()
    save_result(folder / RESULT_FILE, replace(result, round=2, challenger="later"))
    (folder / DONE_FILE).touch()
    assert learned_since(project) == {made.name: 1}
    with pytest.raises(UsageError, match="learned from 1 row that was forgotten since"):
        promote_by_hand(project, made.name, reason="it was good", force=True)
    assert unfit(project, made) == "it learned 1 of the rows that were forgotten since"
    promote_by_hand(project, "later", reason="it left it out", force=True)


def test_a_round_from_traffic_asks_once_and_waits_for_the_answers(project):
    for name in "abc":
        serve(project, name, f"my invoice of {name * 5} shows a stranger's name in its {name} column")
    for _ in range(2):
        with pytest.raises(WaitingError, match="answers of people about served answers"):
            ask_about_traffic(project, 2, Silence())
    (left,) = plan_traffic(project, count=9).items
    assert left.purpose == "traffic"
    for item in review_items(project.store):
        answer(project, item, "label", next(iter(TOPICS)))
    ask_about_traffic(project, 2, Silence())
    assert len(own(project)) == 3
