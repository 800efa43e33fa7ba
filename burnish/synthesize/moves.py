"""New rows out of seeds by rule, with the answer kept: noise, two messages as one, other values, other words.

Only rows that people wrote are parents; a row out of a synthetic row would drift. Same arguments, same rows.
"""

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

from burnish.data.answers import compact_fields, parse_fields
from burnish.data.provenance import HUMAN, PROVENANCE, SYNTHETIC, provenance
from burnish.errors import DataError
from burnish.fingerprint import fingerprint
from burnish.records import Cell, Example, Message, Provenance
from burnish.synthesize.cells import ANY_NOISE, NOISE, in_cell

NOISES = ("typo", "keyboard", "case", "punctuation", "cut")
"""Letters lost, doubled or swapped; a neighbouring key; all small or all capitals; no punctuation; the end missing."""
NOISE_MOVE = "noise"
MOVES = (NOISE_MOVE, "compose", "counterfactual", "augment")
LETTER_SHARE = 0.04
"""Of the letters get a typo, one at least."""
KEPT_SHARE = (0.6, 0.85)
"""Of the words stay when the end is cut off."""
WORD_SHARE = 0.1
"""Of the words are changed in easy augmentation, one at least (Wei and Zou 2019: 0.1)."""
TRIES = 6
"""For each row asked for, before a cell is given up."""

ROWS_OF_KEYS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOURS = {
    key: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in ROWS_OF_KEYS for at, key in enumerate(row)
}
WORD = re.compile(r"\S+")
NUMBER = re.compile(r"[-+]?\D{0,2}\d[\d.,]*\D{0,2}")

Value = str | int | float
Pool = Mapping[str, Sequence[Value]]
"""Values by field, each once."""


class Made(NamedTuple):
    """A synthetic row and where it comes from."""

    example: Example
    provenance: Provenance


def add_noise(parent: Example, kind: str, *, seed: int = 0) -> Made | None:
    """The seed as a hurried person would have typed it; the kind of noise becomes the attribute "noise".

    Values that the answer of a fields task repeats are left alone. None when nothing changes, as in a text without
    punctuation.
    """
    assert kind in NOISES, f"{kind!r} is none of {NOISES}"
    text = _last_question(parent)
    random = _random(seed, "noise", kind, parent.id)
    rough = _cut(text, parent, random) if kind == "cut" else _in_free_text(text, parent, ROUGHEN[kind], random)
    return made_of("noise", (parent,), _asking(parent, rough), {NOISE: kind}) if rough != text else None


def compose(first: Example, second: Example, *, seed: int = 0) -> Made | None:
    """One message that says what two seeds with the same label say, in either order.

    None when one of them is a conversation of several turns, of which the last alone may not make sense. Raises
    DataError when the labels differ, and for answers that are JSON objects: two of those are no one answer.
    """
    if first.answer != second.answer or _fields(first):
        raise DataError(
            f"{first.id} and {second.id} cannot be joined: they do not share one label",
            hint="compose only rows of one label of a label task",
        )
    if any(len([turn for turn in row.prompt if turn.role != "system"]) != 1 for row in (first, second)):
        return None
    parts = [_last_question(first).strip(), _last_question(second).strip()]
    if _random(seed, "compose", first.id, second.id).random() < 0.5:
        parts.reverse()
    head = parts[0] if parts[0][-1:] in ".!?" else f"{parts[0]}."
    return made_of("compose", (first, second), _asking(first, f"{head} {parts[1]}"), {})


def value_pool(seeds: Sequence[Example]) -> dict[str, tuple[Value, ...]]:
    """The values that seeds of a fields task have, by field, in the order of their first use."""
    pool: dict[str, dict[Value, None]] = {}
    for seed in seeds:
        for name, value in _fields(seed).items():
            pool.setdefault(name, {})[value] = None
    return {name: tuple(values) for name, values in pool.items()}


def swap_values(parent: Example, pool: Pool, *, seed: int = 0, names: Sequence[str] | None = None) -> Made | None:
    """The seed with other numbers, dates or names, the same ones in question and answer (Kaushik et al. 2020, arXiv
    1909.12434, have people make such edits).

    A value is swapped when it stands word for word in the question; every place of it, and every field that has it,
    gets one other value that seeds have for that field, of the same shape (number or words). `names` are the fields
    that may change, default all; leave out what another field is derived from. None where no value can be swapped.
    """
    own = _fields(parent)
    question = "\n".join(turn.content for turn in parent.prompt if turn.role != "system")
    random = _random(seed, "counterfactual", parent.id)
    swaps: dict[str, Value] = {}
    for name in own if names is None else names:
        old = own.get(name)
        if old is None or str(old) in swaps or not _place_of(str(old)).search(question):
            continue
        taken = {str(value) for value in swaps.values()}
        choices = [
            v for v in pool.get(name, ()) if _is_swap(old, v) and str(v) not in taken | {str(o) for o in own.values()}
        ]
        choices = [v for v in choices if not _place_of(str(v)).search(question)]
        if choices:
            swaps[str(old)] = random.choice(choices)
    if not swaps:
        return None
    turns = tuple(
        turn if turn.role == "system" else replace(turn, content=_swapped(turn.content, swaps))
        for turn in parent.prompt
    )
    answer = {**(parse_fields(parent.answer) or {}), **{n: swaps[str(v)] for n, v in own.items() if str(v) in swaps}}
    text = compact_fields(json.dumps(answer, ensure_ascii=False), list(answer))[0]
    return made_of("counterfactual", (parent,), (*turns, Message(role="assistant", content=text)), {})


def augment(parent: Example, donors: Sequence[Example], *, seed: int = 0) -> Made | None:
    """Easy augmentation without synonyms: words swapped, deleted, or inserted from donors (Wei and Zou 2019, arXiv
    1901.11196): the cheap arm that everything else has to beat.

    Donors should have the same answer; others are passed over, as are fields tasks, whose values must stay whole: None.
    The provenance names the parent and the donors of inserted words.
    """
    words = _last_question(parent).split()
    if _fields(parent) or len(words) < 2:
        return None
    random = _random(seed, "augment", parent.id)
    sources = [donor for donor in donors if donor.answer == parent.answer and donor.id != parent.id]
    used = {parent.id: parent}
    for _ in range(max(1, round(WORD_SHARE * len(words)))):
        how = random.choice(("swap", "delete", "insert") if sources else ("swap", "delete"))
        at = random.randrange(len(words))
        if how == "insert" and (found := _last_question(donor := random.choice(sources)).split()):
            words.insert(at, random.choice(found))
            used[donor.id] = donor
        elif how == "delete" and len(words) > 2:
            del words[at]
        else:
            other = random.randrange(len(words))
            words[at], words[other] = words[other], words[at]
    text = " ".join(words)
    changed = text != " ".join(_last_question(parent).split())
    return made_of("augment", tuple(used.values()), _asking(parent, text), {}) if changed else None


def fill_cell(cell: Cell, seeds: Sequence[Example], *, move: str, seed: int = 0) -> list[Made]:
    """Up to `cell.count` different rows for a cell, by one move, from the seeds that are in it, each used in turn.

    Fewer come back where the seeds give no more. Raises DataError when no seed is in the cell.
    """
    own = [row for row in seeds if in_cell(row, cell) and provenance(row) == HUMAN]
    if not own:
        raise DataError("no row that people wrote is in this cell", hint="label some, or plan without it")
    make = _maker(cell, own, seeds, move)
    random = _random(seed, move, cell.answer, *sorted(cell.columns.items()))
    order = random.sample(own, len(own))
    seen = {fingerprint([turn.content for turn in row.messages]) for row in own}
    found: list[Made] = []
    for turn in range(TRIES * cell.count):
        if len(found) == cell.count:
            break
        made = make(order[turn % len(order)], seed + turn, random)
        key = fingerprint([turn.content for turn in made.example.messages]) if made else ""
        if made and key not in seen:
            seen.add(key)
            found.append(made)
    return found


def _maker(
    cell: Cell, own: Sequence[Example], seeds: Sequence[Example], move: str
) -> Callable[[Example, int, Random], Made | None]:
    kind = cell.columns.get(NOISE, ANY_NOISE)
    pool = value_pool([row for row in seeds if provenance(row) == HUMAN])
    makers: dict[str, Callable[[Example, int, Random], Made | None]] = {
        "noise": lambda row, at, r: add_noise(row, r.choice(NOISES) if kind == ANY_NOISE else kind, seed=at),
        "compose": lambda row, at, r: _with_another(row, own, at, r),
        "counterfactual": lambda row, at, _: swap_values(row, pool, seed=at),
        "augment": lambda row, at, _: augment(row, own, seed=at),
    }
    assert move in makers, f"{move!r} is none of {MOVES}"
    return makers[move]


def _with_another(row: Example, own: Sequence[Example], at: int, random: Random) -> Made | None:
    others = [other for other in own if other.id != row.id and other.answer == row.answer]
    return compose(row, random.choice(others), seed=at) if others else None


# Making a row ---------------------------------------------------------------------------------------------------------


def made_of(
    move: str,
    parents: Sequence[Example],
    messages: tuple[Message, ...],
    attributes: Mapping[str, str],
    *,
    generator: str = "",
    request: str = "",
) -> Made:
    """The row with its provenance; its group is the first parent's, so that kin never end up on two sides.

    Raises DataError when a parent was not written by people.
    """
    for parent in parents:
        if provenance(parent) != HUMAN:
            raise DataError(
                f"{parent.id} is {provenance(parent)}, so it cannot be the parent of a synthetic row",
                hint="only rows that people wrote are parents: rows made of made rows drift",
            )
    names = tuple(parent.id for parent in parents)
    content = [[turn.role, turn.content] for turn in messages]
    example = Example(
        id=f"synthetic-{fingerprint([move, names, content])[:16]}",
        messages=messages,
        group=parents[0].group,
        slices={**parents[0].slices, **attributes, PROVENANCE: SYNTHETIC},
        source=f"synthesize:{move}",
    )
    return Made(
        example,
        Provenance(example=example.id, move=move, generator=generator, parents=names, request=request),
    )


def _asking(parent: Example, text: str) -> tuple[Message, ...]:
    """The parent's conversation with another last question."""
    at = max(place for place, turn in enumerate(parent.prompt) if turn.role == "user")
    return (*parent.messages[:at], Message(role="user", content=text), *parent.messages[at + 1 :])


def _last_question(row: Example) -> str:
    found = [turn.content for turn in row.prompt if turn.role == "user"]
    assert found, f"{row.id} has no question"
    return found[-1]


def _fields(row: Example) -> dict[str, Value]:
    """The values of a fields answer that can be swapped: words and numbers, not empty, not true or false."""
    found = (parse_fields(row.answer) or {}).items()
    return {
        name: value
        for name, value in found
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
    }


def _random(seed: int, *parts: object) -> Random:
    return Random(fingerprint([seed, *map(str, parts)]))


# Noise ----------------------------------------------------------------------------------------------------------------


def _in_free_text(text: str, parent: Example, change: Callable[[str, Random], str], random: Random) -> str:
    """The text changed everywhere but where a value of the answer stands."""
    values = sorted({str(value) for value in _fields(parent).values()}, key=len, reverse=True)
    if not values:
        return change(text, random)
    parts = re.split("(" + "|".join(re.escape(value) for value in values) + ")", text)
    free = "".join(part for part in parts[::2])
    return (
        text
        if not free.strip()
        else "".join(part if at % 2 or not part.strip() else change(part, random) for at, part in enumerate(parts))
    )


def _typos(text: str, random: Random) -> str:
    letters = list(text)
    for at in _some_letters(text, random):
        how = random.choice(("lose", "double", "swap"))
        if how == "swap" and at + 1 < len(letters) and letters[at + 1].isalpha():
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        else:
            letters[at] = letters[at] * 2 if how == "double" else ""
    return "".join(letters)


def _wrong_keys(text: str, random: Random) -> str:
    letters = list(text)
    for at in _some_letters(text, random):
        near = NEIGHBOURS.get(letters[at].lower(), "")
        letters[at] = random.choice(near) if near else letters[at]
    return "".join(letters)


def _some_letters(text: str, random: Random) -> list[int]:
    """Places of letters to spoil, last first, so that earlier places stay true."""
    places = [at for at, char in enumerate(text) if char.isalpha()]
    count = min(len(places), max(1, round(LETTER_SHARE * len(places))))
    return sorted(random.sample(places, count), reverse=True)


def _other_case(text: str, random: Random) -> str:
    return text.upper() if random.random() < 0.3 else text.lower()


def _no_punctuation(text: str, random: Random) -> str:
    bare = text.translate(str.maketrans("", "", string.punctuation.replace("'", "").replace("$", "")))
    return re.sub(r"  +", " ", bare)


def _cut(text: str, parent: Example, random: Random) -> str:
    """The beginning of the text, as far as the last value that the answer needs, three words at least."""
    words = list(WORD.finditer(text))
    keep = max(3, int(len(words) * random.uniform(*KEPT_SHARE)))
    if keep >= len(words):
        return text
    needed = [text.rfind(str(value)) + len(str(value)) for value in _fields(parent).values() if str(value) in text]
    return text[: max([words[keep - 1].end(), *needed])]


ROUGHEN: dict[str, Callable[[str, Random], str]] = {
    "typo": _typos,
    "keyboard": _wrong_keys,
    "case": _other_case,
    "punctuation": _no_punctuation,
}


# Values ---------------------------------------------------------------------------------------------------------------


def _place_of(value: str) -> re.Pattern[str]:
    """Where a value stands by itself: not inside a word, a longer number or an amount."""
    return re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(value)}(?!\w|[.,]\d)")


def _is_swap(old: Value, new: Value) -> bool:
    """Whether the new value is another one of the same type and shape."""
    same = isinstance(old, str) == isinstance(new, str) and str(old) != str(new)
    return same and bool(NUMBER.fullmatch(str(old))) == bool(NUMBER.fullmatch(str(new)))


def _swapped(text: str, swaps: Mapping[str, Value]) -> str:
    """All swaps in one pass, the longest value first, so that nothing is swapped twice."""
    values = sorted(swaps, key=len, reverse=True)
    pattern = re.compile("|".join(_place_of(value).pattern for value in values))
    return pattern.sub(lambda hit: str(swaps[hit.group()]), text)
