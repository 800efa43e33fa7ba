"""A project: one folder with a burnish.yaml that people write and a .burnish folder that the machine writes.

Nothing in it holds an absolute path, so the folder can be moved or copied as a whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from burnish.config import Settings
from burnish.errors import ConfigError, UsageError
from burnish.settings.source import read_settings
from burnish.settings.text import write_settings
from burnish.store.progress import told
from burnish.store.store import Store, open_store
from burnish.talk import Talk

SETTINGS_FILE = "burnish.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """An open project folder."""

    folder: Path
    settings: Settings
    store: Store

    @property
    def rounds_folder(self) -> Path:
        """Where each round leaves its settings, result and report."""
        return self.store.root / "rounds"

    def shown(self, path: Path) -> str:
        """A path inside the project, relative to its folder."""
        return str(path.resolve().relative_to(self.store.project))


def create_project(folder: Path, settings: Settings) -> Project:
    """A new project folder with a commented burnish.yaml. Raises UsageError where a project already is."""
    if (folder / SETTINGS_FILE).exists():
        raise UsageError(
            f"{folder} already holds a project ({SETTINGS_FILE})",
            hint=f"go on with it: burnish round --project {folder}; or choose another folder",
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text(".burnish/\n", encoding="utf-8")
    write_settings(folder / SETTINGS_FILE, settings)
    return open_project(folder)


def open_project(folder: Path, overrides: Sequence[str] = (), *, store: Store | None = None) -> Project:
    """The project in `folder`, with --set overrides applied; its store may be open already.

    Raises ConfigError when there is none.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        raise ConfigError(
            f"there is no {SETTINGS_FILE} in {folder.resolve()}",
            hint="start a project here with `burnish init DIR`, or name one with --project DIR",
        )
    settings = read_settings(path, overrides)
    return Project(folder=folder, settings=settings, store=store or open_store(folder))


@contextmanager
def moment(project: Project) -> Iterator[Project]:
    """The project with its database as it is now: the reads in the block see one moment, and nothing can be written."""
    with project.store.db.moment() as db:
        yield replace(project, store=replace(project.store, db=db))


@contextmanager
def locked(project: Project, talk: Talk) -> Iterator[None]:
    """Holds the project for one process. Raises BusyError, naming the holder, when another process has it."""
    with project.store.lock(talk):
        yield


@contextmanager
def followed(project: Project, talk: Talk) -> Iterator[Talk]:
    """The same for work that others may watch: gives a talk that also tells them, in .burnish/progress.json."""
    with project.store.lock(talk), told(project.store.root, talk) as telling:
        yield telling


def settings_with(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """A copy with some top-level or dotted fields replaced, checked again as a whole."""
    data = settings.model_dump()
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = data
        for name in parents:
            section = section[name]
        section[last] = value
    return Settings.model_validate(data)
