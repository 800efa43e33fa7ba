"""A question is closed once everybody who may answer it has skipped it, and open again with anybody who might."""

import pytest

from burnish.review.decisions import outcomes
from burnish.review.skipped import unanswerable
from burnish.store.claims import Wish, decide_item, undo_decision
from burnish.store.reviews import ReviewItem, add_items, review_items, review_log
from burnish.store.store import Store, open_store
from burnish.store.users import add_user, remove_user
from tests.review.test_claims import item


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(tmp_path)


def ask(store: Store, *items: ReviewItem) -> None:
    add_items(store, items)


def say(store: Store, name: str, by: str, kind: str = "skip", text: str = "") -> None:
    decide_item(store, name, by, 1, Wish(kind, text), now_s=0.0)


def closed(store: Store) -> set[str]:
    return set(unanswerable(store, outcomes(review_items(store), review_log(store))))


def audit(name: str, batch: str = "b1", **changes) -> ReviewItem:
    return item(name, purpose="audit", batch=batch, **changes)


def test_a_question_is_closed_when_the_last_of_those_who_take_part_skips_it_and_opens_with_a_newcomer(store):
    ask(store, audit("old", "b0"), audit("one"), audit("two"), audit("three"))
    say(store, "old", "left-long-ago", "accept")
    say(store, "one", "ann", "accept")
    say(store, "two", "ann")
    assert closed(store) == {"two"}, "ann alone has taken part since this batch was asked about"
    say(store, "three", "bob", "accept")
    assert closed(store) == set(), "bob has not looked at it yet"
    say(store, "two", "bob")
    assert closed(store) == {"two"}
    undo_decision(store, "two", "bob", 1, now_s=0.0)
    assert closed(store) == set()
    decide_item(store, "two", "bob", 3, Wish("accept"), now_s=0.0)
    assert closed(store) == set(), "it is answered"


def test_of_users_the_reviewers_are_asked_and_engineers_who_have_decided_anything(store):
    for name, role in (("ann", "reviewer"), ("bob", "reviewer"), ("eve", "engineer"), ("max", "approver")):
        add_user(store, name, role)
    ask(store, audit("one"), audit("two"))
    say(store, "one", "ann")
    assert closed(store) == set(), "bob may answer"
    remove_user(store, "bob")
    assert closed(store) == {"one"}
    say(store, "two", "eve", "accept")
    assert closed(store) == set(), "eve takes part"
    say(store, "one", "eve")
    assert closed(store) == {"one"}


def test_who_is_kept_from_a_question_or_misled_by_drafts_is_not_waited_for(store):
    checks = [item(f"k{n}", is_check=True) for n in range(5)]
    ask(store, *checks, audit("draft"), audit("blind", queue="blind", draft=""), audit("kept", not_by=("bob",)))
    for one in checks:
        say(store, one.name, "bob", "accept")
    say(store, "draft", "ann")
    say(store, "blind", "ann")
    say(store, "kept", "ann")
    ask(store, audit("later", queue="blind", draft=""))
    say(store, "later", "bob", "label", "x")
    assert closed(store) == {"draft", "kept"}, "bob accepts wrong drafts, so only blind questions go to him"


def test_two_answers_are_wanted_one_is_there_and_the_others_have_skipped(store):
    ask(store, audit("pair", wanted=2), audit("other"))
    say(store, "pair", "ann", "accept")
    say(store, "other", "bob", "accept")
    assert closed(store) == set()
    say(store, "pair", "bob")
    assert closed(store) == {"pair"}
