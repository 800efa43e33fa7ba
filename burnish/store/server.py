"""A project's database on a PostgreSQL server: its address, its connections, its locks, and words for its errors.

Writers take turns by an advisory lock of the database, as they do on SQLite, so every part of the store keeps what it
promises. The review queue's writers stand beside each other and lock the rows that they change. No password is shown.
"""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, func, make_url, select, text

from burnish.errors import AccessError, BurnishError, BusyError, ConfigError, StorageError
from burnish.store.tables import APPEND_ONLY, metadata

VARIABLE = "BURNISH_DATABASE_URL"
WAIT_S = 30
"""For a lock that another writer holds; for a free connection of this process too."""
WRITERS = 0x6275726E
"""The advisory lock of writers, the same number in every database of burnish."""
DENIED = ("password", "pg_hba", "role ", "permission denied", "authentication")


def server_url(environment: Mapping[str, str] = os.environ) -> URL | None:
    """The address in BURNISH_DATABASE_URL, None without one. Raises ConfigError where it is no PostgreSQL."""
    given = environment.get(VARIABLE, "").strip()
    if not given:
        return None
    known = f"write {VARIABLE}=postgresql://USER@HOST/DATABASE, or unset it for the file in .burnish"
    try:
        url = make_url(given)
    except (exc.ArgumentError, ValueError) as error:
        raise ConfigError(f"{VARIABLE} is no address of a database", hint=known) from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError(f"{VARIABLE} names a database of the kind {url.get_backend_name()!r}", hint=known)
    if not url.database:
        raise ConfigError(f"{VARIABLE} names no database on its server", hint=known)
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigError(f"{VARIABLE} is set, and psycopg is not installed", hint="pip install 'burnish[postgres]'")
    return url.set(drivername="postgresql+psycopg")


def shown_url(url: URL) -> str:
    """The address without its password and options, as messages and files may have it."""
    host = url.host or url.query.get("host") or "localhost"
    user, port = f"{url.username}@" if url.username else "", f":{url.port}" if url.port else ""
    return f"postgresql://{user}{host}{port}/{url.database}"


def server_engine(url: URL) -> Engine:
    """The connections of this process to a server; a forked child gets its own."""
    return _engine(url, os.getpid())


def take_turn(connection: Connection, *, beside_others: bool) -> None:
    """Waits until no other writer works; with `beside_others` only until none works that wants to be alone."""
    lock = func.pg_advisory_xact_lock_shared if beside_others else func.pg_advisory_xact_lock
    connection.execute(select(lock(WRITERS)))


def take_name(connection: Connection, name: str) -> None:
    """Waits until no other transaction works under this name; on SQLite there is none that could."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(WRITERS, func.hashtext(name))))


def make_tables(connection: Connection) -> None:
    """All tables of today's format in an empty database, with the triggers that keep history append-only."""
    metadata.create_all(connection)
    connection.execute(
        text(
            "CREATE FUNCTION burnish_refuses() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
    )
    for table in APPEND_ONLY:
        for verb, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            name = f"{table}_refuses_{each.lower()}"
            connection.execute(
                text(
                    f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH {each} EXECUTE FUNCTION burnish_refuses()"
                )
            )


@contextmanager
def server_errors(url: URL) -> Iterator[None]:
    """Turns errors of the server and of the way to it into ours, with the next step in the hint."""
    try:
        yield
    except BurnishError:
        raise
    except exc.TimeoutError as error:
        raise BusyError(f"no connection to {shown_url(url)} was free for {WAIT_S} s", hint="try again") from error
    except exc.DBAPIError as error:
        raise told_server_error(getattr(error.orig, "sqlstate", None), str(error.orig), url) from error


def told_server_error(state: str | None, told: str, url: URL) -> BurnishError:
    """The BurnishError for a message of the server; `state` is its SQLSTATE, None where no connection came about."""
    name, words = shown_url(url), " ".join(_without_password(told, url).split())[:300]
    if state in ("55P03", "40P01", "57014"):
        return BusyError(f"{name} stayed locked for {WAIT_S} s by another process", hint="try again")
    if state == "53100":
        return StorageError(f"no space left on the disk of {name}", hint="free some space there and run it again")
    if state == "3D000" or (state is None and f'database "{url.database}" does not exist' in words):
        hint = f"make it once: createdb {url.database}"
        return ConfigError(f"there is no database {url.database!r} on the server of {name}", hint=hint)
    if (state or "").startswith(("28", "42501")) or (state is None and any(word in words for word in DENIED)):
        hint = f"give the user rights there, and its password in {VARIABLE}, PGPASSWORD or ~/.pgpass"
        return AccessError(f"{name} lets nobody in like this: {words}", hint=hint)
    if state is None or state.startswith(("08", "57P")):
        hint = f"see that the server runs and that {VARIABLE} names it; what was committed is kept"
        return StorageError(f"the database {name} does not answer: {words}", hint=hint)
    return StorageError(f"the database {name} refuses: {words}", hint="the server's log says more")


@lru_cache(maxsize=16)
def _engine(url: URL, _process: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=4,
        max_overflow=28,
        pool_timeout=WAIT_S,
        pool_pre_ping=True,
        # Not prepared: a plan that does not know how few rows a claim wants may sort the whole queue for each.
        connect_args={"connect_timeout": 10, "application_name": "burnish", "prepare_threshold": None},
    )
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, _record: Any) -> None:
    """Waits end, and a commit is on the server's disk before it is acknowledged, whatever the server's default is.

    Queries are not compiled: a claim takes 0.3 ms, and the server would spend 350 ms on making machine code of it.
    """
    connection.autocommit = True
    connection.execute(f"SET lock_timeout = '{WAIT_S}s'")
    connection.execute("SET jit = off")
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.autocommit = False


def _without_password(told: str, url: URL) -> str:
    secrets = [str(url.password or ""), str(url.query.get("password") or "")]
    for secret in filter(None, secrets):
        told = told.replace(secret, "***")
    return told
