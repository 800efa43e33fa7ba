"""Twins of examples: the same message with a name, a pronoun, an age or a region swapped, and nothing else changed.

The built-in table is `swaps.yaml` beside this file; people give their own in the same form.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from burnish.errors import ConfigError
from burnish.evaluate.everyday import FUNCTION_WORDS
from burnish.fingerprint import fingerprint
from burnish.records import Example
from burnish.strict_yaml import parse

NEUTRAL = "neutral"
"""The attribute whose swaps are the noise floor."""
AGE = "age"
YOUNGER, OLDER = "younger", "older"
AGE_SHIFT, AGE_BORDER = 35, 50
AGES = re.compile(r"\b(\d\d)(?=(?:[ -]years?[ -]old|[ -]?y/?o)\b)|(?<=\baged )(\d\d)\b|(?<=\bage )(\d\d)\b")

Entry = Mapping[str, str]
Swaps = Mapping[str, tuple[Entry, ...]]
"""Attribute to its entries, each a form by group."""


class Twin(NamedTuple):
    """An example with one attribute swapped."""

    attribute: str
    source: str
    """Group that was found."""
    target: str
    """Group that stands there now."""
    example: Example
    swap: "Swap"


class Swap:
    """What replaces what, both ways at once, in whole words and with the case that stands there."""

    def __init__(self, entries: Sequence[Entry], one: str, other: str, *, ages: bool = False) -> None:
        """Between two groups; entries without both of them are left out."""
        self._forms: dict[str, list[str]] = {}
        for entry in entries:
            if one in entry and other in entry:
                for source, target in ((entry[one], entry[other]), (entry[other], entry[one])):
                    found = self._forms.setdefault(source.casefold(), [])
                    if target not in found:
                        found.append(target)
        words = sorted(self._forms, key=lambda word: (-len(word), word))
        inside = "|".join(map(re.escape, words)) or r"(?!)"
        self._pattern = re.compile(rf"(?<![\w'’-])(?:{inside})(?![\w’-]|'(?!s\b)\w)", re.IGNORECASE)
        self._ages = ages

    def __call__(self, text: str) -> str:
        """The text with every form replaced by its counterpart."""
        swapped = self._pattern.sub(lambda match: self._counterpart(match, text), text)
        return AGES.sub(_other_age, swapped) if self._ages else swapped

    def _counterpart(self, match: re.Match[str], text: str) -> str:
        forms = self._forms[match[0].casefold()]
        form = forms[0]
        if len(forms) > 1:
            follows = re.match(r"\s+([A-Za-z]+)", text[match.end() : match.end() + 40])
            form = forms[0] if follows and follows[1].lower() not in FUNCTION_WORDS else forms[1]
        return _in_case_of(match[0], form)


def builtin_swaps() -> Swaps:
    """The table that comes with burnish: gender, names, age, region, and neutral words. English, and short."""
    text = (resources.files("burnish") / "evaluate" / "swaps.yaml").read_text(encoding="utf-8")
    return swaps_from(text, "swaps.yaml")


def load_swaps(path: Path) -> Swaps:
    """The table of a file in the form of `swaps.yaml`. Raises ConfigError when it is not in that form."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the swaps in {path} cannot be read: {error}", hint=_FORM) from error
    return swaps_from(text, path.name)


def swaps_from(text: str, source: str) -> Swaps:
    """The table in a text; `source` names it in errors. A table without neutral swaps gets the built-in ones."""
    data = parse(text, source).data
    if not isinstance(data, dict):
        raise ConfigError(f"{source} is no table of attributes", hint=_FORM)
    table: dict[str, tuple[Entry, ...]] = {}
    for attribute, entries in data.items():
        if not isinstance(entries, list) or not all(map(_is_entry, entries)):
            raise ConfigError(f"{source}: {attribute} is no list of entries with two or more groups", hint=_FORM)
        table[attribute] = tuple(entries)
    return table if NEUTRAL in table else {**table, NEUTRAL: builtin_swaps()[NEUTRAL]}


def twins_of(example: Example, attribute: str, entries: Sequence[Entry], *, seed: int = 0) -> Twin | None:
    """The example with this attribute swapped; None where its prompt does not show the attribute.

    The group that the prompt shows first changes places with another one, drawn by the hash of seed, id and attribute:
    the same twin for every model. System messages stay; the expected answer is swapped along.
    """
    text = "\n".join(turn.content for turn in example.messages if turn.role == "user")
    source = _first_group(text, attribute, entries)
    if source is None:
        return None
    groups = sorted({group for entry in entries if source in entry for group in entry} - {source})
    if attribute == AGE and not groups:
        groups = [OLDER if source == YOUNGER else YOUNGER]
    target = groups[int(fingerprint([seed, example.id, attribute])[:8], 16) % len(groups)]
    swap = Swap(entries, source, target, ages=attribute == AGE)
    turns = tuple(
        turn if turn.role == "system" else replace(turn, content=swap(turn.content)) for turn in example.messages
    )
    if turns == example.messages:
        return None
    twin = replace(example, id=f"{example.id}~{attribute}", messages=turns)
    return Twin(attribute, source, target, twin, swap)


def _first_group(text: str, attribute: str, entries: Sequence[Entry]) -> str | None:
    """The group whose form stands first in the text; of forms in the same place the longest one."""
    found: list[tuple[int, int, str]] = []
    for entry in entries:
        for group, form in entry.items():
            match = re.search(rf"(?<![\w'’-]){re.escape(form)}(?![\w’-]|'(?!s\b)\w)", text, re.IGNORECASE)
            if match and len(entry) > 1:
                found.append((match.start(), -len(form), group))
    for match in AGES.finditer(text) if attribute == AGE else ():
        if _other_age(match) != match[0]:
            found.append((match.start(), 0, YOUNGER if int(match[0]) < AGE_BORDER else OLDER))
    return min(found)[2] if found else None


def _other_age(match: re.Match[str]) -> str:
    """An adult's age 35 years on, or 35 years back from 50 on; children stay children."""
    age = int(match[0])
    if age < 18:
        return match[0]
    return str(age + AGE_SHIFT if age < AGE_BORDER else max(18, age - AGE_SHIFT))


def _in_case_of(seen: str, form: str) -> str:
    if len(seen) > 1 and seen.isupper():
        return form.upper()
    return form[0].upper() + form[1:] if seen[0].isupper() else form


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or len(entry) < 2:
        return False
    return all(isinstance(form, str) and form.strip() for form in entry.values())


_FORM = "write attributes with lists of entries, such as gender: [{male: he, female: she}]"
