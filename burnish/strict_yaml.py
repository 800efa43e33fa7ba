"""YAML as data, with nothing left to chance: no tags, no duplicate keys, no bombs, and a line number for every value.

YAML 1.1 words stay booleans (`no` is false) so that every reader of the file sees the same; numbers like 1e-4, which
YAML 1.1 takes for text, are numbers; dates, 12:30 and 010 stay text.
"""

import math
import re
from collections.abc import Hashable
from typing import Any, NamedTuple

import yaml

from burnish.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_ALIASES = 16
MAX_DEPTH = 32
MAX_VALUES = 200_000

Path = tuple[str | int, ...]
"""Where a value is: ("task", "labels", 2)."""

INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
FLOAT = re.compile(
    r"""[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?
      |[-+]?[0-9]+[eE][-+]?[0-9]+
      |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)""",
    re.VERBOSE,
)
BOOL = re.compile(r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF")
NULL = re.compile(r"~|null|Null|NULL|")
SCALARS = {
    "tag:yaml.org,2002:int": (INT, "-+0123456789"),
    "tag:yaml.org,2002:float": (FLOAT, "-+0123456789."),
    "tag:yaml.org,2002:bool": (BOOL, "yYnNtTfFoO"),
    "tag:yaml.org,2002:null": (NULL, "~nN\0"),
}


class Document(NamedTuple):
    """A YAML file as plain data."""

    data: Any
    """dict, list, str, int, float, bool or None."""
    lines: dict[Path, int]
    """Line of each value, from 1; of a mapping's entry, the line of its key."""
    words: dict[Path, str]
    """Numbers, booleans and nulls as they are written: "no" for False."""


class _Loader(yaml.SafeLoader):
    """Composes nodes, counting aliases and depth."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    num_aliases = 0
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self.num_aliases += 1
            if self.num_aliases > MAX_ALIASES:
                raise _error(self._here(), f"more than {MAX_ALIASES} aliases (*name)")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _error(self._here(), f"values nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _here(self) -> yaml.Event:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        return event


class _Dumper(yaml.SafeDumper):
    """Writes scalars so that this reader, and any YAML 1.1 reader, gets the same value back."""

    def represent_text(self, text: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def _teach(kind: type[_Loader] | type[_Dumper]) -> None:
    for tag, (pattern, first) in SCALARS.items():
        whole = re.compile(rf"(?:{pattern.pattern})\Z", pattern.flags)
        kind.add_implicit_resolver(tag, whole, ["" if letter == "\0" else letter for letter in first])


_teach(_Loader)
_teach(_Dumper)


def parse(text: str, source: str) -> Document:
    """The document in `text`, an empty one as {}. `source` names it in errors.

    Raises ConfigError with source and line: syntax, tabs, tags, duplicate keys (both lines), more than 16 aliases, more
    than 32 levels, keys that are not text, numbers that are not finite.
    """
    reader = _Reader()
    try:
        node = _Loader(text).get_single_node()
        data = {} if node is None else reader.value(node, ())
    except _Refused as error:
        raise ConfigError(f"{source} line {error.line}: {error.problem}", hint=error.hint) from error
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, source) from error
    return Document(data, reader.lines, reader.words)


def dump(value: Any, *, flow: bool = True) -> str:
    """Plain data as YAML, quoted where a reader could take it for something else; `flow` keeps it on one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=flow, allow_unicode=True, width=math.inf, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


class _Refused(Exception):
    """Something that a settings file must not hold."""

    def __init__(self, line: int, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem
        self.hint = hint


class _Reader:
    """Turns nodes into plain values and keeps their lines."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.words: dict[Path, str] = {}
        self.num_values = 0
        self.open: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, _line(node))
        self.num_values += 1
        if self.num_values > MAX_VALUES:
            raise _error(node, f"more than {MAX_VALUES} values")
        if id(node) in self.open:
            raise _error(node, "an alias that contains itself")
        self.open.add(id(node))
        try:
            return self._convert(node, path)
        finally:
            self.open.discard(id(node))

    def _convert(self, node: yaml.Node, path: Path) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and kind in ("str", "int", "float", "bool", "null"):
            if kind != "str":
                self.words[path] = node.value
            return _scalar(node, kind)
        shown = "!!" + kind if kind != node.tag else node.tag
        raise _error(node, f"the tag {shown}", hint="settings are plain values; remove the tag")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        first: dict[Hashable, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            where = (*path, key)
            if key in first:
                name = ".".join(str(part) for part in where)
                problem = f"{name} is set twice, here and on line {first[key]}"
                raise _Refused(_line(key_node), problem, "keep one of the two lines")
            first[key] = self.lines[where] = _line(key_node)
            entries[key] = self.value(value_node, where)
        return entries

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise _error(node, "a key that is no plain word")
        if node.value == "<<" and node.style is None:
            raise _error(node, "a merge key (<<)", hint="write the keys out")
        if node.tag != "tag:yaml.org,2002:str":
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            problem = f"the key {node.value!r}, which YAML reads as {kind}"
            raise _error(node, problem, hint=f'put the key in quotes: "{node.value}"')
        return str(node.value)


def _scalar(node: yaml.ScalarNode, kind: str) -> str | int | float | bool | None:
    """The value of a scalar; a tag such as !!int on text that is no number is refused."""
    text = node.value
    if kind == "str":
        if re.search(r"[\ud800-\udfff]", text):
            raise _error(node, "half of a surrogate pair (\\ud800 to \\udfff)", hint="write the character itself")
        return str(text)
    pattern = SCALARS[f"tag:yaml.org,2002:{kind}"][0]
    if not pattern.fullmatch(text):
        raise _error(node, f"{text!r} tagged as {kind}", hint="settings are plain values; remove the tag")
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("yes", "true", "on")
    if len(text) > 300:
        raise _error(node, "a number of more than 300 characters")
    number = int(text) if kind == "int" else float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    if not math.isfinite(number):
        raise _error(node, f"{text}, which is no finite number")
    return number


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1 if node.start_mark is not None else 1


def _error(node: Any, found: str, *, hint: str = "settings are plain values, lists and sections") -> _Refused:
    return _Refused(_line(node), f"found {found}", hint)


def _syntax_error(error: yaml.YAMLError, text: str, source: str) -> ConfigError:
    """The parser's complaint in plain words, with its line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is not YAML"
    if mark is None:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 1
        return ConfigError(f"{source} line {line}: {problem}", hint="keep the file plain text in UTF-8")
    line = mark.line + 1
    lines = text.splitlines()
    if r"'\t'" in problem or (line <= len(lines) and re.match(r"\s*\t", lines[line - 1])):
        return ConfigError(f"{source} line {line}: a tab", hint="indent with spaces: YAML refuses tabs")
    column = mark.column + 1
    return ConfigError(f"{source} line {line}, column {column}: {problem}", hint="mend the line and run again")
