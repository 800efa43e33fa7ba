"""The database: durable, append-only where it is history, and never opened in silence when it is damaged or newer."""

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, text

import burnish.store
from burnish.errors import BusyError, DamagedError, StorageError, UsageError
from burnish.store.backup import KEEP, back_up, backups, restore_backup
from burnish.store.barred import bar, barred
from burnish.store.db import check_pages, journal_mode
from burnish.store.looks import append_look, looks
from burnish.store.migrate import REVISIONS
from burnish.store.roles import append_roles, current_roles
from burnish.store.store import open_store
from burnish.store.tables import APPEND_ONLY, metadata, role_change
from tests.child import KILLED, end_of, in_child, start_child
from tests.store.failed import leaves_no_trace
from tests.store.older import CANARY

DAY = date(2026, 1, 1)


def test_an_open_that_has_nothing_to_do_takes_under_a_tenth_of_a_second(tmp_path):
    open_store(tmp_path)
    open_store(tmp_path)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        open_store(tmp_path)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1


def test_two_processes_that_open_an_empty_folder_at_once_both_succeed(tmp_path):
    for number in range(10):
        project = tmp_path / str(number)
        project.mkdir()
        children = [start_child(lambda project=project: open_store(project)) for _ in range(2)]
        assert [end_of(pid) for pid in children] == [0, 0]


def test_opening_a_store_keeps_the_locks_that_this_process_holds(tmp_path):
    """Closing any descriptor of the file would give them up, and two processes would write at once."""
    store = open_store(tmp_path, today=DAY)
    other = f"import sqlite3; sqlite3.connect({str(store.db.path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    with store.db.write():
        open_store(tmp_path, today=DAY)
        told = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False).stderr
    assert "database is locked" in told
    subprocess.run([sys.executable, "-c", other], check=True)


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        open_store(tmp_path / "none")


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(tmp_path):
    store = open_store(tmp_path)
    with store.db.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    script = ScriptDirectory(str(Path(burnish.store.__file__).parent / "migrations"))
    assert tuple(step.revision for step in reversed(list(script.walk_revisions()))) == REVISIONS


def test_the_released_migrations_are_unchanged():
    folder = Path(burnish.store.__file__).parent / "migrations" / "versions"
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in sorted(folder.glob("v*.py"))}
    assert hashes == {
        "v0001_ledger.py": "0e6d9c037f44",
        "v0002_barred.py": "c17e0d0764e8",
        "v0003_audit.py": "c606a0149339",
        "v0004_teacher.py": "7e35a624ca14",
        "v0005_review.py": "20ce6cab5aff",
        "v0006_people.py": "5d015892105c",
        "v0007_review_state.py": "486da4cd7556",
        "v0008_traffic.py": "228f13afcd6e",
        "v0009_canary.py": "029acff5d624",
        "v0010_comparison.py": "b27e1d8be3e1",
    }


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_history_cannot_be_changed_or_deleted(table, tmp_path):
    store = open_store(tmp_path)
    with closing(sqlite3.connect(store.db.path)) as connection:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        values = [None if not column[3] else 7 for column in columns]
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in values)})", values)
        for statement in (f"UPDATE {table} SET {columns[-1][1]} = 2", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
                connection.execute(statement)


def test_every_connection_is_durable_checked_and_patient(tmp_path):
    store = open_store(tmp_path)
    pragmas = {"synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000, "journal_mode": journal_mode().lower()}
    with store.db.read() as connection:
        assert {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas} == pragmas


@pytest.mark.parametrize(
    ("version", "mode"), [((3, 40, 1), "TRUNCATE"), ((3, 51, 2), "TRUNCATE"), ((3, 51, 3), "WAL"), ((4, 0, 0), "WAL")]
)
def test_the_journal_is_a_plain_one_where_wal_can_corrupt(version, mode):
    assert journal_mode(version) == mode


def test_a_failed_block_leaves_no_trace(tmp_path):
    store = open_store(tmp_path)
    leaves_no_trace(store)


def test_a_writer_keeps_other_writers_out_from_its_first_statement_and_lets_readers_in(tmp_path):
    store = open_store(tmp_path)

    def write_at_once() -> None:
        with closing(sqlite3.connect(store.db.path, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")

    with store.db.write():
        assert in_child(write_at_once) != 0
        assert in_child(lambda: looks(store)) == 0
    assert in_child(write_at_once) == 0


def test_a_database_of_a_newer_burnish_is_refused_with_the_way_out(tmp_path):
    store = open_store(tmp_path)
    with store.db.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="has format 9999") as caught:
        open_store(tmp_path)
    assert "pip install --upgrade" in caught.value.hint


def spoil_start(path: Path) -> None:
    path.write_bytes(b"garbage!" * 1000)


def spoil_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("spoil", [spoil_start, spoil_page, cut, lambda p: p.write_bytes(b""), Path.unlink])
def test_a_damaged_database_is_told_and_the_daily_backup_brings_it_back(spoil, tmp_path):
    store = open_store(tmp_path, today=DAY)
    append_roles(store, {"a": "train"}, "split")
    open_store(tmp_path, today=DAY + timedelta(1))
    spoil(store.db.path)
    with pytest.raises(DamagedError) as caught:
        open_store(tmp_path, today=DAY + timedelta(2))
    assert "burnish restore" in caught.value.hint
    restored = restore_backup(tmp_path)
    assert restored.backup.name == "burnish-2026-01-02.db"
    assert current_roles(open_store(tmp_path, today=DAY + timedelta(2))) == {"a": "train"}


def test_what_a_damaged_database_still_gives_is_added_to_the_backup(tmp_path):
    store = open_store(tmp_path, today=DAY)
    append_roles(store, {f"example-{n}": "train" for n in range(2000)}, "split")
    open_store(tmp_path, today=DAY + timedelta(1))
    append_look(store, "vault", 1, "challenger", 0.03)
    cut(store.db.path)
    restored = restore_backup(tmp_path)
    assert restored.salvaged == {"gate_look": 1}
    again = open_store(tmp_path, today=DAY + timedelta(1))
    assert [look.attempt for look in looks(again)] == [1]
    assert len(current_roles(again)) == 2000
    assert restored.aside is not None
    assert restored.aside.exists()


def test_history_that_an_older_copy_has_no_table_for_is_added_too(tmp_path):
    store = open_store(tmp_path, today=DAY)
    open_store(tmp_path, today=DAY + timedelta(1))
    with closing(sqlite3.connect(backups(store.root)[0])) as copy:
        for table in ("canary_comparison", *CANARY, "traffic", "traffic_feedback", "chain_entry", "user_change"):
            copy.execute(f"DROP TABLE {table}")
        for table in ("state", "lease", "withdrawal", "decision", "item"):
            copy.execute(f"DROP TABLE review_{table}")
        copy.execute("DROP TABLE project_identity")
        copy.execute("DROP TABLE teacher_reply")
        copy.execute("DROP TABLE batch_audit")
        copy.execute("DROP TABLE barred_example")
        copy.execute("UPDATE alembic_version SET version_num = '0001'")
        copy.commit()
    bar(store, {"a": "seed"}, asked="a", reason="asked for")
    assert restore_backup(tmp_path).salvaged == {"barred_example": 1, "chain_entry": 1}
    assert [one.example for one in barred(open_store(tmp_path, today=DAY + timedelta(1)))] == ["a"]


def test_a_damaged_backup_is_passed_over_for_an_older_one(tmp_path):
    store = open_store(tmp_path, today=DAY)
    append_roles(store, {"a": "train"}, "split")
    open_store(tmp_path, today=DAY + timedelta(1))
    open_store(tmp_path, today=DAY + timedelta(2))
    spoil_page(store.root / "backup" / "burnish-2026-01-03.db")
    assert restore_backup(tmp_path).backup.name == "burnish-2026-01-02.db"
    for copy in backups(store.root):
        copy.unlink()
    with pytest.raises(StorageError, match="no good backup"):
        restore_backup(tmp_path)


def test_a_week_of_backups_is_kept(tmp_path):
    for day in range(12):
        store = open_store(tmp_path, today=DAY + timedelta(day))
    assert [path.name for path in backups(store.root)] == [
        f"burnish-{DAY + timedelta(day)}.db" for day in range(11, 11 - KEEP, -1)
    ]


def test_threads_that_open_a_project_at_once_on_a_new_day_leave_one_whole_backup(tmp_path):
    open_store(tmp_path, today=DAY)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: open_store(tmp_path, today=DAY + timedelta(1)), range(8)))
    (copy,) = backups(tmp_path / ".burnish")
    check_pages(copy)


def test_a_damage_deep_in_the_file_stops_the_daily_backup_before_it_replaces_a_good_one(tmp_path):
    store = open_store(tmp_path, today=DAY)
    append_roles(store, {f"example-{n}": "train" for n in range(2000)}, "split")
    data = bytearray(store.db.path.read_bytes())
    data[-4096:] = b"\xff" * 4096
    store.db.path.write_bytes(data)
    with pytest.raises(DamagedError):
        open_store(tmp_path, today=DAY + timedelta(1))
    assert backups(store.root) == []


def test_a_restore_waits_for_nobody(tmp_path):
    store = open_store(tmp_path, today=DAY)
    open_store(tmp_path, today=DAY + timedelta(1))
    with store.lock():
        assert in_child(lambda: restore_backup(tmp_path)) == BusyError.exit_code


def test_paths_are_kept_relative_and_cannot_lead_out(tmp_path):
    store = open_store(tmp_path)
    inside = store.root / "artifacts" / "data"
    assert store.path_of(store.relative(inside)) == inside
    with pytest.raises(StorageError, match="outside"):
        store.path_of("../../etc/passwd")


def test_a_database_that_cannot_grow_gives_a_storage_error_and_keeps_what_was_committed(tmp_path):  # P4
    store = open_store(tmp_path)
    append_roles(store, {"a": "train"}, "split")
    row = {"example": "b" * 3000, "role": "train", "reason": "", "at": ""}

    def write_much() -> None:
        with store.db.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")  # SQLite's own "disk is full"
            connection.execute(insert(role_change), [row] * 20)

    with pytest.raises(StorageError, match=r"no space left on the disk of .* while writing the database: .* free"):
        write_much()
    assert current_roles(open_store(tmp_path)) == {"a": "train"}


def test_a_journal_left_by_a_killed_writer_is_undone_at_the_next_opening(tmp_path):  # P7
    store = open_store(tmp_path)
    append_roles(store, {"a": "train"}, "split")
    before = store.db.path.read_bytes()

    def die_half_written() -> None:
        connection = sqlite3.connect(store.db.path, isolation_level=None)
        for statement in ("PRAGMA cache_size = 5", "PRAGMA journal_mode = TRUNCATE", "BEGIN IMMEDIATE"):
            connection.execute(statement).fetchall()
        for number in range(3000):  # more than the cache holds, so that pages reach the file before the commit
            connection.execute("INSERT INTO role_change VALUES (NULL, ?, 'vault_1', '', '')", (f"x{number}",))
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die_half_written) == KILLED
    assert store.db.path.read_bytes() != before
    assert current_roles(open_store(tmp_path)) == {"a": "train"}


def test_a_write_ahead_log_left_over_by_another_version_of_sqlite_is_taken_in(tmp_path):  # P7
    (tmp_path / "a").mkdir()
    store = open_store(tmp_path / "a")
    other = sqlite3.connect(store.db.path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL").fetchall()
    other.execute("INSERT INTO role_change VALUES (NULL, 'a', 'train', '', '')")
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # while it is open, so that the row is in the log alone
    other.close()
    assert (tmp_path / "b" / ".burnish" / "burnish.db-wal").stat().st_size > 0
    assert current_roles(open_store(tmp_path / "b")) == {"a": "train"}


def test_the_daily_copy_of_a_database_in_use_holds_what_was_committed_and_nothing_else(tmp_path):  # P7
    store = open_store(tmp_path, today=DAY)
    append_roles(store, {"a": "train"}, "split")
    with store.db.write() as connection:
        connection.execute(insert(role_change).values(example="b", role="train", reason="", at=""))
        copy = back_up(store.db.path, DAY + timedelta(1))
    assert copy is not None
    with closing(sqlite3.connect(copy)) as reader:
        assert reader.execute("SELECT example FROM role_change").fetchall() == [("a",)]
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
