"""Brings a database to this burnish's format, in one transaction and under a lock: two processes may try at once."""

from pathlib import Path

from sqlalchemy import Connection, text

from burnish.errors import StorageError
from burnish.store.chain import start_chain
from burnish.store.db import Db
from burnish.store.failpoints import failpoint
from burnish.store.lock import exclusive, lock_of
from burnish.store.server import make_tables
from burnish.talk import Talk

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
"""Every format this burnish knows, oldest first; a test compares it with the files in migrations/versions."""

TIMEOUT_S = 60.0
HAS_FORMAT = {
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    "postgresql": "SELECT to_regclass('alembic_version') IS NOT NULL",
}
"""Asked at every opening, which a server does at every request, so it is asked in the shortest way."""


def format_of(db: Db) -> str | None:
    """The format of the database, None when it is new. Raises StorageError when a newer burnish wrote it."""
    if db.url is None and not db.path.exists():
        return None
    with db.read() as connection:
        return _format(connection, db.name)


def bring_up_to_date(db: Db, talk: Talk) -> None:
    """Migrates a new or older database to the newest format; does nothing when another process has just done it.

    Raises BusyError when an older database is in use: its holder would meet tables it does not know.
    """
    root = db.path.parent
    with exclusive(root / "migrate.lock", timeout_s=TIMEOUT_S):
        found = format_of(db)
        if found is None:
            upgrade(db, starts_chain=True)
        elif found != REVISIONS[-1]:
            with lock_of(root).held(talk):
                talk.say(f"bringing the database from format {found} to {REVISIONS[-1]}")
                upgrade(db, starts_chain=True)


def _format(connection: Connection, name: str) -> str | None:
    known = connection.exec_driver_sql(HAS_FORMAT[connection.dialect.name]).scalar_one()
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if known else None
    if found is not None and found not in REVISIONS:
        raise StorageError(
            f"{name} has format {found}, this burnish knows formats up to {REVISIONS[-1]}",
            hint="a newer burnish has written it: upgrade with `pip install --upgrade burnish`",
        )
    return None if found is None else str(found)


def upgrade(db: Db, *, starts_chain: bool = False) -> None:
    """Runs the missing steps on a database that nobody else has open, in one transaction: a kill leaves the old format.

    With `starts_chain` the log of decisions begins in the same transaction where it has no entry yet; a copy that gets
    the entries of another file begins it afterwards. An empty database on a server is made as it is today: the steps up
    to 0007 speak SQLite, and no server has seen them. Raises StorageError when a newer burnish wrote it.
    """
    format_of(db)
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    with db.write() as connection:
        context = MigrationContext.configure(connection)
        found = context.get_current_revision()
        if found is None and db.url is not None:
            failpoint("migrate.step")
            make_tables(connection)
            context.stamp(script, "head")
            found = REVISIONS[-1]
        with Operations.context(context):
            for step in reversed(list(script.iterate_revisions("head", found or "base"))):
                if step.revision != found:
                    failpoint("migrate.step")
                    step.module.upgrade()
                    context.stamp(script, step.revision)
        if starts_chain:
            start_chain(connection)
