"""The move "noise": a seed as a hurried person would have typed it, but for the values that its answer needs."""

import re
import string
from collections.abc import Callable
from random import Random

from burnish.records import Example
from burnish.synthesize.cells import NOISE
from burnish.synthesize.made import Made, asking, last_question, made_of, seeded, values_of

NOISES = ("typo", "keyboard", "case", "punctuation", "cut")
"""Letters lost, doubled or swapped; a neighbouring key; all small or all capitals; no punctuation; the end missing."""
LETTER_SHARE = 0.04
"""Of the letters get a typo, one at least."""
KEPT_SHARE = (0.6, 0.85)
"""Of the words stay when the end is cut off."""

ROWS_OF_KEYS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOURS = {
    key: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in ROWS_OF_KEYS for at, key in enumerate(row)
}
WORD = re.compile(r"\S+")


def add_noise(parent: Example, kind: str, *, seed: int = 0) -> Made | None:
    """The seed as a hurried person would have typed it; the kind of noise becomes the attribute "noise".

    Values that the answer of a fields task repeats are left alone. None when nothing changes, as in a text without
    punctuation.
    """
    assert kind in NOISES, f"{kind!r} is none of {NOISES}"
    text = last_question(parent)
    random = seeded(seed, "noise", kind, parent.id)
    rough = _cut(text, parent, random) if kind == "cut" else _in_free_text(text, parent, ROUGHEN[kind], random)
    return made_of("noise", (parent,), asking(parent, rough), {NOISE: kind}) if rough != text else None


def _in_free_text(text: str, parent: Example, change: Callable[[str, Random], str], random: Random) -> str:
    """The text changed everywhere but where a value of the answer stands."""
    values = sorted({str(value) for value in values_of(parent).values()}, key=len, reverse=True)
    if not values:
        return change(text, random)
    parts = re.split("(" + "|".join(re.escape(value) for value in values) + ")", text)
    if not "".join(parts[::2]).strip():
        return text
    return "".join(part if at % 2 or not part.strip() else change(part, random) for at, part in enumerate(parts))


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
    needed = [text.rfind(str(value)) + len(str(value)) for value in values_of(parent).values() if str(value) in text]
    return text[: max([words[keep - 1].end(), *needed])]


ROUGHEN: dict[str, Callable[[str, Random], str]] = {
    "typo": _typos,
    "keyboard": _wrong_keys,
    "case": _other_case,
    "punctuation": _no_punctuation,
}
