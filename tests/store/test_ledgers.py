"""Roles, batches and looks: appended, never rewritten, and safe to write again after a kill."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.errors import UsageError
from burnish.store.batches import add_batch, batches
from burnish.store.looks import append_look, attempt_of, finish_look, looks
from burnish.store.roles import append_roles, current_roles, role_history
from burnish.store.store import open_store


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def test_the_last_change_of_an_example_is_its_role_and_the_first_stays_in_history(store):
    assert append_roles(store, {"a": "train", "b": "vault_1"}, "split") == 2
    assert append_roles(store, {"a": "train", "b": "audit"}, "retired") == 1
    assert current_roles(store) == {"a": "train", "b": "audit"}
    changes = [(change.example, change.role, change.reason) for change in role_history(store)]
    assert changes == [("a", "train", "split"), ("b", "vault_1", "split"), ("b", "audit", "retired")]


@settings(max_examples=10, deadline=None)
@given(changes=st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["train", "dev_a"])), max_size=4))
def test_current_roles_equal_a_dict_updated_in_the_same_order(changes, tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("roles"))
    expected: dict[str, str] = {}
    for change in changes:
        append_roles(store, change, "split")
        expected.update(change)
    assert current_roles(store) == expected


def test_a_batch_is_added_once_and_never_replaced(store):
    new = {"artifact": "artifacts/data/x", "content_hash": "h", "num_rows": 3, "sources": ["claims.csv"]}
    first = add_batch(store, name="seed", **new)
    assert add_batch(store, name="seed", **new) == first
    second = add_batch(store, name="more", **{**new, "content_hash": "g"})
    assert batches(store) == [first, second]
    assert first.sources == ("claims.csv",)
    with pytest.raises(UsageError, match="taken by other rows"):
        add_batch(store, name="seed", **{**new, "content_hash": "other"})
    with pytest.raises(UsageError, match="cannot be used as a name"):
        add_batch(store, name="../seed", **new)


def test_a_look_is_counted_before_its_answer_and_attempts_go_up(store):
    assert attempt_of(store, "v", "c1") == 1
    first = append_look(store, "v", 1, "c1", 0.03)
    assert [(look.attempt, look.decision) for look in looks(store, "v")] == [(1, None)]
    finish_look(store, first, "HOLD")
    assert attempt_of(store, "v", "c2") == 2
    append_look(store, "v", 2, "c2", 0.01)
    assert attempt_of(store, "w", "c2") == 1
    assert [(look.challenger_hash, look.alpha, look.decision) for look in looks(store)] == [
        ("c1", 0.03, "HOLD"),
        ("c2", 0.01, None),
    ]


def test_the_same_challenger_keeps_its_attempt_when_the_gate_runs_again(store):
    look = append_look(store, "v", 1, "c1", 0.03)
    assert attempt_of(store, "v", "c1") == 1
    assert append_look(store, "v", 1, "c1", 0.03) == look
    finish_look(store, look, "PROMOTE")
    finish_look(store, look, "PROMOTE")
    assert len(looks(store)) == 1


@pytest.mark.parametrize("wrong", [(1, "c2", 0.03), (2, "c1", 0.03), (1, "c1", 0.05), (3, "c2", 0.03)])
def test_a_look_that_contradicts_the_ledger_is_refused(wrong, store):
    append_look(store, "v", 1, "c1", 0.03)
    attempt, challenger, alpha = wrong
    with pytest.raises(AssertionError, match=r"contradicts|the next one is 2"):
        append_look(store, "v", attempt, challenger, alpha)


def test_an_answer_is_given_once(store):
    look = append_look(store, "v", 1, "c1", 0.03)
    finish_look(store, look, "HOLD")
    with pytest.raises(AssertionError, match="was answered HOLD"):
        finish_look(store, look, "PROMOTE")
