"""Daily copies of the database in .burnish/backup, and the way back from one when the database is damaged.

A copy is made at the first opening of a day, by SQLite's backup API, checked, and kept for a week. Coming back starts
from the newest good copy and adds every row of history that can still be read from the damaged file.
"""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

from burnish.errors import BurnishError, StorageError, UsageError
from burnish.store.chain import start_chain
from burnish.store.db import BUSY_TIMEOUT_S, ELSEWHERE, FILE_NAME, check_pages, check_size, connect_db, database_errors
from burnish.store.failpoints import failpoint
from burnish.store.files import fsync_dir, storage_errors
from burnish.store.lock import exclusive, lock_of
from burnish.store.migrate import TIMEOUT_S, upgrade
from burnish.store.review_state import rebuild_state
from burnish.store.tables import APPEND_ONLY, WITH_AN_END
from burnish.talk import Silence, Talk

KEEP = 7
"""Copies kept."""

JOURNALS = ("-journal", "-wal", "-shm")


class Restored(NamedTuple):
    """How a damaged database was brought back."""

    backup: Path
    aside: Path | None
    """Where the damaged file lies now; None when there was no file."""
    salvaged: dict[str, int]
    """Rows by table that the damaged file still gave; of history, those that the copy did not have."""


def back_up(path: Path, today: date) -> Path | None:
    """Copies the database to backup/burnish-DATE.db unless today's copy is there; returns the new copy.

    The whole file is checked first: raises DamagedError rather than keep a damaged copy, so good copies stay.
    """
    copy = path.parent / "backup" / f"burnish-{today.isoformat()}.db"
    if copy.exists():
        return None
    with exclusive(path.parent / "migrate.lock", timeout_s=TIMEOUT_S):  # Threads of a server open it at once.
        if copy.exists():
            return None
        check_pages(path)
        _make(path, copy)
    return copy


def _make(path: Path, copy: Path) -> None:
    draft = copy.parent / f".{copy.name}.{os.getpid()}.draft"
    try:
        with storage_errors("making the daily backup", path.parent), database_errors(path):
            copy.parent.mkdir(exist_ok=True)
            _copy(path, draft)
            failpoint("backup.rename")
            draft.replace(copy)
            fsync_dir(copy.parent)
            for old in backups(path.parent)[KEEP:]:
                old.unlink(missing_ok=True)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def backups(root: Path) -> list[Path]:
    """The daily copies, newest first."""
    return sorted((root / "backup").glob("burnish-????-??-??.db"), reverse=True)


def restore_backup(project: Path, talk: Talk | None = None) -> Restored:
    """Puts the newest good copy in place of the database and adds the history that the damaged file still gives.

    The damaged file is kept in .burnish/damaged. Sealed artifacts are not touched, so no work is lost with it.
    Raises StorageError when there is no good copy, BusyError when another process holds the project.
    """
    root = project.resolve() / ".burnish"
    if not root.is_dir():
        raise StorageError(f"{project} has no .burnish folder", hint="`burnish init` makes a project")
    if (root / ELSEWHERE).exists():
        hint = "its keeper brings it back (pg_dump makes copies, pg_restore reads them)"
        raise UsageError(f"the history of {project} is on a database server", hint=hint)
    with lock_of(root).held(talk), storage_errors("restoring the database", root), database_errors(root / FILE_NAME):
        good = _newest_good(root, talk or Silence())
        draft = root / f".{FILE_NAME}.restored"
        for suffix in (*JOURNALS, ""):  # What a killed restore left.
            draft.with_name(draft.name + suffix).unlink(missing_ok=True)
        _copy(good, draft)
        upgrade(connect_db(draft))  # An older copy has no place for newer history, which would be lost in silence.
        aside = _copy_aside(root) if (root / FILE_NAME).exists() else None
        salvaged = _salvage(aside, draft) if aside else {}
        with connect_db(draft).write() as connection:
            start_chain(connection)
        failpoint("restore.rename")
        for suffix in JOURNALS:  # A journal of the damaged file must never be played into the good one.
            (root / (FILE_NAME + suffix)).unlink(missing_ok=True)
        draft.replace(root / FILE_NAME)
        fsync_dir(root)
    return Restored(good, aside, salvaged)


def _copy(source: Path, target: Path) -> None:
    """A consistent copy, even while others write, on disk before this returns."""
    uri = f"{source.resolve().as_uri()}?mode=ro"
    reading = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)
    with closing(reading) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode = TRUNCATE").close()
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _newest_good(root: Path, talk: Talk) -> Path:
    for copy in backups(root):
        try:
            check_size(copy)
            check_pages(copy)
            return copy
        except BurnishError as error:
            talk.warn(f"{copy.name} cannot be used: {error}")
    raise StorageError(
        f"there is no good backup in {root / 'backup'}",
        hint=f"move {root / FILE_NAME} away and run your last command again: sealed artifacts are found and not redone",
    )


def _salvage(damaged: Path, into: Path) -> dict[str, int]:
    """Adds rows of stages and history that `damaged` still gives, each table up to its first unreadable row."""
    salvaged: dict[str, int] = {}
    with closing(sqlite3.connect(into)) as writer:
        for table in ("stage_run", *APPEND_ONLY, *WITH_AN_END):
            verb = "REPLACE" if table == "stage_run" else "IGNORE"
            columns = [row[1] for row in writer.execute(f"PRAGMA table_info({table})")]
            marks = ", ".join("?" for _ in columns)
            for row in _readable_rows(damaged, table, columns):
                added = writer.execute(f"INSERT OR {verb} INTO {table} VALUES ({marks})", row).rowcount
                salvaged[table] = salvaged.get(table, 0) + added
        writer.execute(
            "INSERT OR REPLACE INTO pointer (name, model) SELECT pointer, after FROM pointer_move AS last "
            "WHERE seq = (SELECT max(seq) FROM pointer_move WHERE pointer = last.pointer) "
            "AND after IN (SELECT name FROM model_version)"
        )
        writer.commit()
    with connect_db(into).write() as connection:
        rebuild_state(connection)
    return {table: count for table, count in salvaged.items() if count}


def _readable_rows(damaged: Path, table: str, columns: list[str]) -> list[tuple[object, ...]]:
    """The table's rows up to the first that cannot be read; writable_schema lets SQLite open a file that was cut."""
    rows: list[tuple[object, ...]] = []
    listed = ", ".join(f'"{column}"' for column in columns)
    with suppress(sqlite3.Error), closing(sqlite3.connect(damaged)) as reader:
        reader.execute("PRAGMA writable_schema = ON")
        for row in reader.execute(f"SELECT {listed} FROM {table} ORDER BY rowid"):
            rows.append(row)
    return rows


def _copy_aside(root: Path) -> Path:
    """Copies the damaged database and its journals to damaged/; the original stays until the good one replaces it."""
    place = root / "damaged"
    place.mkdir(exist_ok=True)
    number = len(list(place.glob("burnish-*.db"))) + 1
    aside = place / f"burnish-{number}.db"
    for suffix in (*JOURNALS, ""):
        source = root / (FILE_NAME + suffix)
        if source.exists():
            shutil.copyfile(source, place / (aside.name + suffix))
    return aside
