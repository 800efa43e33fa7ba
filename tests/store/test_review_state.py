"""What claims read follows from the log: found again from an older format or a salvage, and read through an index."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from math import inf
from typing import Any

import pytest
from sqlalchemy import event

from burnish.store.backup import restore_backup
from burnish.store.claims import Wish, claim_items, decide_item, held_items, undo_decision
from burnish.store.open_items import has_more, open_counts
from burnish.store.recent import recent_of, recent_spent
from burnish.store.reviews import add_items, waiting, withdraw_items
from burnish.store.store import Store, open_store
from tests.review.test_claims import QUEUES, item, state_and_rebuilt
from tests.store.older import as_format_6

DAY = date(2026, 1, 1)


def work(store: Store) -> None:
    """Items of all fates: answered, half answered, taken back, skipped, withdrawn, kept from somebody."""
    names = {"done": 1, "half": 2, "back": 1, "skipped": 1, "gone": 1}
    add_items(store, [item(name, wanted=wanted) for name, wanted in names.items()])
    add_items(store, [item("third", not_by=("ann", "bob")), item("check", is_check=True)])
    for name in ("done", "half", "back"):
        decide_item(store, name, "ann", 1, Wish("accept"), now_s=0)
    decide_item(store, "skipped", "ann", 1, Wish("skip"), now_s=0)
    undo_decision(store, "back", "ann", 1, now_s=0)
    withdraw_items(store, ["gone"], "another model")


ROOM = {"done": 0, "half": 1, "back": 1, "skipped": 1, "gone": 0, "third": 1, "check": 1}


def rooms(store: Store) -> dict[str, int]:
    with store.db.read() as connection:
        query = "SELECT i.name, s.room FROM review_state s JOIN review_item i ON i.seq = s.item"
        return dict(connection.exec_driver_sql(query).fetchall())


def test_room_is_what_is_wanted_less_what_holds_and_nothing_for_what_is_withdrawn(tmp_path):
    store = open_store(tmp_path)
    work(store)
    assert rooms(store) == ROOM
    assert waiting(store) == {"correction": (5, 5)}


def test_a_reviewer_is_counted_what_they_can_be_asked_and_nobody_what_anybody_can(tmp_path):
    store = open_store(tmp_path)
    work(store)
    claim_items(store, "cy", now_s=0, queues=QUEUES, count=2)
    assert open_counts(store, "ann", now_s=1) == {"correction": 1}  # all but half, skipped, third and what cy holds
    assert open_counts(store, "cy", now_s=1) == {"correction": 4}  # ann has back again
    assert open_counts(store, "bob", now_s=1) == {"correction": 2}
    assert open_counts(store, "", now_s=inf) == {"correction": 5}


def test_more_than_a_number_is_said_where_it_is_so_and_found_where_nothing_hinders(tmp_path):
    store = open_store(tmp_path)
    work(store)
    claim_items(store, "cy", now_s=0, queues=QUEUES, count=2)
    for reviewer in ("ann", "bob", "cy", "new"):
        number = open_counts(store, reviewer, now_s=1)["correction"]
        assert not has_more(store, reviewer, "correction", number, now_s=1)
    add_items(store, [item(f"i{number}") for number in range(20)])
    for reviewer in ("ann", "bob", "cy", "new"):
        assert has_more(store, reviewer, "correction", 9, now_s=1)
    assert not has_more(store, "new", "blind", 0, now_s=1)


def test_a_database_of_before_gets_the_state_that_its_log_gives(tmp_path):
    store = open_store(tmp_path)
    work(store)
    kept, rebuilt = state_and_rebuilt(store)
    as_format_6(store.db.path)
    migrated, again = state_and_rebuilt(open_store(tmp_path))
    assert kept == rebuilt == migrated == again


def test_what_is_salvaged_from_a_damaged_database_counts(tmp_path):
    store = open_store(tmp_path, today=DAY)
    open_store(tmp_path, today=DAY + timedelta(1))
    work(store)
    restore_backup(tmp_path)
    assert rooms(open_store(tmp_path, today=DAY + timedelta(1))) == ROOM


def statements(store: Store, act: Callable[[], object]) -> list[tuple[str, Any]]:
    """The SQL that an act sends, with its parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection, _cursor, statement, parameters, *_rest) -> None:
        seen.append((statement, parameters))

    event.listen(store.db.engine, "before_cursor_execute", note)
    act()
    event.remove(store.db.engine, "before_cursor_execute", note)
    return seen


ACTS = {
    "claim": lambda store: claim_items(store, "ann", now_s=0, queues=QUEUES),
    "reload": lambda store: held_items(store, "ann", now_s=0),
    "decide": lambda store: decide_item(store, "i7", "ann", 1, Wish("accept"), now_s=0, then=QUEUES),
    "more": lambda store: has_more(store, "ann", "correction", 5, now_s=0),
    "own": lambda store: recent_of(store, "ann"),
    "spent": lambda store: recent_spent(store, longest_s=600.0),
}


@pytest.mark.parametrize("act", ACTS)
def test_nothing_that_a_reviewer_waits_for_reads_a_whole_table_or_sorts_one(act, tmp_path):
    store = open_store(tmp_path)
    add_items(store, [item(f"i{number}", value=number) for number in range(9)])
    found = statements(store, lambda: ACTS[act](store))
    assert found
    with closing(sqlite3.connect(store.db.path)) as connection:
        for statement, parameters in found:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            told = "; ".join(row[3] for row in plan)
            bounded = "reviewer=?" in told or "LIMIT" in statement  # by what one reviewer holds, or by the last 500
            assert "SCAN review" not in told or bounded, f"{statement}\n{told}"
            if "review_state.queue = ?" in statement and "ORDER BY" in statement:
                assert "review_state_open" in told, told
                assert "TEMP B-TREE" not in told, told
