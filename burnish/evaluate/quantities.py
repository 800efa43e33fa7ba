"""Numbers in a text with their units, and whether one says the same as another: notation, units, rounding.

"1,204.50", "1.204,50" and "1204.5" are one number; 2 hours are 120 minutes; 3.5 may stand for 3.46, never for 3.4.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

UNITS: dict[str, tuple[str, float]] = {}
"""Unit as written to what it measures and how many of that kind's smallest units it is; Fahrenheit, which has another
zero, is 0."""

_KINDS = {
    "percent": "%:1 percent:1 pct:1 percentage:1",
    "length": "mm:1 millimeter:1 millimetre:1 cm:10 centimeter:10 centimetre:10 m:1000 meter:1000 metre:1000 "
    "km:1000000 kilometer:1000000 kilometre:1000000 inch:25.4 inches:25.4 foot:304.8 feet:304.8 ft:304.8 yard:914.4 "
    "yd:914.4 mile:1609344 mi:1609344",
    "mass": "mg:0.001 milligram:0.001 g:1 gram:1 kg:1000 kilogram:1000 kilo:1000 tonne:1000000 lb:453.59237 "
    "lbs:453.59237 oz:28.349523125 ounce:28.349523125",
    "time": "second:1 sec:1 minute:60 min:60 hour:3600 hr:3600 h:3600 day:86400 week:604800",
    "months": "month:1 year:12 yr:12",
    "data": "kb:0.001 mb:1 gb:1000 tb:1000000",
    "volume": "ml:0.001 milliliter:0.001 l:1 liter:1 litre:1",
    "$": "$:1 usd:1 dollar:1 cent:0.01",
    "€": "€:1 eur:1 euro:1",
    "£": "£:1 gbp:1",
    "celsius": "°c:1 celsius:1 °f:0 fahrenheit:0",
}
for _kind, _text in _KINDS.items():
    for _entry in _text.split():
        _word, _, _size = _entry.rpartition(":")
        UNITS[_word] = (_kind, float(_size))

SCALES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12}
HEDGES = re.compile(
    r"(?:about|around|approximately|approx\.?|roughly|nearly|almost|over|under|some|~|≈|ca\.?)\s*\W?$", re.I
)
PLAIN = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:[\u00a0\u2009\u202f']\d{3})+(?:[.,]\d+)?|\d+(?:\.\d+)?|\.\d+"
EUROPEAN = r"\d{1,3}(?:\.\d{3})+,\d+|\d+,\d{1,2}(?![\d,])|\d{1,3}(?:\.\d{3}){2,}"
NUMBER = re.compile(rf"(?<![\w.])(?<!\d[,:/])(?:{EUROPEAN}|{PLAIN})(?!\d|[:/]\d)")
LIST_MARK = re.compile(r"^[ \t]*\d{1,2}[.)](?=\s)", re.MULTILINE)
AFTER = re.compile(r"[\s-]?(%|°\s?[CFcf]\b|[A-Za-z]+)")
CURRENCY = re.compile(r"([$€£]|\b(?:USD|EUR|GBP))\s?$")

_UNITS_IN_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
SMALL = {
    **{word: value for value, word in enumerate(_UNITS_IN_WORDS)},
    **{word: 20 + 10 * place for place, word in enumerate(_TENS)},
}
LARGE = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
WORDS = re.compile(
    rf"\b(?:{'|'.join([*SMALL, *LARGE])})(?:(?:\s|-|\sand\s)(?:{'|'.join([*SMALL, *LARGE])}))*\b", re.IGNORECASE
)
ORDINAL_WORDS = re.compile(rf"\b(?:{'|'.join(_ORDINALS)})\b", re.IGNORECASE)


class Quantity(NamedTuple):
    """A number in a text."""

    start: int
    end: int
    value: float
    """As written, a scale such as million multiplied in."""
    kind: str
    """What its unit measures; empty: it has none that we know."""
    size: float
    """Of its unit, in the smallest unit of its kind."""
    slack: float
    """By how much the true value may differ for this to be its rounding, as written."""
    is_rounded: bool
    """Whether it shows decimals, a scale or a hedge, so that it may stand for a value near to it."""


def quantities(text: str) -> list[Quantity]:
    """Every number in the text, in figures or in words, in the order of their places; list marks "1." are none.

    Derived numbers (sums, differences) are not worked out, and "one" alone is taken for a pronoun.
    """
    marks = {match.end() - 1 for match in LIST_MARK.finditer(text)}
    figures = [_figure(text, match) for match in NUMBER.finditer(text) if match.end() not in marks]
    words = [_with_unit(text, *found) for found in _in_words(text)]
    return sorted([*figures, *words], key=lambda found: found.start)


def counted_words(text: str) -> set[float]:
    """Numbers that words such as "one" and "third" stand for: they support a number, and are never claims."""
    found = {float(1 + _ORDINALS.index(match[0].lower())) for match in ORDINAL_WORDS.finditer(text)}
    return found | ({1.0} if re.search(r"\b(?:one|a|an|once)\b", text, re.IGNORECASE) else set())


def says_the_same(said: Quantity, known: Quantity) -> bool:
    """Whether `said` is `known` in another notation or unit, or its rounding; a missing unit agrees with every unit."""
    if said.kind and known.kind and said.kind != known.kind:
        return False
    if said.kind == known.kind == "celsius":
        return _close(_celsius(said), _celsius(known), 0.5)
    if not said.kind or not known.kind:
        share = {said.kind, known.kind} == {"percent", ""}
        return _agree(said, known, 1.0, 1.0) or (share and _agree(said, known, *_as_shares(said, known)))
    return _agree(said, known, said.size, known.size)


def _agree(said: Quantity, known: Quantity, said_size: float, known_size: float) -> bool:
    a, b = said.value * said_size, known.value * known_size
    may_round = said.is_rounded or said_size != known_size or known.value != int(known.value)
    return _close(a, b, said.slack * said_size if may_round else 0.0)


def _as_shares(said: Quantity, known: Quantity) -> tuple[float, float]:
    return (0.01, 1.0) if said.kind else (1.0, 0.01)


def _close(a: float, b: float, slack: float) -> bool:
    return abs(a - b) <= slack + 1e-9 * max(1.0, abs(a), abs(b))


def _celsius(found: Quantity) -> float:
    return found.value if found.size else (found.value - 32) / 1.8


def _figure(text: str, match: re.Match[str]) -> Quantity:
    written = match[0]
    if re.fullmatch(EUROPEAN, written):
        plain = written.replace(".", "").replace(",", ".")
    else:
        plain = re.sub(r"[,'\u00a0\u2009\u202f](?=\d{3})", "", written).replace(",", ".")
    decimals = len(plain.partition(".")[2])
    before = text[max(0, match.start() - 16) : match.start()]
    sign = -1.0 if re.search(r"(?:^|[\s(])[-−]$", before) else 1.0
    return _with_unit(text, match.start(), match.end(), sign * float(plain), decimals)


def _with_unit(text: str, start: int, end: int, value: float, decimals: int) -> Quantity:
    before = text[max(0, start - 16) : start]
    currency = CURRENCY.search(before)
    hedged = bool(HEDGES.search(before[: currency.start()] if currency else before))
    scale, end = _scale(text, end, has_currency=currency is not None)
    kind, size, end = _unit(text, end)
    if currency:
        kind, size = UNITS[currency[1].lower()]
        start -= len(currency[0])
    slack = 0.5 * 10.0**-decimals * scale
    if hedged and not decimals and value and scale == 1.0:
        slack = 0.5 * 10 ** _trailing_zeros(value)
    rounded = bool(decimals) or scale != 1.0 or hedged
    return Quantity(start, end, value * scale, kind, size, slack, rounded)


def _scale(text: str, end: int, *, has_currency: bool) -> tuple[float, int]:
    match = re.match(r"\s?([A-Za-z]+)\b", text[end : end + 12])
    word = match[1] if match else ""
    if match and (word.lower() in SCALES or (has_currency and word in ("m", "M", "b", "B"))):
        return SCALES.get(word.lower(), 1e6 if word in "mM" else 1e9), end + match.end()
    return 1.0, end


def _unit(text: str, end: int) -> tuple[str, float, int]:
    match = AFTER.match(text[end : end + 24])
    if not match:
        return "", 1.0, end
    word = match[1].lower().replace(" ", "")
    for form in (word, word.removesuffix("s")):
        if form in UNITS:
            return *UNITS[form], end + match.end()
    return "", 1.0, end


def _trailing_zeros(value: float) -> int:
    digits = str(int(abs(value)))
    return len(digits) - len(digits.rstrip("0"))


def _in_words(text: str) -> Iterator[tuple[int, int, float, int]]:
    for match in WORDS.finditer(text):
        words = [word for word in re.split(r"[\s-]+", match[0].lower()) if word != "and"]
        if words in (["one"], ["hundred"], ["thousand"], ["million"]):
            continue
        yield match.start(), match.end(), float(_value_of(words)), 0


def _value_of(words: Sequence[str]) -> int:
    """As in "two hundred and twenty-five thousand"; words that follow without forming a number are added up."""
    total = part = 0
    for word in words:
        if word == "hundred":
            part = max(part, 1) * 100
        elif word in LARGE:
            total, part = total + max(part, 1) * LARGE[word], 0
        else:
            part += SMALL[word]
    return total + part
