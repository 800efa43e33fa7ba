"""A reviewer's session, from one break to the next, and whether it is time to rest."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from burnish.review.reliability import FEWEST_DECISIONS, LONGEST_SESSION_MINUTES, Decided, fatigue

BREAK_S = 900.0
"""A pause this long ends a session."""
EVERY = FEWEST_DECISIONS
"""Decisions between two looks at a session: a look after each would raise false alarms."""


class Answered(NamedTuple):
    """A decision and when it was made."""

    at_s: float
    seconds: float
    is_right: bool | None = None
    """On hidden checks; None elsewhere."""


def session_of(answered: Sequence[Answered], now_s: float) -> list[Decided]:
    """The decisions since the last break, oldest first; none where the break has lasted until now."""
    ordered = sorted(answered, key=lambda one: one.at_s)
    first, later_s = len(ordered), now_s
    while first and later_s - ordered[first - 1].at_s < BREAK_S:
        first -= 1
        later_s = ordered[first].at_s - ordered[first].seconds
    own = ordered[first:]
    start_s = own[0].at_s - own[0].seconds if own else now_s
    return [Decided((one.at_s - start_s) / 60, one.seconds, one.is_right) for one in own]


def why_rest(session: Sequence[Decided]) -> str:
    """Why a rest would do good, in words for the reviewer; empty: nothing speaks for one.

    Looked at after every 40 decisions, and once a session lasts longer than people are fresh.
    """
    looked_at = tuple(session[: len(session) // EVERY * EVERY])
    words = _tired(looked_at) if looked_at else ""
    minutes = session[-1].minute if session else 0.0
    is_long = minutes > LONGEST_SESSION_MINUTES
    lasted = (
        f"this session has lasted {minutes:.0f} minutes" if is_long and "this session has lasted" not in words else ""
    )
    return "; ".join(filter(None, (words, lasted)))


@lru_cache(maxsize=64)
def _tired(looked_at: tuple[Decided, ...]) -> str:
    """What a look at these finds, kept for the 40 decisions until the next: the tests take 4 ms."""
    return fatigue(looked_at).words
