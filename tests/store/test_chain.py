"""The log of decisions: whoever changes, removes, moves or cuts off an entry is told, with the entry's number."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from burnish.config import Settings
from burnish.errors import UsageError
from burnish.fingerprint import fingerprint
from burnish.loop.integrity import check_log
from burnish.loop.project import Project, create_project, open_project
from burnish.records import ModelVersion
from burnish.registry import promote, register, rollback
from burnish.store.backup import restore_backup
from burnish.store.chain import broken_entries, entries
from burnish.store.store import open_store
from burnish.store.users import add_user, remove_user
from tests.store.older import as_format_5

BASE = ModelVersion(name="base", round=0, adapter_hash="", artifact="", base="b", base_hash="b", template_hash="t")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with the entries 1 start, 2 user, 3 to 5 moves, 6 user."""
    made = create_project(tmp_path / "desk", Settings())
    for name in ("base", "one", "two"):
        register(made.store, replace(BASE, name=name))
    add_user(made.store, "ann", "approver")
    promote(made.store, "one", "first", "gate")
    promote(made.store, "two", "better", "gate")
    rollback(made.store, "complaints", "ann")
    remove_user(made.store, "ann")
    return made


def tamper(project: Project, *statements: str) -> None:
    """Changes the database as somebody would who has its file and knows about the triggers."""
    with closing(sqlite3.connect(project.store.db.path)) as connection:
        for name, *_ in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def told(project: Project, head: str = "") -> list[tuple[int, str]]:
    return [tuple(one) for one in check_log(project, head).breaks]


def test_an_untouched_log_holds_and_seals_what_was_done(project):
    found = check_log(project)
    assert (found.breaks, found.num_entries) == ((), 6)
    chain = entries(project.store.db)
    assert [entry.kind for entry in chain] == ["start", "user", "promote", "promote", "rollback", "user"]
    assert found.head == chain[-1].hash
    for before, after in pairwise(chain):
        assert after.previous == before.hash
        assert after.hash == fingerprint([after.seq, after.subject, after.record, before.hash])
    assert chain[4].facts["reason"] == "complaints"


CHANGE = "UPDATE chain_entry SET record = replace(record, 'better', 'nicer') WHERE seq = 4"


@pytest.mark.parametrize(
    ("statements", "numbers"),
    [
        ([CHANGE], [4]),
        (["DELETE FROM chain_entry WHERE seq = 4"], [4]),
        (["DELETE FROM chain_entry WHERE seq = 1"], [1]),
        (["DELETE FROM chain_entry"], [1]),
        (["UPDATE chain_entry SET record = 'no json' WHERE seq = 2"], [2]),
        (["UPDATE chain_entry SET record = '{}' WHERE seq = 1"], [1]),
    ],
)
def test_an_entry_that_was_changed_or_removed_is_named(project, statements, numbers):
    tamper(project, *statements)
    assert [one.entry for one in broken_entries(entries(project.store.db))] == numbers
    assert told(project)[0][0] == numbers[0]


def test_two_entries_that_were_swapped_are_both_named(project):
    tamper(
        project,
        "UPDATE chain_entry SET seq = 100 WHERE seq = 3",
        "UPDATE chain_entry SET seq = 3 WHERE seq = 4",
        "UPDATE chain_entry SET seq = 4 WHERE seq = 100",
    )
    assert [number for number, _ in told(project)] == [3, 4]


def test_an_entry_that_was_sealed_anew_breaks_the_one_after_it(project):
    entry = entries(project.store.db)[3]
    record = entry.record.replace("better", "nicer")
    made = fingerprint([entry.seq, entry.subject, record, entry.previous])
    tamper(project, f"UPDATE chain_entry SET record = '{record}', hash = '{made}' WHERE seq = 4")
    assert [one.entry for one in broken_entries(entries(project.store.db))] == [5]
    assert (4, "the move of the champion from 'one' to 'two' differs from entry 4") in told(project)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["DELETE FROM chain_entry WHERE seq > 4"], "the move of the champion from 'two' to 'one' has no entry"),
        (["DELETE FROM chain_entry WHERE seq > 5"], "the change of the user ann has no entry"),
        (["UPDATE pointer SET model = 'two'"], "the champion is two, and the last move was to one"),
        (["DELETE FROM pointer_move WHERE seq = 3"], "entry 5 is about move 3, and there is none"),
        (
            ["UPDATE pointer_move SET by = 'bob' WHERE seq = 3"],
            "the move of the champion from 'two' to 'one' differs from entry 5",
        ),
        (["UPDATE user_change SET role = 'approver' WHERE seq = 2"], "the change of the user ann differs from entry 6"),
    ],
)
def test_what_the_chain_alone_cannot_show_is_found_beside_it(project, statements, words):
    tamper(project, *statements)
    assert broken_entries(entries(project.store.db)) == []
    assert any(what.startswith(words) for _, what in told(project)), told(project)


def test_a_log_that_was_cut_with_everything_beside_it_is_found_by_a_hash_that_was_written_down(project):
    head = check_log(project).head
    tamper(project, "DELETE FROM chain_entry WHERE seq = 6", "DELETE FROM user_change WHERE seq = 2")
    assert told(project) == []
    assert told(project, head[:16])[0][1].startswith(f"no entry has the hash {head[:16]}")
    assert told(project, entries(project.store.db)[2].hash) == []
    with pytest.raises(UsageError, match="too short"):
        check_log(project, "abc")


def test_an_old_project_begins_its_log_with_a_seal_on_what_was_there(project):
    as_format_5(project.store.db.path)
    again = open_project(project.folder)
    chain = entries(again.store.db)
    assert [(entry.kind, entry.facts["moves"]) for entry in chain] == [("start", 3)]
    assert check_log(again).breaks == ()
    promote(again.store, "two", "after all", "bob")
    assert check_log(again).breaks == ()
    tamper(again, "UPDATE pointer_move SET reason = 'none' WHERE seq = 1")
    assert [number for number, _ in told(again)] == [1]


@pytest.mark.parametrize("format_of_the_copy", ["0005", "0006"])
def test_a_restored_database_keeps_one_whole_log(tmp_path: Path, format_of_the_copy: str):
    day = date(2026, 1, 1)
    made = create_project(tmp_path / "desk", Settings())
    open_store(made.folder, today=day)
    if format_of_the_copy == "0005":
        as_format_5(made.store.root / "backup" / "burnish-2026-01-01.db")
    register(made.store, BASE)
    promote(made.store, "base", "first", "gate")
    for copy in (made.store.root / "backup").glob("*.db"):
        if copy.name != "burnish-2026-01-01.db":
            copy.unlink()
    restore_backup(made.folder)
    restored = open_project(made.folder)
    assert [entry.kind for entry in entries(restored.store.db)] == ["start", "promote"]
    assert check_log(restored).breaks == ()
