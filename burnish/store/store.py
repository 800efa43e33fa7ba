"""The store of a project: its database, artifacts and lock, all under DIR/.burnish; the database may be on a server."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from burnish.errors import StorageError, UsageError
from burnish.store.artifacts import Artifacts
from burnish.store.backup import back_up, backups
from burnish.store.db import Db, check_size, damaged_db
from burnish.store.failpoints import failpoint
from burnish.store.files import storage_errors, write_atomic
from burnish.store.lock import Holder, ProjectLock, lock_of
from burnish.store.migrate import REVISIONS, bring_up_to_date, format_of
from burnish.store.place import claim_db, find_db
from burnish.talk import Silence, Talk

FOLDER = ".burnish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An open project."""

    project: Path
    root: Path
    """The project's .burnish folder."""
    db: Db
    artifacts: Artifacts
    project_lock: ProjectLock

    def lock(self, talk: Talk | None = None) -> AbstractContextManager[None]:
        """Holds the project for writing; free to enter again in the same process.

        Raises BusyError at once, naming host, pid, start and command of the holder, when another process works on it.
        """
        return self.project_lock.held(talk)

    def holder(self) -> Holder | None:
        """The process that works on the project now, or None."""
        return self.project_lock.holder()

    def relative(self, path: Path) -> str:
        """`path` as it is kept in the database, relative to .burnish, so that the project folder can be moved."""
        return path.resolve().relative_to(self.root).as_posix()

    def path_of(self, relative: str) -> Path:
        """The place of a path kept in the database. Raises StorageError when it would lie outside .burnish."""
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root):
            raise StorageError(f"the database names {relative}, outside {self.root}", hint="run `burnish restore`")
        return path


def open_store(project: Path, *, talk: Talk | None = None, today: date | None = None) -> Store:
    """Opens a project's store, and makes .burnish when it is absent; a few milliseconds when it is up to date.

    Two processes may open an empty folder at once. The first opening of a day leaves a checked copy of the database in
    .burnish/backup; on a server, copies are its keeper's work. Raises DamagedError when the database cannot be read,
    StorageError when a newer burnish wrote it, ConfigError when the history is elsewhere.
    """
    talk = talk or Silence()
    if not project.is_dir():
        raise UsageError(f"there is no folder {project}", hint=f"`burnish init {project}` makes a project there")
    root = project.resolve() / FOLDER
    _make_folder(root)
    db = find_db(root)
    if db.url is None:
        _refuse_damage(db.path)
    if format_of(db) != REVISIONS[-1]:
        bring_up_to_date(db, talk)
    elif db.url is None and back_up(db.path, today or date.today()):
        talk.say("made the daily backup of the project's database")
    if db.url is not None:
        claim_db(root, db)
    return Store(project=project.resolve(), root=root, db=db, artifacts=Artifacts(root), project_lock=lock_of(root))


def _make_folder(root: Path) -> None:
    """.burnish with a .gitignore of its own, so that weights and the database never slip into a commit."""
    with storage_errors("making the project's folder", root.parent):
        failpoint("store.folder")
        for name in ("artifacts", "work", "logs"):
            (root / name).mkdir(parents=True, exist_ok=True)
        if not (root / ".gitignore").exists():
            write_atomic(root / ".gitignore", b"*\n")


def _refuse_damage(path: Path) -> None:
    """Raises DamagedError for a database that is gone, empty or cut while copies of it exist, or that is none."""
    size_bytes = path.stat().st_size if path.exists() else 0
    if size_bytes:
        check_size(path)
    elif backups(path.parent):
        raise damaged_db(path, "it is empty" if path.exists() else "it is gone, though there are backups of it")
