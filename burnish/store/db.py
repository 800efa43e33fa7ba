"""The project's SQLite file: short transactions, each durable before it is acknowledged.

Rollback journal where SQLite is older than 3.51.3: its WAL mode can corrupt a database that two connections write
(sqlite.org, "WAL-reset bug"), and Debian 12 ships 3.40.1. WAL from there on. Never a pool: nothing survives a fork.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import NullPool

from burnish.errors import AccessError, BurnishError, BusyError, DamagedError, StorageError
from burnish.store.failpoints import failpoint
from burnish.store.files import shown_size, storage_errors

BUSY_TIMEOUT_S = 30
WAL_IS_SAFE_FROM = (3, 51, 3)
FILE_NAME = "burnish.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Db:
    """The database file of a project."""

    path: Path
    engine: Engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start; on disk when the block has ended, or undone."""
        with database_errors(self.path), self.engine.connect() as connection:
            with connection.begin():
                yield connection
                failpoint("db.commit")
            failpoint("db.committed")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database and blocks no reader."""
        with database_errors(self.path), self.engine.connect() as connection:
            reading = connection.execution_options(burnish_begin="BEGIN")
            with reading.begin():
                yield reading


def connect_db(path: Path) -> Db:
    """The database at `path`, its connections set up; nothing is read or written yet."""
    engine = create_engine(f"sqlite+pysqlite:///{path}", poolclass=NullPool)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return Db(path=path, engine=engine)


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """The journal that is safe with this version of SQLite: TRUNCATE before 3.51.3, WAL from there on."""
    return "WAL" if version >= WAL_IS_SAFE_FROM else "TRUNCATE"


def now() -> str:
    """The time as the tables keep it, for people only: order comes from `seq`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turns errors of the database and of the disk into ours, with the next step in the hint."""
    with storage_errors("writing the database", path.parent):
        try:
            yield
        except BurnishError:
            raise
        except exc.DBAPIError as error:
            raise told_database_error(str(error.orig), path) from error
        except sqlite3.Error as error:
            raise told_database_error(str(error), path) from error


def told_database_error(text: str, path: Path) -> BurnishError:
    """The BurnishError for a message of SQLite."""
    if "malformed" in text or "not a database" in text:
        return damaged_db(path, text)
    if "disk is full" in text:
        free = shown_size(shutil.disk_usage(path.parent).free)
        return StorageError(
            f"no space left on the disk of {path.parent} while writing the database: {free} free",
            hint="free some space and run the same command again; what was finished before is kept",
        )
    if "locked" in text:
        return BusyError(f"{path} stayed locked for {BUSY_TIMEOUT_S} s by another process", hint="try again")
    if "readonly" in text or "unable to open" in text:
        return AccessError(f"{path} cannot be written: {text}", hint=f"make {path.parent} writable for this user")
    return StorageError(f"the database {path} refuses: {text}", hint="run `burnish doctor`")


def damaged_db(path: Path, found: str) -> DamagedError:
    """The error for a database that is no longer one."""
    return DamagedError(
        f"the database {path} is damaged: {found}",
        hint="`burnish restore` brings back the last good daily copy and what can still be salvaged",
    )


def check_size(path: Path) -> None:
    """Raises DamagedError when the file is no SQLite database, or shorter than its header says. Reads 100 bytes."""
    with storage_errors("reading the database", path.parent), path.open("rb") as file:
        header = file.read(100)
    if header[:16] != b"SQLite format 3\x00" or len(header) < 100:
        raise damaged_db(path, "it does not begin like a SQLite file")
    page_bytes = int.from_bytes(header[16:18], "big")
    expected = (65536 if page_bytes == 1 else page_bytes) * int.from_bytes(header[28:32], "big")
    if path.stat().st_size < expected:
        raise damaged_db(path, f"{path.stat().st_size} bytes, its header says {expected}")


def check_pages(path: Path) -> None:
    """Raises DamagedError unless every page of the database is in order. Reads the whole file."""
    with database_errors(path):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    if found != "ok":
        raise damaged_db(path, found)


def _set_up(connection: Any, _record: Any) -> None:
    """Pragmas of every connection; isolation_level None leaves BEGIN to us."""
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_S * 1000}",
        f"journal_mode = {journal_mode()}",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("burnish_begin", "BEGIN IMMEDIATE"))
