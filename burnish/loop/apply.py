"""Puts settings that a search found into burnish.yaml: only their lines change, comments and all else stay."""

import json
import re
from collections.abc import Mapping
from typing import Any

from burnish.errors import ConfigError, UsageError
from burnish.loop.project import SETTINGS_FILE, Project, settings_with
from burnish.loop.tuning import RESULT_FILE
from burnish.settings.source import read_settings
from burnish.store.files import write_atomic


def apply_suggestion(project: Project) -> dict[str, Any]:
    """Writes the last search's settings into burnish.yaml and returns what changed, by full name.

    Raises UsageError when there was no search, ConfigError with the lines to write by hand when the file is laid out
    so that its lines cannot be changed one by one; then it is as it was.
    """
    place = project.store.root / RESULT_FILE
    if not place.exists():
        raise UsageError("no search has come to a result yet", hint=f"burnish tune --project {project.folder}")
    wanted: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))["settings"]
    path = project.folder / SETTINGS_FILE
    before = read_settings(path)
    now = before.model_dump(mode="json")
    changes = {name: value for name, value in wanted.items() if _at(now, name) != value}
    text = path.read_text(encoding="utf-8-sig")
    draft = path.with_name(f".{SETTINGS_FILE}.tuned")
    try:
        write_atomic(draft, with_settings(text, changes).encode())
        is_right = read_settings(draft) == settings_with(before, changes)
    except ConfigError:
        is_right = False
    finally:
        draft.unlink(missing_ok=True)
    if not is_right:
        raise ConfigError(
            f"{path} cannot be changed line by line", hint="write these yourself: " + "; ".join(_spelled(changes))
        )
    if changes:
        write_atomic(path, with_settings(text, changes).encode())
    return changes


def with_settings(text: str, changes: Mapping[str, Any]) -> str:
    """The text of a settings file with these values, by full name such as train.lr; a missing line is added."""
    lines = text.splitlines()
    for name, value in changes.items():
        section, key = name.split(".")
        lines = _with_setting(lines, section, key, json.dumps(value))
    return "\n".join(lines) + "\n"


def _with_setting(lines: list[str], section: str, key: str, value: str) -> list[str]:
    head = next((at for at, line in enumerate(lines) if re.match(rf"{section}:\s*(#.*)?$", line)), None)
    if head is None:
        return [*lines, f"{section}:", f"  {key}: {value}"]
    end = head + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " #"):
        end += 1
    for at in range(head + 1, end):
        found = re.match(rf"(\s+){key}:(.*?)(\s+#.*)?$", lines[at])
        if found:
            nested = at + 1
            while nested < end and re.match(rf"{found[1]}(\s+|- )\S", lines[nested]) and "#" not in lines[nested]:
                nested += 1  # a list that was written below its name
            return [*lines[:at], f"{found[1]}{key}: {value}{found[3] or ''}", *lines[nested:]]
    indents = [re.match(r"\s+", line) for line in lines[head + 1 : end] if line.strip() and line[0] == " "]
    indent = indents[0].group() if indents and indents[0] else "  "
    return [*lines[: head + 1], f"{indent}{key}: {value}", *lines[head + 1 :]]


def _at(data: Mapping[str, Any], name: str) -> Any:
    section, key = name.split(".")
    return data[section][key]


def _spelled(changes: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {json.dumps(value)}" for name, value in changes.items()]
