"""Recent decisions: each is read once, and what is told of them is what a reading of all would tell."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import event

from burnish.store.claims import Wish, decide_item, undo_decision
from burnish.store.recent import Recent, recent_of, recent_spent
from burnish.store.reviews import add_items, last_decision
from burnish.store.store import Store, open_store
from tests.review.test_claims import item

CHECK = {"is_check": True}


def told(reviewer: str, store: Store) -> list[tuple[float, bool | None]]:
    return [(one.seconds, one.is_caught) for one in recent_of(store, reviewer)]


def filled(folder: Path) -> Store:
    store = open_store(folder)
    add_items(store, [item("a"), item("b", **CHECK), item("c", **CHECK), item("d", **CHECK), item("e", queue="blind")])
    return store


def test_they_follow_the_log_with_what_was_taken_back_and_tell_who_saw_through_a_check(tmp_path):
    store = filled(tmp_path)
    assert told("ann", store) == []
    decide_item(store, "a", "ann", 1, Wish("accept", seconds=5), now_s=0)
    decide_item(store, "b", "ann", 1, Wish("accept", seconds=6), now_s=0)
    assert told("ann", store) == [(6, False), (5, None)]
    undo_decision(store, "b", "ann", 1, now_s=0)
    decide_item(store, "b", "ann", 3, Wish("edit", "better", seconds=7), now_s=0)
    decide_item(store, "c", "ann", 1, Wish("edit", "draft", seconds=8), now_s=0)
    decide_item(store, "d", "bob", 1, Wish("skip"), now_s=0)
    assert told("ann", store) == [(8, False), (7, True), (6, False), (5, None)]
    assert told("bob", store) == [(0, None)]


def test_time_counts_up_to_a_limit_and_a_decision_without_time_is_counted_apart(tmp_path):
    store = filled(tmp_path)
    decide_item(store, "a", "ann", 1, Wish("accept", seconds=5), now_s=0)
    decide_item(store, "b", "bob", 1, Wish("accept", seconds=900), now_s=0)
    assert recent_spent(store, longest_s=600.0) == {"correction": (2, 605.0, 0)}
    decide_item(store, "c", "bob", 1, Wish("accept"), now_s=0)
    decide_item(store, "e", "ann", 1, Wish("label", "x", seconds=3), now_s=0)
    assert recent_spent(store, longest_s=600.0) == {"correction": (2, 605.0, 1), "blind": (1, 3.0, 0)}


def test_a_look_reads_what_came_since_and_all_where_an_older_database_was_brought_back(tmp_path):
    store = filled(tmp_path)
    decide_item(store, "a", "ann", 1, Wish("accept", seconds=1), now_s=0)
    decide_item(store, "b", "ann", 1, Wish("accept", seconds=2), now_s=0)
    shutil.copyfile(store.db.path, tmp_path / "copy.db")
    asked = []
    event.listen(store.db.engine, "before_cursor_execute", lambda *words: asked.append(words[3]))
    decide_item(store, "c", "ann", 1, Wish("accept", seconds=3), now_s=0)
    assert told("ann", store) == [(3, False), (2, False), (1, None)]
    asked.clear()
    newest: Recent = recent_of(store, "ann")[0]
    assert [newest.seq in one for one in asked] == [True]  # since the newest that is known, and asked once
    (tmp_path / "copy.db").replace(store.db.path)
    decide_item(store, "d", "ann", 1, Wish("accept", seconds=4), now_s=0)
    assert told("ann", store) == [(4, False), (2, False), (1, None)]


def test_a_moment_sees_nothing_of_what_comes_later_and_writes_nothing(tmp_path):
    store = filled(tmp_path)
    decide_item(store, "a", "ann", 1, Wish("accept"), now_s=0)
    opened = []
    event.listen(store.db.engine, "connect", lambda *words: opened.append(words))
    with store.db.moment() as now:
        seen = Store(
            project=store.project, root=store.root, db=now, artifacts=store.artifacts, project_lock=store.project_lock
        )
        assert len(told("ann", seen)) == 1
        found = last_decision(seen, "ann")
        assert found is not None
        assert found[0].item == "a"
        assert len(opened) == 1
        with pytest.raises(AssertionError, match="only read"), now.write():
            pass
