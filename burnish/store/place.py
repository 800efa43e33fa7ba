"""Where a project's database is: in its own file, or on the server that BURNISH_DATABASE_URL names, and never in both.

A project on a server leaves a note of where, without user or password, so that nobody goes on in an empty file beside
it; and the database knows whose it is, so that two projects never share one.
"""

import json
import secrets
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL, insert, select

from burnish.errors import ConfigError, StorageError
from burnish.store.backup import backups
from burnish.store.db import ELSEWHERE, FILE_NAME, Db, connect_db
from burnish.store.files import storage_errors, write_atomic
from burnish.store.lock import exclusive
from burnish.store.migrate import TIMEOUT_S, format_of
from burnish.store.server import VARIABLE, server_url, shown_url
from burnish.store.tables import project_identity

_known: set[tuple[URL, str]] = set()
"""Databases that this process has found to be of the project: an identity never changes, so it is read once."""


class Note(NamedTuple):
    """What a project on a server remembers."""

    server: str
    identity: str


def find_db(root: Path) -> Db:
    """The database of the project whose .burnish folder is `root`; nothing of its history is read yet.

    Raises ConfigError where the project has its history elsewhere than the environment says.
    """
    url, note = server_url(), _read_note(root)
    if url is None and note is None:
        return connect_db(root / FILE_NAME)
    if url is None:
        assert note is not None
        raise ConfigError(
            f"the history of {root.parent} is in {note.server}, and {VARIABLE} is not set",
            hint=f"set {VARIABLE} to its address; a password may come from PGPASSWORD or ~/.pgpass",
        )
    db = connect_db(root / FILE_NAME, url)
    if note is None:
        _settle(root, db, url)
    return db


def claim_db(root: Path, db: Db) -> None:
    """Makes an empty database on a server this project's, and raises ConfigError where it is another one's."""
    note = _read_note(root)
    if note is None or db.url is None or (db.url, note.identity) in _known:
        return
    with db.write() as connection:
        found = connection.execute(select(project_identity.c.id)).scalar()
        if found is None:
            connection.execute(insert(project_identity).values(id=note.identity))
    if found not in (None, note.identity):
        raise _of_another(db, root)
    _known.add((db.url, note.identity))


def _settle(root: Path, db: Db, url: URL) -> None:
    """Notes the server of a project that has no history yet."""
    with exclusive(root / "migrate.lock", timeout_s=TIMEOUT_S):
        if _read_note(root) is not None:
            return
        if (root / FILE_NAME).exists() or backups(root):
            raise ConfigError(
                f"{VARIABLE} is set, and the history of {root.parent} is in {root / FILE_NAME}",
                hint=f"unset {VARIABLE} to go on with it; a history does not move to a server yet",
            )
        if format_of(db) is not None:
            raise _of_another(db, root)
        note = Note(server=shown_url(url), identity=secrets.token_hex(16))
        write_atomic(root / ELSEWHERE, json.dumps(note._asdict()).encode())


def _of_another(db: Db, root: Path) -> ConfigError:
    return ConfigError(
        f"{db.name} holds the history of another project than {root.parent}",
        hint="give each project a database of its own: createdb NAME",
    )


def _read_note(root: Path) -> Note | None:
    path = root / ELSEWHERE
    if not path.exists():
        return None
    with storage_errors("reading where the database is", root):
        text = path.read_text(encoding="utf-8")
    try:
        return Note(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise StorageError(
            f"{path} cannot be read: {error}", hint="bring it back from a copy of the project"
        ) from error
