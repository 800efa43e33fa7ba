"""The project's database, a file of SQLite or on a server: short transactions, durable before they are acknowledged.

Rollback journal where SQLite is older than 3.51.3: its WAL mode can corrupt a database that two connections write
(sqlite.org, "WAL-reset bug"), and Debian 12 ships 3.40.1. WAL from there on. The file never has a pool: nothing
survives a fork. `server.py` knows PostgreSQL.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool

from burnish.errors import AccessError, BurnishError, BusyError, DamagedError, StorageError
from burnish.store.failpoints import failpoint
from burnish.store.files import shown_size, storage_errors
from burnish.store.server import server_engine, server_errors, shown_url, take_turn

BUSY_TIMEOUT_S = 30
RETRY_S, LONGEST_RETRY_S = 0.001, 0.01
"""Between tries for a lock, growing. SQLite's own waits grow to 100 ms, which 20 reviewers would feel; with 1 ms for
all, 20 that wait keep a core from the one that works."""
WAL_IS_SAFE_FROM = (3, 51, 3)
SMALLEST_PAGE = 512
"""Bytes; no database of SQLite is smaller."""
FILE_NAME = "burnish.db"
ELSEWHERE = "database.json"
"""The note of a project whose history is on a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Db:
    """The database of a project."""

    path: Path
    """The file; of a project on a server, the place where it would be."""
    url: URL | None = None
    """Address of the server; None: the database is the file."""
    shared: Connection | None = None
    """Of a moment: the transaction that all reads go through."""

    @property
    def name(self) -> str:
        """What messages call it; no password."""
        return shown_url(self.url) if self.url else str(self.path)

    @property
    def engine(self) -> Engine:
        """The connections of this process."""
        return server_engine(self.url) if self.url else _file_engine(self.path, os.getpid())

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that holds the write lock from its start; on disk when the block has ended, or undone."""
        return self._writing(beside_others=False)

    def write_rows(self) -> AbstractContextManager[Connection]:
        """The same, beside others of its kind on a server: each has to lock the rows that it decides on."""
        return self._writing(beside_others=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database and blocks no reader."""
        if self.shared is not None:
            yield self.shared
            return
        with self.errors(), self.engine.connect() as connection:
            level: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            reading = connection.execution_options(**level if self.url else {"burnish_reads": True})
            with reading.begin():
                yield reading

    @contextmanager
    def moment(self) -> Iterator["Db"]:
        """The database as it is now: all reads in the block are one transaction, and nothing can be written by it.

        For a page of many small reads: a connection to a file costs 0.7 ms, most queries a tenth of that.
        """
        with self.read() as connection:
            yield replace(self, shared=connection)

    def errors(self) -> AbstractContextManager[None]:
        """Turns errors of the database into ours."""
        return server_errors(self.url) if self.url else database_errors(self.path)

    @contextmanager
    def _writing(self, *, beside_others: bool) -> Iterator[Connection]:
        assert self.shared is None, "a moment of the database is only read"
        with self.errors(), self.engine.connect() as connection:
            with connection.begin():
                if self.url:
                    take_turn(connection, beside_others=beside_others)
                yield connection
                failpoint("db.commit")
            failpoint("db.committed")


def connect_db(path: Path, url: URL | None = None) -> Db:
    """The database at `path`, or at `url`; nothing is read or written yet."""
    return Db(path=path, url=url)


def upsert(
    connection: Connection, table: Table, key: str, row: Mapping[str, object], again: Mapping[str, object]
) -> None:
    """Inserts a row; where its key is there already, changes what `again` says."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row)
    connection.execute(statement.on_conflict_do_update(index_elements=[table.c[key]], set_=dict(again)))


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
    """Raises DamagedError when the file is too short for a database, without opening it.

    Whoever opens and closes the file beside SQLite gives up the locks that all connections of this process hold on it
    (POSIX advisory locks), and other processes write into what is being written. SQLite itself refuses a file that is
    shorter than its header says.
    """
    with storage_errors("reading the database", path.parent):
        size = path.stat().st_size
    if size < SMALLEST_PAGE:
        raise damaged_db(path, f"it is {shown_size(size)} long")


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


@lru_cache(maxsize=64)
def _file_engine(path: Path, _process: int) -> Engine:
    """One engine for each file and process: its compiled statements are kept, its connections are not."""
    engine = create_engine(f"sqlite+pysqlite:///{path}", poolclass=NullPool)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


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
    is_reading = connection.get_execution_options().get("burnish_reads", False)
    steps = ("BEGIN", "SELECT 1 FROM sqlite_master") if is_reading else ("BEGIN IMMEDIATE",)
    _take_lock(connection.connection.dbapi_connection, steps)


def _take_lock(connection: Any, steps: Sequence[str]) -> None:
    """Takes the last of the steps until it is this connection's turn, or the time is up."""
    deadline, pause_s = time.monotonic() + BUSY_TIMEOUT_S, RETRY_S
    connection.execute("PRAGMA busy_timeout = 0").close()
    for step in steps[:-1]:
        connection.execute(step).close()
    while True:
        try:
            connection.execute(steps[-1]).close()
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, LONGEST_RETRY_S)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}").close()
