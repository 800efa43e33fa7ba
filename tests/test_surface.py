"""What users and scripts rely on grows on purpose: settings, public names, commands and their options."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.main

import burnish
from burnish.cli.main import app
from burnish.settings.schema import setting_names

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"


def test_the_settings_are_these():
    assert list(setting_names()) == (GOLDEN / "settings.txt").read_text().split()


def test_the_public_names_are_these():
    assert burnish.__all__ == ["BurnishError", "RoundResult", "Settings", "create_project", "open_project", "run_round"]
    for name in burnish.__all__:
        assert getattr(burnish, name).__doc__, name
    with pytest.raises(AttributeError, match="burnish has no 'Trainer'"):
        _ = burnish.Trainer


def commands() -> dict[str, list[str]]:
    """Every command with its options."""
    found: dict[str, list[str]] = {}

    def walk(command, path: str) -> None:
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}".strip())
        if not hasattr(command, "commands"):
            found[path] = sorted(option for parameter in command.params for option in parameter.opts)

    walk(typer.main.get_command(app), "")
    return found


def test_the_commands_and_their_options_are_these():
    golden = json.loads((GOLDEN / "commands.json").read_text())
    assert commands() == golden


WRITING = {"data export", "init"}
"""Commands that have nothing to tell a script but their exit code."""


@pytest.mark.parametrize("command", sorted(set(json.loads((GOLDEN / "commands.json").read_text())) - WRITING))
def test_every_command_that_tells_something_speaks_json(command):
    assert command == "config schema" or "--json" in commands()[command]


def test_help_is_quick_and_does_not_load_torch():
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "burnish.cli.main", "--help"], check=True, capture_output=True)
        seconds.append(time.monotonic() - started)
    # 0.5 s is the promise; the best of three, because the machine that runs the tests is shared.
    assert min(seconds) < 0.5, seconds


@pytest.mark.parametrize("module", ["burnish", "burnish.cli.main", "burnish.loop.project", "burnish.settings.source"])
def test_light_modules_do_not_load_torch(module):
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'transformers', 'pyarrow'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
