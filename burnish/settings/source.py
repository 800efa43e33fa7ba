"""Reads burnish.yaml. Every problem of a file is told at once, with its line and what would be right."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from burnish.config import Section, Settings
from burnish.errors import AccessError, ConfigError
from burnish.settings.problem import SEE_ALL, Problem, config_error, kind_of, unknown
from burnish.settings.schema import Where, allowed, section_in, spelled, value_at
from burnish.strict_yaml import MAX_BYTES, Document, parse


def read_settings(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings in the file, with overrides such as "train.lr=1e-3" laid over them, the last one counting.

    Raises ConfigError that tells every problem: line, full name of the setting, what was found, what is allowed.
    """
    return _settings_of(_read_text(path), path.name, tuple(overrides))


@lru_cache(maxsize=8)
def _settings_of(text: str, name: str, overrides: tuple[str, ...]) -> Settings:
    """Kept by the text itself: a server opens the project for each request, and parsing takes 15 ms."""
    source = Source(name, parse(text, name))
    for override in overrides:
        source.lay_over(override)
    known = source.without_unknown(Settings, source.data, ())
    settings = None
    try:
        settings = Settings.model_validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        source.note_refused(error.errors(include_url=False))
    if source.problems or settings is None:
        raise config_error(name, source.problems)
    return settings


class Source:
    """Settings on their way in: plain data, where each value came from, and the problems found so far."""

    def __init__(self, name: str, document: Document) -> None:
        if not isinstance(document.data, dict):
            found = _shown(document.data)
            raise ConfigError(f"{name} must hold settings as `name: value`, found {found}", hint=SEE_ALL)
        self.name = name
        self.data: dict[str, Any] = document.data
        self.places: dict[Where, str] = {where: f"{name} line {line}" for where, line in document.lines.items()}
        self.words: dict[Where, str] = dict(document.words)
        self.problems: list[Problem] = []

    def lay_over(self, override: str) -> None:
        """Puts one --set value over the file's."""
        place = f"--set {override}"
        name, equals, text = override.partition("=")
        where: Where = tuple(name.strip().split("."))
        if not equals or not all(where):
            self.problems.append(Problem(place, "it is not of the form name=value", "for example --set train.lr=1e-3"))
            return
        kind = kind_of(Settings, where)
        if isinstance(kind, Problem):
            self.problems.append(kind._replace(place=place))
            return
        document = _override_value(kind, text, place)
        section = self.data
        for part in where[:-1]:
            if section.get(str(part)) is None:
                section[str(part)] = {}
            section = section[str(part)]
            if not isinstance(section, dict):
                return
        section[str(where[-1])] = document.data
        for table in (self.places, self.words):
            for stale in [key for key in table if key[: len(where)] == where]:
                del table[stale]
        self.places[where] = place
        self.words.update({(*where, *inner): word for inner, word in document.words.items()})

    def without_unknown(self, model: type[Section], data: Mapping[str, Any], where: Where) -> dict[str, Any]:
        """The data with the keys that exist; the others become problems. An empty section is one with its defaults."""
        known: dict[str, Any] = {}
        for key, value in data.items():
            if key not in model.model_fields:
                self.problems.append(unknown((*where, key))._replace(place=self.place_of((*where, key))))
                continue
            inner = section_in(model, key)
            if inner is not None and (value is None or isinstance(value, dict)):
                value = self.without_unknown(inner, value or {}, (*where, key))
            known[key] = value
        return known

    def note_refused(self, errors: Sequence[ErrorDetails]) -> None:
        """One problem per refused value, however many alternatives pydantic tried on it."""
        seen: set[Where] = set()
        for error in errors:
            where = self._existing(error["loc"])
            if where in seen:
                continue
            seen.add(where)
            self.problems.append(self._refused(where, error))

    def place_of(self, where: Where) -> str:
        """The line or the override that gave the value, or the nearest part around it."""
        while where not in self.places and where:
            where = where[:-1]
        return self.places.get(where, self.name)

    def _existing(self, loc: Where) -> Where:
        """The part of pydantic's location that is in the data; the rest names alternatives of a union."""
        for end in range(len(loc), 0, -1):
            if _has(self.data, loc[:end]):
                return loc[:end]
        return ()

    def _refused(self, where: Where, error: ErrorDetails) -> Problem:
        name = spelled(where)
        if error["type"] == "value_error":
            text = error["msg"].removeprefix("Value error, ")
            return Problem(self.place_of(where), f"{name}: {text}", SEE_ALL)
        if error["type"] == "extra_forbidden":
            return Problem(self.place_of(where), f"{name} is not a setting", SEE_ALL)
        value, rule, word = value_at(self.data, where), allowed(where), self.words.get(where)
        place = self.place_of(where)
        if word is not None and rule.startswith("text") and not isinstance(value, str):
            reads = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else "a number"
            shown = word or "empty"
            hint = f'put it in quotes: "{word}"'
            return Problem(place, f"{name} is {shown}, which YAML reads as {reads}, and must be text", hint)
        found = _shown(value) if word is None or not isinstance(value, bool) else f"{word} ({_shown(value)})"
        return Problem(place, f"{name} is {found}; allowed: {rule}", _hint_for(value, rule))


def _read_text(path: Path) -> str:
    """The file's text. Raises ConfigError when it is absent, over 1 MB or not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path}", hint="`burnish init DIR` makes a project with one") from error
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"{path.name} is larger than {MAX_BYTES} bytes", hint="settings are small; is it another file?"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path.name} line {line}: it is not UTF-8", hint="save the file as UTF-8") from error


def _override_value(kind: Any, text: str, place: str) -> Document:
    """The value of an override: words as they stand where text is asked for, else a YAML value."""
    quoted = text.strip()[:1] in ("'", '"') and text.strip()[-1:] == text.strip()[:1]
    if kind in (str, str | None) and not quoted:
        nothing = kind is not str and text.strip() in ("", "null")
        return Document(None if nothing else text, {}, {})
    document = parse(text, place)
    return document if text.strip() else Document(None, {}, {(): ""})


def _hint_for(value: Any, rule: str) -> str:
    if isinstance(value, str) and "number" in rule and _is_number(value):
        return "remove the quotes"
    if "list" in rule and not isinstance(value, list):
        return "write a list: [a, b]"
    return SEE_ALL


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    """A value as people would write it, cut when long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _has(data: Any, where: Where) -> bool:
    try:
        value_at(data, where)
    except (KeyError, IndexError, TypeError):
        return False
    return True
