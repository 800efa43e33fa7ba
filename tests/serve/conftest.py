"""A project with a trained champion and seven more versions, made once; and a server over it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from burnish.data.intake import add_files
from burnish.fakes import random_version
from burnish.loop.project import SETTINGS_FILE, Project, create_project, open_project, settings_with
from burnish.loop.round import run_round
from burnish.registry import promote
from burnish.settings import write_settings
from burnish.talk import Silence
from tests.loop.conftest import small_base, small_settings, write_rows
from tests.serve.town import NAMES, Town, bench_of, serving

__all__ = ["small_base"]


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> Project:
    folder = tmp_path_factory.mktemp("served")
    changes = {"task.shots": 0, "train.search": [1.0], "train.lr": 0.01, "synthesize.top_up": False}
    settings = settings_with(small_settings(small_base), changes)
    project = create_project(folder / "desk", settings)
    add_files(project.store, project.settings, [write_rows(folder / "rows.jsonl", 90)], Silence(), skip_bad=False)
    result, _ = run_round(project, Silence())
    promote(project.store, result.challenger, "the tests serve it", "test")
    base = bench_of(project)
    for at, name in enumerate(NAMES):
        random_version(project.store, base, name, rank=1 + at, seed=at)
    return project


@pytest.fixture
def project(furnished: Project, tmp_path: Path) -> Project:
    """A copy that a test may change."""
    return open_project(Path(shutil.copytree(furnished.folder, tmp_path / "desk")))


@pytest.fixture(scope="module")
def town(furnished: Project) -> Iterator[Town]:
    with serving(furnished) as town:
        yield town


@pytest.fixture(scope="session")
def twin(furnished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A second project on the same base: bea is its champion, it alone has zed, and its task has an instruction."""
    folder = Path(shutil.copytree(furnished.folder, tmp_path_factory.mktemp("neighbour") / "twin"))
    changes = {"project": "twin", "task.instruction": "Name the topic."}
    write_settings(folder / SETTINGS_FILE, settings_with(furnished.settings, changes))
    project = open_project(folder)
    random_version(project.store, bench_of(project), "zed", rank=2, seed=99)
    promote(project.store, "bea", "the neighbour's own choice", "test")
    return project
