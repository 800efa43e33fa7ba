"""JSON as RFC 8259 means it: what Python's parser lets through by kindness (NaN, twin keys, half characters) is told.

A fault does not stop the parser, so that one bad element of an array costs that element and not the file.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 64
MAX_DIGITS = 38
"""Of an integer: 128 bits. Longer ones are ids that belong in quotes."""

STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
BRACKET = re.compile(r"[\[\]{}]")


class JsonFault(ValueError):
    """Text that is no strict JSON; the message says why, and where it can be told."""


class StrictJson:
    """A strict parser, to be used again for every row."""

    def __init__(self) -> None:
        self.fault = ""
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_int=self._int,
            parse_float=self._float,
        )

    def parse(self, text: str) -> Any:
        """The value that the whole text is. Raises JsonFault."""
        self.fault = ""
        refuse_deep(text)
        try:
            value = self._decoder.decode(text)
        except json.JSONDecodeError as error:
            raise _fault(error) from error
        return self._checked(value, text)

    def parse_at(self, text: str, start: int) -> tuple[Any, int]:
        """The value that begins at `start`, and where it ends; its fault, if any, is in `fault`. Raises JsonFault."""
        self.fault = ""
        try:
            value, end = self._decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise _fault(error) from error
        try:
            refuse_deep(text[start:end])
            self._checked(value, text[start:end])
        except JsonFault as fault:
            self.fault = str(fault)
        return value, end

    def _checked(self, value: Any, text: str) -> Any:
        if self.fault:
            raise JsonFault(self.fault)
        if "\\ud" in text or "\\uD" in text or "\\u0000" in text:
            for inner in strings(value):
                if "\x00" in inner:
                    raise JsonFault("a NUL character (\\u0000) in a text")
                if any("\ud800" <= char <= "\udfff" for char in inner):
                    raise JsonFault("half of a character (a lone surrogate such as \\ud800)")
        return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            self.fault = self.fault or f"the key {twice[:80]!r} stands twice in one object"
        return found

    def _constant(self, name: str) -> None:
        self.fault = self.fault or f"{name} is not JSON"

    def _int(self, digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            self.fault = self.fault or f"a number of {len(digits):,} digits; put it in quotes"
            return 0
        return int(digits)

    def _float(self, digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            self.fault = self.fault or f"the number {digits[:40]} is beyond what a double can hold"
        return value


def _fault(error: json.JSONDecodeError) -> JsonFault:
    return JsonFault(f"{error.msg.removesuffix(' at')} at character {error.pos + 1}")


def refuse_deep(text: str) -> None:
    """Raises JsonFault when brackets nest deeper than 64; linear in the length, whatever the text is."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in BRACKET.finditer(STRING.sub('""', text)):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > MAX_DEPTH:
            raise JsonFault(f"nested deeper than {MAX_DEPTH}")


def strings(value: Any) -> Iterator[str]:
    """Every text inside a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
