"""Writes burnish.yaml as a file for people: each setting under its explanation; reading it gives equal settings."""

import os
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from burnish.config import Section, Settings
from burnish.errors import AccessError
from burnish.settings.schema import setting_names, value_at
from burnish.strict_yaml import dump

WIDTH = 100
HEAD = "Settings of a burnish project, each with its explanation. A line that is removed falls back to its default."


def write_settings(path: Path, settings: Settings) -> None:
    """Writes the settings as a file for people: each with its explanation; reading it gives equal settings."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(settings_text(settings))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        hint = "choose a folder with space that you may write to"
        raise AccessError(f"{path} cannot be written: {error.strerror}", hint=hint) from error


def settings_text(settings: Settings) -> str:
    """burnish.yaml for these settings, explained setting by setting."""
    return "\n".join([*_comment(HEAD, ""), "", *_section_lines(settings, ""), ""])


def resolved(settings: Settings, reasons: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Every setting's value and why it has it, by full name, as plain JSON for settings.json.

    Without a reason of its own a setting is "default" or "set by the project". A reason for an unknown name is our
    mistake (AssertionError).
    """
    names = setting_names()
    assert set(reasons) <= set(names), f"reasons for unknown settings: {sorted(set(reasons) - set(names))}"
    mine, default = settings.model_dump(mode="json"), Settings().model_dump(mode="json")
    table = {}
    for name in names:
        value = value_at(mine, tuple(name.split(".")))
        plain = "default" if value == value_at(default, tuple(name.split("."))) else "set by the project"
        table[name] = {"value": value, "reason": reasons.get(name, plain)}
    return table


def _section_lines(section: Section, indent: str) -> Iterator[str]:
    """The settings of a section, each under its comment, with a blank line between them."""
    for number, (key, about) in enumerate(type(section).model_fields.items()):
        value = getattr(section, key)
        if number:
            yield ""
        if isinstance(value, Section):
            yield from _comment(str(type(value).__doc__), indent)
            yield f"{indent}{key}:"
            yield from _section_lines(value, indent + "  ")
        else:
            yield from _comment(about.description or "", indent)
            yield from _value_lines(key, section.model_dump()[key], indent)


def _value_lines(key: str, value: Any, indent: str) -> list[str]:
    plain = list(value) if isinstance(value, tuple) else value
    line = f"{indent}{key}: {dump(plain)}"
    if isinstance(plain, dict | list) and plain and (isinstance(plain, dict) or len(line) > WIDTH):
        inner = dump(plain, flow=False).split("\n")
        return [f"{indent}{key}:", *(f"{indent}  {entry}" for entry in inner)]
    return [line]


def _comment(text: str, indent: str) -> list[str]:
    joined = " ".join(text.split())
    return textwrap.wrap(joined, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
