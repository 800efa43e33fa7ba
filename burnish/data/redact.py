"""Takes personal data out of texts that users wrote, before they are kept: more than `mask` finds, at the price of more
false alarms.

Patterns, not understanding: names, street addresses and what is spelled out in words stay.
"""

import ipaddress
import re
from collections.abc import Iterator

from burnish.data.quality import MAX_CHARS, found_in, is_iban, replaced

MOST_PASSES = 4
"""A replacement can lay bare what stood beside it; one more look has nearly always been enough."""
MORE = {
    "phone": r"(?<![\w.+/-])(?<!\d )(?:00\d{1,3}(?:[ .()/-]{0,2}\d){7,13}"
    r"|(?:\(0\d{1,5}\)|0\d{1,5})(?:[ ./-]{1,3}\d{1,8}){1,5})(?![\w-])",
    "birth-date": r"(?i:\b(?:born(?: on)?|dob|date of birth|birth ?da(?:y|te)|geb(?:oren)?(?: am)?|geburtsdatum)\b"
    r"[\s:.=-]{0,4}(?:the )?)(?:\d{1,4}[./ -]\d{1,2}[./ -]\d{1,4}"
    r"|\d{1,2}(?:st|nd|rd|th|\.)? [^\W\d_]{3,9},? \d{4}|[^\W\d_]{3,9} \d{1,2}(?:st|nd|rd|th)?,? \d{4})",
}
MORE_PATTERNS = {kind: re.compile(pattern) for kind, pattern in MORE.items()}
FEWEST_PHONE_DIGITS, MOST_PHONE_DIGITS = 7, 15
DATE = re.compile(r"0?\d[./-]\d{1,2}[./-]\d{2,4}")
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ .-]?[A-Za-z0-9]){11,30}")
IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3}(?![\w:])")
SHORTEST_IBAN = 15


def redact(text: str) -> str:
    """The text with personal data and secrets replaced by their kind: [email], [phone], [iban], [card], [ip], [ssn],
    [birth-date], [api-key] and so on. Nothing that the patterns know is left in it.

    What lies behind the first 100,000 characters is left out, because it is not searched.
    """
    text = text[:MAX_CHARS]
    for _ in range(MOST_PASSES):
        plain = replaced(text, [*found_in(text), *_more(text)])
        if plain == text:
            break
        text = plain
    return text


def _more(text: str) -> Iterator[tuple[str, int, int]]:
    """(kind, start, end) of what only texts of users are searched for."""
    for match in MORE_PATTERNS["birth-date"].finditer(text):
        yield "birth-date", match.start(), match.end()
    for match in MORE_PATTERNS["phone"].finditer(text):
        if _is_phone(match.group()):
            yield "phone", match.start(), match.end()
    for match in IBAN.finditer(text):
        if length := _iban_length(match.group()):
            yield "iban", match.start(), match.start() + length
    for pattern in (IPV4, IPV6):
        for match in pattern.finditer(text):
            if _is_address(match.group()):
                yield "ip", match.start(), match.end()


def _is_phone(text: str) -> bool:
    """Whether it has as many digits as a number that can be called (ITU-T E.164), and is no date."""
    num_digits = sum(char.isdigit() for char in text)
    return FEWEST_PHONE_DIGITS <= num_digits <= MOST_PHONE_DIGITS and not DATE.fullmatch(text)


def _iban_length(text: str) -> int:
    """How many of the characters are an account number with its check digits; 0: none. Words may follow it."""
    ends = [at for at, char in enumerate(text, 1) if char.isalnum()]
    for end in reversed(ends[SHORTEST_IBAN - 1 :]):
        is_whole = end == len(text) or not text[end].isalnum()
        if is_whole and is_iban(re.sub(r"[ .-]", "", text[:end]).upper()):
            return end
    return 0


def _is_address(text: str) -> bool:
    if ("." not in text and text.count(":") < 2) or text.count(":") == 1:
        return False
    try:
        return str(ipaddress.ip_address(text)) != "::"
    except ValueError:
        return False
