"""From a stranger's file to an honest number in one call: make the project, check the data, run a round."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from burnish.config import Settings
from burnish.data.add_report import AddReport
from burnish.data.ingest import read_rows
from burnish.data.intake import add_files, batch_name
from burnish.data.task import guess_kind
from burnish.errors import DataError
from burnish.loop.project import SETTINGS_FILE, Project, create_project, open_project, settings_with
from burnish.records import Example
from burnish.store.batches import batches
from burnish.talk import Talk

LOOKED_AT = 2_000
"""Rows of a file from which the kind of task is guessed."""


def settings_from(file: str, settings: Settings) -> Settings:
    """Settings whose task kind is the one that the file's answers look like. Raises DataError on a file without one."""
    rows = [row for row in islice(read_rows(file, settings), LOOKED_AT) if isinstance(row, Example)]
    if not rows:
        raise DataError(f"{file} holds no row that can be read", hint=f"see why: burnish data check {file}")
    return settings_with(settings, {"task.kind": guess_kind(rows)})


def open_or_create(folder: Path, file: str, overrides: Sequence[str] = (), *, base: str | None = None) -> Project:
    """The project in `folder`; a new one gets its task kind from `file`."""
    if not (folder / SETTINGS_FILE).exists():
        changes: dict[str, object] = {"project": folder.resolve().name}
        if base:
            changes["base"] = base
        create_project(folder, settings_from(file, settings_with(Settings(), changes)))
    return open_project(folder, overrides)


def add_once(project: Project, file: Path, talk: Talk, *, skip_bad: bool) -> AddReport | None:
    """Adds a file, unless a batch of that name is there already: the same command twice adds it once."""
    if any(batch.name == batch_name(file) for batch in batches(project.store)):
        return None
    return add_files(project.store, project.settings, [file], talk, skip_bad=skip_bad)
