"""A small project on a tiny base, on which whole rounds take about a second."""

import json
from pathlib import Path

import pytest

from burnish.config import Settings
from burnish.data.intake import add_files
from burnish.fakes import tiny_folder
from burnish.loop.project import Project, create_project, settings_with
from burnish.talk import Silence

TOPICS = {
    "payment": ("when is my money sent", "the deposit did not arrive", "how long until I am paid"),
    "login": ("the password is refused", "my account is locked", "no code comes to my phone"),
    "appeal": ("I want a hearing", "the decision letter is wrong", "how do I contest this ruling"),
}

PROMOTES = {
    "train.epochs": 12,
    "train.lr": 0.01,
    "train.search": [1.0],
    "train.checkpoint_every_s": 0.05,
    "roles.train": 0.4,
    "roles.vault": 0.34,
    "roles.audit": 0.0,
    "synthesize.top_up": False,
}
"""Settings under which the small round learns enough to be promoted, and so passes every failpoint, and not all."""


def write_rows(path: Path, num_rows: int, start: int = 0) -> Path:
    """A file of labelled messages, each of its own person, none a near copy of another."""
    names = list(TOPICS)
    with path.open("w", encoding="utf-8") as file:
        for number in range(start, start + num_rows):
            topic = names[number % len(names)]
            opening = TOPICS[topic][number // 3 % 3]
            words = " ".join(f"{chr(97 + (number * step + 5) % 26)}{number * step % 97}" for step in (3, 7, 11, 17, 23))
            row = {"text": f"{opening} {words}", "label": topic, "channel": "web" if number % 2 else "phone"}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a two-layer Llama."""
    return tiny_folder(tmp_path_factory.mktemp("base") / "tiny", "llama", seed=0)


def small_settings(base: Path) -> Settings:
    """Settings under which a round takes about a second."""
    changes = {
        "project": "small",
        "base": str(base),
        "train.epochs": 2,
        "train.search": [1.0, 2.0],
        "train.precision": "float32",
        "train.token_dropout": 0.0,
        "lora.rank": 4,
        "data.max_tokens": 256,
        "roles.vaults": 1,
    }
    return settings_with(Settings(), changes)


@pytest.fixture
def small_project(tmp_path: Path, small_base: Path) -> Project:
    """A project with 90 examples and no round yet."""
    project = create_project(tmp_path / "desk", small_settings(small_base))
    rows = write_rows(tmp_path / "rows.jsonl", 90)
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    return project
