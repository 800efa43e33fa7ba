"""The documentation describes today's burnish: its commands, options, exit codes, JSON fields, settings and files."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from burnish import errors
from burnish.cli.main import app
from burnish.settings.schema import setting_names

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
PINNED = sorted((ROOT / "tests" / "golden" / "json").glob("*.json"))
BY_NAME = {
    "slices",
    "overall",
    "roles",
    "labels",
    "secrets",
    "by_reason",
    "weakest_slices",
    "rare_values",
    "scores",
    "versions",
    "data",
}
"""Objects whose keys are names from the data, or of libraries; what they hold is documented, they are not."""


def walk(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, f"{path} {name}".strip())
    if not hasattr(command, "commands"):
        yield path, command


METRICS = {"accuracy", "field_accuracy", "token_f1"}
COMMANDS = dict(walk(typer.main.get_command(app)))


def shown_calls(page: Path) -> list[str]:
    """Every line of a code block that calls burnish, comments cut off, continued lines joined."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [found[1] for line in lines if (found := re.match(r"\s*(?:\$ )?burnish\s+(\S.*)", line))]


def parse(call: str) -> None:
    """Parses a call as the command line would, and runs nothing. Raises for what is not there."""
    words = shlex.split(call, comments=True)
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        words = command.named(words) if hasattr(command, "named") else words
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    if "--help" in words or "--version" in words:
        return
    command.make_context("burnish", words).close()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_taught_in_the_guide(command):
    assert re.search(rf"`burnish {command}\b|^\$ burnish {command}\b", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_call_in_a_code_block_is_one_that_burnish_takes(page):
    for call in shown_calls(page):
        try:
            parse(call)
        except Exception as error:
            pytest.fail(f"{page.name}: burnish {call}: {error!r}")


def test_the_check_of_calls_sees_a_wrong_one():
    parse("round --project desk --set train.epochs=5  # a comment")
    for wrong in ("rond", "round --jsn", "data ad x", "promote", "report two", "round --project"):
        with pytest.raises(Exception, match=r"\w"):
            parse(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_in_a_sentence_exists(page):
    text = page.read_text(encoding="utf-8")
    for first, second in re.findall(r"`burnish ([a-z]+)(?: ([a-z]+))?", text):
        names = set(COMMANDS) | {name.split()[0] for name in COMMANDS}
        assert first in names, f"burnish {first}"
        if first in ("data", "config") and second:
            assert f"{first} {second}" in names, f"burnish {first} {second}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page):
    sections = "task|data|roles|lora|train|gate|budget|watch"
    text = page.read_text(encoding="utf-8")
    named = re.findall(rf"(?:`|--set )((?:{sections})\.[a-z_]+)(?=[`= ])", text)
    assert [name for name in named if name not in setting_names() and not name.endswith(".py")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page):
    for link, place in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        if "://" not in link and not link.startswith("mailto:"):
            target = page.parent / link if link else page
            assert target.exists(), link
            assert not place or place in places_of(target), f"{link}#{place}"


def places_of(page: Path) -> set[str]:
    """The names by which links reach a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_exit_codes_of_the_reference_are_those_of_the_error_tree():
    def codes(kind: type[errors.BurnishError]) -> set[int]:
        return {kind.exit_code}.union(*(codes(child) for child in kind.__subclasses__()))

    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", REFERENCE, re.MULTILINE)}
    assert documented == codes(errors.BurnishError) | {
        0,
        errors.EXIT_GATE_HELD,
        errors.EXIT_ALARM,
        errors.EXIT_INCONCLUSIVE,
    }


def fields(value: Any) -> Iterator[str]:
    """The names in a pinned shape that are ours and not the data's."""
    if isinstance(value, list):
        for item in value:
            yield from fields(item)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from (
                (found for each in inner.values() for found in fields(each))
                if name in BY_NAME and isinstance(inner, dict)
                else fields(inner)
            )


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.stem)
def test_every_field_that_is_pinned_is_documented(path):
    shape = json.loads(path.read_text(encoding="utf-8"))
    if path.stem == "config-show":
        shape = dict.fromkeys(shape, "object")  # the settings are documented in burnish.yaml itself
    if path.stem == "costs":
        shape = {**shape, "stages": list(shape["stages"].values())}
    documented = set(re.findall(r"[`\"]([a-z_0-9]+)[`\"]", REFERENCE))
    assert [name for name in fields(shape) if name not in documented | METRICS] == []


def test_every_file_named_with_a_paper_exists():
    papers = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w/]+\.py)` \|", papers, re.MULTILINE)
    assert len(named) > 5
    assert [name for name in named if not any((place / name).is_file() for place in (ROOT / "burnish", ROOT))] == []
