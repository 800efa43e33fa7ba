"""A project on a tiny base after one real round: a base, a challenger, rows with roles."""

from dataclasses import replace
from pathlib import Path

from burnish.data.intake import add_files
from burnish.fakes import tiny_folder
from burnish.loop.project import Project, create_project, settings_with
from burnish.loop.round import run_round
from burnish.registry import get, register
from burnish.talk import Silence
from tests.loop.conftest import PROMOTES, small_settings, write_rows
from tests.web.conftest import NEWEST


def fresh(folder: Path, **changes: object) -> Project:
    """The project in folder/desk before any round; its round takes about a second and is promoted."""
    base = tiny_folder(folder / "tiny", "llama", seed=0)
    settings = settings_with(small_settings(base), PROMOTES | changes)
    project = create_project(folder / "desk", settings)
    add_files(project.store, settings, [write_rows(folder / "rows.jsonl", 90)], Silence())
    return project


def trained(folder: Path) -> Project:
    """The same after its round, whose challenger has the name NEWEST, too."""
    project = fresh(folder)
    result, _ = run_round(project, Silence())
    register(project.store, replace(get(project.store, result.challenger), name=NEWEST))
    return project
