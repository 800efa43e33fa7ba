"""Reads and writes burnish.yaml. Every problem of a file is told at once, with its line and what would be right.

The settings themselves are in `config`; nothing here knows what any of them means.
"""

import difflib
import json
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from burnish.config import Section, Settings
from burnish.errors import AccessError, ConfigError
from burnish.foreign_names import ADVICE, SETTING
from burnish.strict_yaml import MAX_BYTES, Document, dump, parse

WIDTH = 100
SEE_ALL = "`burnish config schema` lists every setting with what it allows"
HEAD = "Settings of a burnish project, each with its explanation. A line that is removed falls back to its default."

Where = tuple[str | int, ...]
"""Where a value is in the file: ("task", "labels", 2)."""


class Problem(NamedTuple):
    """One thing that is wrong in a settings file or an override."""

    place: str
    """burnish.yaml line 7, or --set train.lr=x."""
    text: str
    hint: str


def read_settings(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings in the file, with overrides such as "train.lr=1e-3" laid over them, the last one counting.

    Raises ConfigError that tells every problem: line, full name of the setting, what was found, what is allowed.
    """
    return _settings_of(_read_text(path), path.name, tuple(overrides))


@lru_cache(maxsize=8)
def _settings_of(text: str, name: str, overrides: tuple[str, ...]) -> Settings:
    """Kept by the text itself: a server opens the project for each request, and parsing takes 15 ms."""
    source = _Source(name, parse(text, name))
    for override in overrides:
        source.lay_over(override)
    known = source.without_unknown(Settings, source.data, ())
    settings = None
    try:
        settings = Settings.model_validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        source.note_refused(error.errors(include_url=False))
    if source.problems or settings is None:
        raise _config_error(name, source.problems)
    return settings


def laid_over(settings: Settings, overrides: Sequence[str]) -> Settings:
    """A copy with overrides such as "train.lr=1e-3" laid over it. Raises ConfigError that tells every problem."""
    return _settings_of(settings_text(settings), "burnish.yaml", tuple(overrides)) if overrides else settings


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
        value = _at(mine, tuple(name.split(".")))
        plain = "default" if value == _at(default, tuple(name.split("."))) else "set by the project"
        table[name] = {"value": value, "reason": reasons.get(name, plain)}
    return table


def setting_names() -> tuple[str, ...]:
    """Full names of all settings in the order of the file: "project", "base", ..., "train.lr", ..."""
    return tuple(_leaves(Settings, ""))


def json_schema() -> dict[str, Any]:
    """JSON Schema of burnish.yaml, for editors: types, bounds, defaults and explanations."""
    schema = Settings.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "burnish.yaml"}


def allowed(where: Sequence[str | int]) -> str:
    """What may stand at a place, in words: "a number above 0 and at most 1, or auto"."""
    schema = Settings.model_json_schema()
    node = schema
    for part in where:
        node = _follow(schema, node)
        if isinstance(part, int):
            node = node["items"]
        elif "properties" in node:
            node = node["properties"][part]
        else:
            node = node["additionalProperties"]
    return _words(schema, node)


class _Source:
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
        kind = _kind_of(Settings, where)
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
                self.problems.append(_unknown((*where, key))._replace(place=self.place_of((*where, key))))
                continue
            inner = _section_in(model, key)
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
        name = _spelled(where)
        if error["type"] == "value_error":
            text = error["msg"].removeprefix("Value error, ")
            return Problem(self.place_of(where), f"{name}: {text}", SEE_ALL)
        if error["type"] == "extra_forbidden":
            return Problem(self.place_of(where), f"{name} is not a setting", SEE_ALL)
        value, rule, word = _at(self.data, where), allowed(where), self.words.get(where)
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


def _kind_of(model: type[Section], where: Where) -> Any:
    """The type of the setting at `where`, or the Problem why there is none."""
    for depth, part in enumerate(where):
        if part not in model.model_fields:
            return _unknown(where)
        inner = _section_in(model, str(part))
        if inner is None:
            kind = model.model_fields[str(part)].annotation
            rest = where[depth + 1 :]
            if not rest:
                return kind
            if len(rest) == 1 and getattr(kind, "__origin__", None) is dict:
                return get_args(kind)[1]
            name = _spelled(where[: depth + 1])
            return Problem("", f"{name} is one value and has no part {_spelled(rest)}", f"write {name}=VALUE")
        model = inner
    names = ", ".join(f"{_spelled(where)}.{key}" for key in model.model_fields)
    return Problem("", f"{_spelled(where)} is a section", f"set one of {names}")


def _unknown(where: Where) -> Problem:
    """A key that does not exist, and the one that was probably meant."""
    name, last = _spelled(where), str(where[-1]).lower().replace("-", "_")
    text = f"{name} is not a setting"
    if last in SETTING and SETTING[last] != name:
        return Problem("", text, f"did you mean `{SETTING[last]}`?")
    if last in ADVICE:
        return Problem("", text, ADVICE[last])
    meant = _meant(name.lower().replace("-", "_"), last)
    return Problem("", text, f"did you mean {' or '.join(f'`{one}`' for one in meant)}?" if meant else SEE_ALL)


def _meant(name: str, last: str) -> list[str]:
    """Our settings that look most like a key: by its last word exactly, else by the closest spelling of all names."""
    names = setting_names()
    sections = tuple(key for key in Settings.model_fields if _section_in(Settings, key))
    same = [full for full in names if full.rpartition(".")[2] == last]
    if same:
        return same
    spelled = {foreign: (last, ours) for foreign, ours in SETTING.items()}
    spelled |= {full.rpartition(".")[2]: (last, full) for full in names}
    spelled |= {full: (name, full) for full in (*names, *sections)}
    scored = [(difflib.SequenceMatcher(None, typed, key).ratio(), ours) for key, (typed, ours) in spelled.items()]
    score, best = max(scored, key=lambda pair: pair[0])
    return [best] if score >= 0.7 else []


def _config_error(name: str, problems: Sequence[Problem]) -> ConfigError:
    if len(problems) == 1:
        problem = problems[0]
        return ConfigError(f"{problem.place}: {problem.text}", hint=problem.hint)
    hints = ["" if problem.hint == SEE_ALL else f"; {problem.hint}" for problem in problems]
    lines = [f"  {problem.place}: {problem.text}{hint}" for problem, hint in zip(problems, hints, strict=True)]
    return ConfigError(
        "\n".join([f"{len(problems)} problems in the settings:", *lines]), hint=f"mend {name}; {SEE_ALL}"
    )


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


def _follow(schema: Mapping[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node


WORDS_OF_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}


def _words(schema: Mapping[str, Any], node: dict[str, Any]) -> str:
    """A JSON Schema node in words."""
    node = _follow(schema, node)
    if "anyOf" in node:
        return ", or ".join(_words(schema, option) for option in node["anyOf"])
    if "const" in node or "enum" in node:
        options = [str(option) for option in node.get("enum", [node.get("const")])]
        return " or ".join([", ".join(options[:-1]), options[-1]]) if len(options) > 1 else options[0]
    if "properties" in node:
        return f"a section with {', '.join(node['properties'])}"
    kind = node.get("type")
    if kind == "array":
        return f"a list, each item {_words(schema, node['items'])}"
    if kind == "object":
        return f"names, each with {_words(schema, node['additionalProperties'])}"
    plain = WORDS_OF_KINDS[str(kind)]
    return plain + _bounds(node)


def _bounds(node: Mapping[str, Any]) -> str:
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    if "minimum" in node and "maximum" in node:
        return f" from {low:g} to {high:,}".replace(",", "") if isinstance(high, int) else f" from {low:g} to {high:g}"
    parts = []
    if low is not None:
        parts.append(f"{'at least' if 'minimum' in node else 'above'} {low:g}")
    if high is not None:
        parts.append(f"{'at most' if 'maximum' in node else 'below'} {high:g}")
    return " " + " and ".join(parts) if parts else ""


def _shown(value: Any) -> str:
    """A value as people would write it, cut when long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _spelled(where: Where) -> str:
    """task.labels[2] for ("task", "labels", 2)."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return text.removeprefix(".") or "the file"


def _at(data: Any, where: Where) -> Any:
    for part in where:
        data = data[part]
    return data


def _has(data: Any, where: Where) -> bool:
    try:
        _at(data, where)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _section_in(model: type[Section], key: str) -> type[Section] | None:
    kind = model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _leaves(model: type[Section], prefix: str) -> Iterator[str]:
    for key in model.model_fields:
        inner = _section_in(model, key)
        if inner is None:
            yield prefix + key
        else:
            yield from _leaves(inner, f"{prefix}{key}.")


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
