"""Answers and feedback in the store: written once, found by place, gone when their time is over."""

import sqlite3
from contextlib import closing
from datetime import date

import pytest

from burnish.records import Message
from burnish.store.backup import restore_backup
from burnish.store.store import Store, open_store
from burnish.store.traffic import (
    Accepted,
    Remark,
    Spoken,
    append_feedback,
    append_traffic,
    drop_expired,
    drop_traffic,
    feedback_since,
    find_traffic,
    traffic_held,
    traffic_since,
)
from tests.store.older import as_format_7

LATER = "2999-01-01T00:00:00+00:00"


def spoken(name: str, text: str = "hello", *, expires_at: str = LATER, model: str = "round-1") -> Spoken:
    messages = (Message(role="user", content=text),) if text else ()
    return Spoken(
        response_id=name, at="2026-11-30T12:00:00+00:00", model=model, messages=messages, answer="fine",
        num_answer=3, logprob=-0.5, probability=1.0, expires_at=expires_at,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(tmp_path)


def keeps_answers_once_and_in_order(store: Store) -> None:
    """Also run on PostgreSQL."""
    assert append_traffic(store, [spoken("a"), spoken("b", ""), spoken("a", "twice")]) == 2
    assert append_traffic(store, [spoken("b", "again"), spoken("c", "NUL \0 and half \ud83d")]) == 1
    rows = traffic_since(store)
    assert [row.response_id for row in rows] == ["a", "b", "c"]
    assert [row.has_text for row in rows] == [True, False, True]
    assert rows[2].messages[0].content == "NUL \ufffd and half ?"
    assert traffic_since(store, rows[0].seq, 1) == rows[1:2]
    assert traffic_since(store, rows[0].seq, with_text=True) == rows[2:]
    assert find_traffic(store, ["c", "none"]) == {"c": rows[2]}
    assert append_feedback(store, "none", [Remark("up")]) is None
    assert append_feedback(store, "a\0", [Remark("up")]) is None
    assert find_traffic(store, ["\ud83d", "a\0"]) == {}
    assert drop_traffic(store, ["\udcff"]) == 0
    assert append_feedback(store, "a", [Remark("up"), Remark("text", "nice")]) == Accepted("round-1", 2)
    held = traffic_held(store)
    assert (held.num_answers, held.num_with_text, held.by_model) == (3, 2, {"round-1": 3})
    assert held.feedback == {"text": 1, "up": 1}
    assert drop_traffic(store, ["a", "a", "none"]) == 1
    assert feedback_since(store) == []
    assert drop_traffic(store) == 2
    append_traffic(store, [spoken("d")])
    assert traffic_since(store)[0].seq > rows[-1].seq, "a number was given twice"


def test_an_answer_is_kept_once_and_found_by_place_and_name(store):
    keeps_answers_once_and_in_order(store)


def test_the_same_feedback_again_changes_nothing_and_a_mind_may_be_changed_back(store):
    append_traffic(store, [spoken("a")])
    for remark, new in [("up", 1), ("up", 0), ("down", 1), ("down", 0), ("up", 1)]:
        assert append_feedback(store, "a", [Remark(remark)]) == Accepted("round-1", new)
    for text, new in [("one", 1), ("two", 1), ("one", 0)]:
        assert append_feedback(store, "a", [Remark("text", text)]).num_new == new
    for text, new in [("one", 1), ("two", 1), ("one", 1), ("one", 0)]:
        assert append_feedback(store, "a", [Remark("correction", text)]).num_new == new
    entries = feedback_since(store)
    assert [entry.kind for entry in entries[:3]] == ["up", "down", "up"]
    assert feedback_since(store, entries[5].seq, 1) == entries[6:7]


def test_what_has_expired_is_not_read_even_before_it_is_dropped_and_takes_its_feedback_along(store):
    append_traffic(store, [spoken("old", expires_at="2026-01-01T00:00:00+00:00"), spoken("new")])
    assert [row.response_id for row in traffic_since(store)] == ["new"]
    assert append_feedback(store, "old", [Remark("up")]) is None
    append_feedback(store, "new", [Remark("correction", "better")])
    assert drop_expired(store) == 1
    assert drop_expired(store) == 0
    assert len(feedback_since(store)) == 1
    assert drop_expired(store, LATER) == 1
    assert feedback_since(store) == []


def test_a_database_of_the_format_before_gets_the_tables_and_a_damaged_one_gives_its_answers_back(tmp_path):
    store = open_store(tmp_path, today=date(2026, 1, 1))
    as_format_7(store.db.path)
    store = open_store(tmp_path, today=date(2026, 1, 1))
    open_store(tmp_path, today=date(2026, 1, 2))
    append_traffic(store, [spoken("a")])
    append_feedback(store, "a", [Remark("down")])
    with closing(sqlite3.connect(store.db.path)) as copy:
        copy.execute("DROP TABLE stage_run")
        copy.commit()
    assert restore_backup(tmp_path).salvaged["traffic_feedback"] == 1
    assert [entry.kind for entry in feedback_since(open_store(tmp_path))] == ["down"]
