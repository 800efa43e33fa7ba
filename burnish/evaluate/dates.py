"""Dates and times of day in a text, in the forms in which people write them, and whether one says the same as another.

05/04/2026 is read as the fifth of April and as the fourth of May: what agrees with one reading agrees.
"""

import re
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH = "|".join(f"{name}|{name[:3]}\\.?" if name != "september" else "september|sept?\\.?" for name in MONTHS)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?:19|20)\d\d"
_EDGE, _END = r"(?<![\w/.-])", r"(?![\w/])(?!\.\d)(?!-\w)"

ISO = re.compile(rf"(?<![\w/-])(?P<y>{_YEAR})[-/.](?P<m>\d\d?)[-/.](?P<d>\d\d?)(?!\d|[-/]\d)")
SLASHED = re.compile(rf"{_EDGE}(?P<a>\d\d?)(?P<sep>[/.-])(?P<b>\d\d?)(?P=sep)(?P<y>\d{{4}}|\d\d){_END}")
SHORT = re.compile(rf"{_EDGE}(?!24/7)(?P<a>\d\d?)/(?P<b>\d\d?){_END}")
MONTH_FIRST = re.compile(
    rf"\b(?P<month>{_MONTH})\s+(?P<d>{_DAY})(?:\s?[-–]\s?(?P<d2>{_DAY}))?\b(?:,?\s+(?P<y>{_YEAR})\b)?", re.I
)
DAY_FIRST = re.compile(
    rf"(?<![\w.,])(?P<d>{_DAY})(?:\s?[-–]\s?(?P<d2>{_DAY}))?(?:\s+of)?[\s-]+(?P<month>{_MONTH})\b(?:,?[\s-]+(?P<y>{_YEAR})\b)?",
    re.I,
)
MONTH_ONLY = re.compile(rf"\b(?P<month>{_MONTH}),?\s+(?:of\s+)?(?P<y>{_YEAR})\b", re.I)
MONTH_ALONE = re.compile(
    r"\b(?:in|since|until|till|by|from|last|next|this|early|late|mid)[\s-]"
    rf"(?P<month>{'|'.join(month.title() for month in MONTHS)})\b"
)
WEEKDAY = re.compile(rf"\b(?P<w>{'|'.join(WEEKDAYS)})s?\b", re.I)
CLOCK = re.compile(
    r"(?<![\w:.,])(?P<h>[01]?\d|2[0-4])(?::(?P<min>[0-5]\d)(?::[0-5]\d)?\s?(?P<half>[ap](?:m\b|\.m\.))?"
    r"|\s?(?P<bare>[ap](?:m\b|\.m\.)))",
    re.I,
)
NOON = re.compile(r"\b(?P<name>noon|midnight)\b", re.I)


class Day(NamedTuple):
    """A date, or as much of it as is said."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    """0 for Monday; only for a weekday that stands alone."""

    @property
    def falls_on(self) -> int | None:
        """Its weekday, where it is known."""
        if self.year and self.month and self.day:
            return date(self.year, self.month, self.day).weekday()
        return self.weekday


class Moment(NamedTuple):
    """A date or a time of day in a text, with every reading that it allows."""

    start: int
    end: int
    days: tuple[Day, ...] = ()
    minutes: tuple[int, ...] = ()
    """Since midnight."""


def moments(text: str) -> list[Moment]:
    """Every date, weekday and time of day in the text, in the order of their places; none overlap."""
    found: list[Moment] = []
    for pattern in (ISO, SLASHED, MONTH_FIRST, DAY_FIRST, MONTH_ONLY, MONTH_ALONE, SHORT, WEEKDAY):
        for match in pattern.finditer(text):
            days = tuple(day for day in _readings(match) if _exists(day))
            start = match.start("month") if pattern is MONTH_ALONE else match.start()
            if days and not _is_taken(found, start, match.end()):
                found.append(Moment(start, match.end(), days=days))
    for pattern in (CLOCK, NOON):
        for match in pattern.finditer(text):
            if not _is_taken(found, match.start(), match.end()):
                found.append(Moment(match.start(), match.end(), minutes=_minutes(match)))
    return sorted(found)


def is_told(said: Moment, known: Iterable[Moment], years: Iterable[float] = ()) -> bool:
    """Whether a known moment says the same, or more: "May 4" is told by 2026-05-04, and Monday by it as well.

    A year that the known date leaves out may stand elsewhere, among `years`.
    """
    known = list(known)
    if said.minutes:
        return any(set(said.minutes) & set(other.minutes) for other in known)
    elsewhere = {int(year) for year in years if 1900 <= year < 2100}
    return any(_fits(day, other, elsewhere) for day in said.days for moment in known for other in moment.days)


def _fits(said: Day, known: Day, elsewhere: set[int]) -> bool:
    if said.weekday is not None:
        return known.falls_on == said.weekday
    if said.month is not None and known.month != said.month:
        return False
    if said.day is not None and known.day != said.day:
        return False
    return said.year is None or known.year == said.year or (known.year is None and said.year in elsewhere)


def _readings(match: re.Match[str]) -> list[Day]:
    parts = match.groupdict()
    if parts.get("w"):
        return [Day(weekday=WEEKDAYS.index(parts["w"].lower()))]
    year = _year(parts.get("y"))
    if parts.get("a"):
        a, b = int(parts["a"]), int(parts["b"])
        return list(dict.fromkeys([Day(year, a, b), Day(year, b, a)]))
    month = _month(parts["month"]) if parts.get("month") else int(parts["m"])
    days = [int(re.sub(r"\D", "", parts[key])) for key in ("d", "d2") if parts.get(key)]
    return [Day(year, month, day) for day in days] or [Day(year, month)]


def _year(text: str | None) -> int | None:
    if not text:
        return None
    return int(text) if len(text) == 4 else 2000 + int(text)


def _month(name: str) -> int:
    return next(place for place, month in enumerate(MONTHS, 1) if month.startswith(name.lower().rstrip(".")[:3]))


def _exists(day: Day) -> bool:
    if day.month is None:
        return day.weekday is not None
    if not 1 <= day.month <= 12:
        return False
    try:
        date(day.year or 2024, day.month, day.day or 1)  # 2024 is a leap year
    except ValueError:
        return False
    return True


def _minutes(match: re.Match[str]) -> tuple[int, ...]:
    parts = match.groupdict()
    if parts.get("name"):
        return (720,) if parts["name"].lower() == "noon" else (0, 1440)
    hour, minute = int(parts["h"]), int(parts["min"] or 0)
    half = (parts["half"] or parts["bare"] or "").lower()
    if half:
        return (hour % 12 * 60 + minute + (720 if half.startswith("p") else 0),)
    return (hour * 60 + minute, hour * 60 + minute + 720) if 1 <= hour < 12 else (hour * 60 + minute,)


def _is_taken(found: Iterable[Moment], start: int, end: int) -> bool:
    return any(start < other.end and other.start < end for other in found)
