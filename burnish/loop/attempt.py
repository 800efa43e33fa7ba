"""From a stranger's file to an honest number in one call: make the project, check the data, run a round."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from burnish.config import Settings
from burnish.data.add_report import AddReport
from burnish.data.ingest import nothing_read, read_rows
from burnish.data.intake import add_files, batch_name
from burnish.data.task import guess_kind
from burnish.loop.project import SETTINGS_FILE, Project, create_project, open_project, settings_with
from burnish.records import Example
from burnish.settings.source import laid_over
from burnish.store.batches import batches
from burnish.talk import Talk

COLUMNS = ("text", "answer", "group", "sheet")
"""Settings of data that say where a file's rows are and what its columns mean."""

LOOKED_AT = 2_000
"""Rows of a file from which the kind of task is guessed."""


def settings_from(file: str, settings: Settings) -> Settings:
    """Settings whose task kind is the one that the file's answers look like. Raises DataError on a file without one."""
    rows = list(islice(read_rows(file, settings), LOOKED_AT))
    examples = [row for row in rows if isinstance(row, Example)]
    if not examples:
        raise nothing_read(file, rows)
    return settings_with(settings, {"task.kind": guess_kind(examples)})


def open_or_create(folder: Path, file: str, overrides: Sequence[str] = (), *, base: str | None = None) -> Project:
    """The project in `folder`; a new one gets its task kind from `file`, and keeps the columns that overrides name."""
    if not (folder / SETTINGS_FILE).exists():
        changes: dict[str, object] = {"project": folder.resolve().name}
        if base:
            changes["base"] = base
        mine = settings_with(Settings(), changes)
        found = settings_from(file, laid_over(mine, overrides))
        columns = {f"data.{name}": getattr(found.data, name) for name in COLUMNS}
        create_project(folder, settings_with(mine, {"task.kind": found.task.kind, **columns}))
    return open_project(folder, overrides)


def add_once(project: Project, file: Path, talk: Talk, *, skip_bad: bool) -> AddReport | None:
    """Adds a file, unless a batch of that name is there already: the same command twice adds it once."""
    if any(batch.name == batch_name(file) for batch in batches(project.store)):
        return None
    return add_files(project.store, project.settings, [file], talk, skip_bad=skip_bad)
