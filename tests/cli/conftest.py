"""Two small projects with a finished round each: one promoted, in the other the gate could not tell."""

import shutil
from pathlib import Path

import pytest

from tests.cli.calls import Call, burnish
from tests.loop.conftest import PROMOTES, small_base, write_rows

__all__ = ["small_base"]
QUICK = {"train.epochs": 2, "train.precision": "float32", "lora.rank": 4, "roles.vaults": 1}


def overrides(*tables: dict[str, object]) -> list[str]:
    """--set options for the settings of all tables, the last one counting."""
    merged = {name: value for table in tables for name, value in table.items()}
    return [word for name, value in merged.items() for word in ("--set", f"{name}={value}")]


def write_settings(folder: Path, *tables: dict[str, object]) -> None:
    """Puts settings into the project's burnish.yaml, as a user would."""
    import yaml

    path = folder / "burnish.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for table in tables:
        for name, value in table.items():
            section, _, key = name.rpartition(".")
            (data[section] if section else data)[key] = value
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


def make_project(folder: Path, base: Path, num_rows: int, *tables: dict[str, object]) -> Path:
    """A project with rows and no round."""
    rows = write_rows(folder.parent / "rows.jsonl", num_rows)
    assert burnish("init", folder, "--base", base, "--from", rows).code == 0
    write_settings(folder, QUICK, *tables)
    assert burnish("data", "add", rows, "--project", folder, "--quiet").code == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def promoted(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> tuple[Path, Call]:
    """A project whose first round promoted, and what that round printed."""
    folder = make_project(tmp_path_factory.mktemp("promoted") / "desk", small_base, 120, PROMOTES)
    return folder, burnish("round", "--project", folder, "--json")


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> tuple[Path, Call]:
    """A project whose first round could prove nothing, and what that round printed."""
    folder = make_project(tmp_path_factory.mktemp("held") / "desk", small_base, 90)
    return folder, burnish("round", "--project", folder, "--json")


@pytest.fixture
def desk(held: tuple[Path, Call], here: Path) -> Path:
    """A copy of the second project, in the folder `here`, to be changed at will."""
    shutil.copytree(held[0], here / "desk")
    shutil.copy(held[0].parent / "rows.jsonl", here)
    return here / "desk"
