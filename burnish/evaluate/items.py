"""What an answer states that can be looked up: numbers, dates, identifiers, quotes, names; and whether a text has it.

Works on English by rules alone. What cannot be told by rules (sums, synonyms, who did what) is not an item.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

from burnish.evaluate.dates import MONTHS, WEEKDAYS, Moment, is_told, moments
from burnish.evaluate.everyday import EVERYDAY_WORDS
from burnish.evaluate.quantities import UNITS, Quantity, counted_words, quantities, says_the_same
from burnish.evaluate.scorers import normalised

Kind = Literal["number", "date", "identifier", "quote", "name"]
KINDS: tuple[Kind, ...] = ("number", "date", "identifier", "quote", "name")
MAX_CHARS = 200_000
"""Of one text that are looked at."""
TAKEN = "\x00"
"""Stands for each character that an item of an earlier kind has taken."""

QUOTE = re.compile(r'"([^"\n]{2,400})"|“([^”\n]{2,400})”|«([^»\n]{2,400})»')
ADDRESS = re.compile(
    r"\bhttps?://[^\s<>\"')\]]{3,300}|\bwww\.[^\s<>\"')\]]{3,300}|[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}"
)
PHONE = re.compile(r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])?\d{3}[ .-]\d{4}(?![\w-])")
CHUNKS = re.compile(r"(?<![\w-])\d{4}(?:[ -]\d{4}){2,4}(?![\w-])")
NUMBERED = re.compile(
    r"(?:#|\b(?:number|id|ref|reference|ticket|case|order|invoice|account|policy|claim|form)(?: no\.?)?[:#]?|\bno\.)"
    r"\s?#?(\d{3,})\b(?![.,]\d)",
    re.IGNORECASE,
)
CODE = re.compile(r"(?<![\w-])[^\W_]+(?:[-_/#.][^\W_]+)*(?![\w-])")
ORDINARY = re.compile(r"\d+(?:\.\d+)?(?:st|nd|rd|th|am|pm|k|m|bn|mn|x|s)?", re.IGNORECASE)
UPPER = r"[^\W\d_a-zß-öø-ÿ]"
CAPITAL = rf"(?:(?:[A-Z]\.){{2,}}|{UPPER}\.(?=\s)|(?:Mrs?|Ms|Dr|Prof|St)\.|{UPPER}[\w'’]*(?:[-&][^\W\d_]\w*)*)"
NAME = re.compile(rf"(?<![\w'’-]){CAPITAL}(?:[ \u00a0](?:(?:of|de|la|van|von|der|du|al|bin|for)[ \u00a0])?{CAPITAL})*")
SENTENCE_START = re.compile(r"(?:^|[.!?:;\n•*\"“(–—>|-])[\s\"“*_#(-]*$")
JOINING = frozenset(
    {"of", "de", "la", "van", "von", "der", "du", "al", "bin", "for", "and", "mr", "mrs", "ms", "dr", "prof", "st"}
)
NOT_NAMES = (
    EVERYDAY_WORDS
    | {*MONTHS, *WEEKDAYS}
    | {name[:size] for name in (*MONTHS, *WEEKDAYS) for size in (3, 4)}
    | {"am", "pm", "faq", "n/a", "tbd", "asap", "fyi", "pin", "pdf", "url", "sms", "atm", "tv", "pc", "usb", "wi-fi"}
)


class Item(NamedTuple):
    """Something that a text states."""

    kind: Kind
    text: str
    start: int
    end: int
    said: Quantity | Moment | None = None
    """What a number or a date means."""

    @property
    def key(self) -> str:
        """The kind and the text as it is compared: equal for items that are spelt alike."""
        return f"{self.kind}:{normalised(self.text)}"


def items_in(text: str) -> list[Item]:
    """Every item of the text, in the order of their places; none overlap.

    What can be taken in two ways goes to the first of: quote, address, date, identifier, number, name.
    """
    text = unicodedata.normalize("NFC", text)[:MAX_CHARS]
    found: list[Item] = []
    left = text
    for read in (_quotes, _addresses, _dates, _identifiers, _numbers, _names):
        news = list(read(left))
        found += [item._replace(text=text[item.start : item.end]) for item in news]
        for item in news:
            left = left[: item.start] + TAKEN * (item.end - item.start) + left[item.end :]
    return sorted(found, key=lambda item: item.start)


class Source:
    """A text that answers are held against."""

    def __init__(self, text: str) -> None:
        text = unicodedata.normalize("NFC", text)[:MAX_CHARS]
        self._text = text.casefold()
        self._padded = f" {normalised(text)} "
        self._words = frozenset(re.findall(r"[^\W_]+", self._text))
        self._moments = moments(text)
        masked = text
        for item in _identifiers(text):
            masked = masked[: item.start] + TAKEN * (item.end - item.start) + masked[item.end :]
        self._quantities = quantities(masked)
        self._counts = counted_words(text)
        self._initials = _initials(text)

    def supports(self, item: Item) -> bool:
        """Whether the text says what the item says, as far as notation, units, forms of dates and rounding go."""
        return self._CHECKS[item.kind](self, item)

    def _number(self, item: Item) -> bool:
        assert isinstance(item.said, Quantity), item
        said = item.said
        counted = any(abs(said.value - count) < 1e-9 for count in self._counts)
        return counted or any(says_the_same(said, known) for known in self._quantities)

    def _date(self, item: Item) -> bool:
        assert isinstance(item.said, Moment), item
        return is_told(item.said, self._moments, [known.value for known in self._quantities])

    def _identifier(self, item: Item) -> bool:
        """Letter by letter and digit by digit; what separates them is free, what stands around them is not."""
        if ADDRESS.fullmatch(item.text):
            bare = re.escape(item.text.casefold().rstrip("./"))
            return re.search(rf"(?<![\w@]){bare}(?![\w@])", self._text) is not None
        letters = [re.escape(char) for char in item.text.casefold() if char.isalnum()]
        pattern = r"[-\s_./()#]{0,2}".join(letters)
        return re.search(rf"(?<![^\W_]){pattern}(?![^\W_])", self._text) is not None

    def _quote(self, item: Item) -> bool:
        """All parts of the quote, in any order, where an ellipsis parts it."""
        parts = [normalised(part) for part in re.split(r"\.\.\.|…", item.text)]
        return all(f" {part} " in self._padded for part in parts if part)

    def _name(self, item: Item) -> bool:
        """Every word of the name stands in the text, or its initials do, or it is the initials of words there."""
        every = re.findall(r"[^\W_]+", re.sub(r"['’]s\b", "", item.text.casefold()))
        words = [word for word in every if word not in JOINING and len(word) > 1] or every
        if all(word in self._words or _singular(word) in self._words for word in words):
            return True
        initials = "".join(word[0] for word in words)
        return (len(words) > 1 and initials in self._words) or (len(words) == 1 and words[0] in self._initials)

    _CHECKS = {"number": _number, "date": _date, "identifier": _identifier, "quote": _quote, "name": _name}  # noqa: RUF012


def _quotes(text: str) -> Iterator[Item]:
    for match in QUOTE.finditer(text):
        if re.search(r"[^\W_]{2}", match[0]):
            yield Item("quote", match[0], match.start(), match.end())


def _addresses(text: str) -> Iterator[Item]:
    for match in ADDRESS.finditer(text):
        bare = match[0].rstrip(".,;:!?")
        yield Item("identifier", bare, match.start(), match.start() + len(bare))


def _dates(text: str) -> Iterator[Item]:
    for moment in moments(text):
        yield Item("date", text[moment.start : moment.end], moment.start, moment.end, moment)


def _numbers(text: str) -> Iterator[Item]:
    for found in quantities(text):
        yield Item("number", text[found.start : found.end], found.start, found.end, found)


def _identifiers(text: str) -> Iterator[Item]:
    """Phone and card numbers, numbers called a number, long runs of digits, and codes of letters and digits."""
    spans: list[tuple[int, int]] = []
    for pattern, group in ((PHONE, 0), (CHUNKS, 0), (NUMBERED, 1)):
        spans += [match.span(group) for match in pattern.finditer(text)]
    spans += [match.span() for match in CODE.finditer(text) if _is_code(match[0])]
    end = -1
    for start, stop in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= end:
            yield Item("identifier", text[start:stop], start, stop)
            end = stop


def _is_code(word: str) -> bool:
    """Whether a word is meant to be copied letter by letter: "LB-110", "B12", "00417"; not "5kg", "25-year-old"."""
    if not any(char.isdigit() for char in word):
        return False
    if word.isdigit():
        return len(word) >= 7 or (len(word) > 3 and word[0] == "0")
    parts = re.split(r"[-_/#.]", word)
    if all(part.isdigit() for part in parts):
        return len(parts) > 2 or "_" in word
    return not all(part.islower() or not part or _is_ordinary(part) for part in parts)


def _is_ordinary(part: str) -> bool:
    """Whether a part with digits is a number with something common behind it: "5kg", "3rd", "10am", "401k"."""
    match = re.fullmatch(r"(\d+)([A-Za-z]*)", part)
    if not match:
        return False
    unit = match[2].lower()
    return ORDINARY.fullmatch(part) is not None or unit in UNITS or unit.removesuffix("s") in UNITS


def _names(text: str) -> Iterator[Item]:
    for match in NAME.finditer(text):
        words = [(word.start() + match.start(), word[0]) for word in re.finditer(r"[^\s\x00]+", match[0])]
        starts_sentence = SENTENCE_START.search(text[max(0, match.start() - 12) : match.start()]) is not None
        while words and (_is_everyday(words[0][1]) or words[0][1] in ("of", "for", "and")):
            words.pop(0)
            starts_sentence = False
        while words and (_is_everyday(words[-1][1]) or words[-1][1].lower() in JOINING):
            words.pop()
        if not words or (len(words) == 1 and starts_sentence and not _is_marked(words[0][1])):
            continue
        start, end = words[0][0], words[-1][0] + len(words[-1][1])
        rest = text[start:end]
        if re.search(r"[^\W\d_]{2}", rest) and not _is_heading(text, end):
            yield Item("name", rest, start, end)


def _is_everyday(word: str) -> bool:
    return word.lower().replace("’", "'") in NOT_NAMES


def _is_marked(word: str) -> bool:
    """Whether a word shows by itself that it is a name: "IRS", "eBay", "McKay"."""
    return sum(char.isupper() for char in word) > 1


def _is_heading(text: str, end: int) -> bool:
    """Whether a colon right behind ends the line: titles have capitals of their own."""
    return re.match(r"\W{0,2}:\W{0,2}(?:\n|$)", text[end : end + 6]) is not None


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) > 3 else word + "s"


def _initials(text: str) -> frozenset[str]:
    """Initials of every run of two to six words, joining words left out: what an acronym may stand for."""
    found = set()
    for sentence in re.split(r"[.!?\n]", text[:20_000]):
        words = [word.lower() for word in re.findall(r"[^\W\d_]+", sentence)]
        words = [word for word in words if word not in JOINING and word not in ("the", "a", "to", "in", "on")]
        letters = "".join(word[0] for word in words)
        found |= {letters[at : at + size] for size in range(2, 7) for at in range(len(letters) - size + 1)}
    return frozenset(found)
