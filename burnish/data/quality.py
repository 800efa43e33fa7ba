"""What stands in a text that should not: secrets, personal data, control tokens, noise. Found, counted, masked.

Every pattern takes time linear in the text: its repetitions are bounded. Reports hold counts only.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

MAX_CHARS = 100_000
"""Of one text that are looked at; what lies behind is not searched."""

SECRETS = {
    "private-key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s\\]{0,8000}-----END [A-Z ]{0,30}-----)?",
    "aws-key": r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[0-9A-Z]{16}\b",
    "aws-secret": r"(?i:\baws[\w ]{0,20}(?:secret|key)[\w ]{0,20}[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[A-Za-z0-9/+]{40}\b",
    "github-token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255})",
    "gitlab-token": r"\bglpat-[A-Za-z0-9_-]{20,100}",
    "slack-token": r"\bxox[abposr]-[A-Za-z0-9-]{10,200}",
    "api-key": r"\b(?:sk-[A-Za-z0-9_-]{20,250}|hf_[A-Za-z0-9]{30,60}|AIza[0-9A-Za-z_-]{35}|npm_[A-Za-z0-9]{36}"
    r"|pypi-[A-Za-z0-9_-]{40,300}|[sr]k_(?:live|test)_[0-9A-Za-z]{16,120})",
    "jwt": r"\beyJ[A-Za-z0-9_-]{10,1000}\.[A-Za-z0-9_-]{10,3000}\.[A-Za-z0-9_-]{5,1000}",
    "url-password": r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:[^\s/@]{1,200}@",
    "password": r"(?i:\b(?:password|passwd|passphrase|pwd|secret|api[_-]?key|(?:access|auth)[_-]?token)\b"
    r"[\"']?\s{0,3}[:=]\s{0,3})[\"']?(?=[^\s\"',;]{0,60}\d)[^\s\"',;]{6,200}",
}
"""Kind of secret to its pattern."""

PERSONAL = {
    "email": r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}",
    "ssn": r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-])",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "card": r"(?<![\d.])[3-6](?:[ -]?\d){12,18}(?![\d.]?\d)",
    "phone": r"(?<![\w.+-])(?:\+\d{1,3}(?:[ .()-]{0,2}\d){7,13}"
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4})(?![\w-])",
}
"""Kind of personal data to its pattern."""

CONTROL_TOKEN = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk|mask)>"
)
SECRET_SIGNS = ("://", "passw", "passp", "pwd", "secret", "key", "token")
LONG_WORD = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{13}")
MAY_BE_NUMBER = re.compile(r"\d[ .()-]{0,2}\d[ .()-]{0,2}\d")
ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
WORD = re.compile(r"\w+")
SHORTEST_SPAM = 120

SECRET_PATTERNS = {kind: re.compile(pattern) for kind, pattern in SECRETS.items()}
PERSONAL_PATTERNS = {kind: re.compile(pattern) for kind, pattern in PERSONAL.items()}


class Findings(NamedTuple):
    """What was found in one text, by kind; empty where nothing was."""

    secrets: Counter[str]
    personal: Counter[str]
    control_tokens: int
    noise: tuple[str, ...]
    """Any of control-characters, replacement-characters, repetition."""


def inspect_text(text: str) -> Findings:
    """What stands in a text. Patterns can miss and can cry wolf: the counts are a reason to look, not a proof."""
    text = text[:MAX_CHARS]
    secrets = Counter(kind for kind, *_ in found_in(text, personal=False))
    personal = Counter(kind for kind, *_ in found_in(text, secrets=False))
    tokens = sum(1 for _ in CONTROL_TOKEN.finditer(text)) if "<" in text or "[" in text else 0
    return Findings(secrets, personal, tokens, _noise(text))


def mask(text: str) -> str:
    """The text with every secret and every piece of personal data replaced by its kind: [email], [aws-key].

    What lies behind the first 100,000 characters is left out, because it is not searched.
    """
    return replaced(text[:MAX_CHARS], found_in(text[:MAX_CHARS]))


def replaced(text: str, hits: Iterable[tuple[str, int, int]]) -> str:
    """The text with each (kind, start, end) replaced by its kind in brackets; of hits that overlap the first counts."""
    parts, end = [], 0
    for kind, start, stop in sorted(hits, key=lambda hit: (hit[1], -hit[2])):
        if start >= end:
            parts += [text[end:start], f"[{kind}]"]
        end = max(end, stop)
    return "".join([*parts, text[end:]])


def snippet(text: str, length: int = 120) -> str:
    """The beginning of a text as it may be shown anywhere: masked, on one line, control characters escaped."""
    shown = mask(text[:4000])
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown[: length + 1])
    return line if len(line) <= length else line[: length - 1] + "…"


def counted(found: Mapping[str, int]) -> str:
    """As "web 12, chat 3 and 4 more": at most 24 entries, in their order."""
    shown = ", ".join(f"{name} {count:,}" for name, count in list(found.items())[:24])
    return shown + (f" and {len(found) - 24} more" if len(found) > 24 else "")


def found_in(text: str, *, secrets: bool = True, personal: bool = True) -> list[tuple[str, int, int]]:
    """(kind, start, end) of every hit; where two overlap, both are there."""
    hits = []
    if secrets and _may_hold_secret(text):
        for kind, pattern in SECRET_PATTERNS.items():
            hits += [(kind, match.start(), match.end()) for match in pattern.finditer(text)]
    has_number = personal and MAY_BE_NUMBER.search(text)
    for kind, pattern in PERSONAL_PATTERNS.items() if personal else ():
        if "@" in text if kind == "email" else has_number:
            real = VERIFY.get(kind, _always)
            hits += [(kind, match.start(), match.end()) for match in pattern.finditer(text) if real(match.group())]
    return hits


def _may_hold_secret(text: str) -> bool:
    """A quick look that is right whenever it says no: most rows are not searched further."""
    low = text.lower()
    return any(sign in low for sign in SECRET_SIGNS) or LONG_WORD.search(text) is not None


def _always(_: str) -> bool:
    return True


def is_card_number(text: str) -> bool:
    """Whether the digits pass the Luhn check (ISO/IEC 7812-1)."""
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the characters pass the check of ISO 13616: remainder 1 modulo 97."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


VERIFY: dict[str, Callable[[str], bool]] = {"card": is_card_number, "iban": is_iban}


def _noise(text: str) -> tuple[str, ...]:
    """Language-agnostic signs that a text is broken: each is a share, so that one odd character is no alarm."""
    noise = []
    if "\ufffd" in text and text.count("\ufffd") > max(1, len(text) // 100):
        noise.append("replacement-characters")
    if len(text) > 1 and not text.replace("\n", "").isprintable() and len(ODD.findall(text)) > max(1, len(text) // 100):
        noise.append("control-characters")
    if len(text) >= SHORTEST_SPAM and _repeats(text):
        noise.append("repetition")
    return tuple(noise)


def _repeats(text: str) -> bool:
    """Whether most runs of three words stand there twice; of ten characters, in a text without spaces."""
    units: list[str] = WORD.findall(text[:20_000])
    size = 3
    if len(units) < 20:
        units, size = list(text[:20_000]), 10
    runs = [tuple(units[at : at + size]) for at in range(len(units) - size + 1)]
    return len(set(runs)) < len(runs) / 2
