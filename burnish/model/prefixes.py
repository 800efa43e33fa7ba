"""What prompts begin with in common, found among those that wait and those that came lately, and computed once each.

Prompts of different realms never share: how soon an answer comes would tell the one what the other has asked.

A prefix is worth its own pass when it saves many tokens: its length times the prompts that need not run it again.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from burnish.model.cache import Prefix
from burnish.model.session import Entry, Session

SHORTEST = 8
LEAST_SAVED = 64
"""Tokens. Below either a pass of its own costs more than it saves."""

MOST_AT_ONCE = 4
"""Prefixes found in one lot of prompts of an adapter: attention runs once for each."""

REMEMBERED = 64
"""Prompts of an adapter that are kept in mind, so that prompts which come one by one find each other."""


class Shared(NamedTuple):
    """A common beginning and which of the sorted prompts have it."""

    length: int
    first: int
    last: int


class Prefixes:
    """The prefixes of one session, by adapter; those used longest ago are let go beyond `most_tokens` in all."""

    def __init__(self, session: Session, most_tokens: int) -> None:
        self._session, self._most_tokens = session, most_tokens
        self._known: OrderedDict[tuple[int, str, tuple[int, ...]], Prefix] = OrderedDict()
        self._lately: dict[tuple[int, str], deque[tuple[int, ...]]] = {}

    def plan(self, prompts: Sequence[tuple[int, ...]], slot: int, realm: str = "") -> list[int]:
        """How many tokens of each prompt are worth sharing, 0 where none; the prompts are remembered."""
        lately = self._lately.setdefault((slot, realm), deque(maxlen=REMEMBERED))
        everything = sorted([*prompts, *lately])
        lately.extend(prompts)
        planned: dict[tuple[int, ...], int] = {}
        for length, first, last in common_beginnings(everything)[:MOST_AT_ONCE]:
            planned |= dict.fromkeys(everything[first : last + 1], length)
        known = [tokens for *place, tokens in self._known if place == [slot, realm]]
        return [max(planned.get(prompt, 0), _longest(known, prompt)) for prompt in prompts]

    def entry(self, prompt: tuple[int, ...], shared: int, slot: int, realm: str = "") -> Entry:
        """The prompt with its prefix, which is computed if it is not there."""
        if not shared:
            return Entry(prompt, slot=slot)
        key = (slot, realm, prompt[:shared])
        if key not in self._known:
            self._known[key] = self._session.prefix(prompt[:shared], slot)
            while len(self._known) > 1 and sum(len(tokens) for *_, tokens in self._known) > self._most_tokens:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return Entry(prompt, self._known[key], slot)

    def forget(self, slot: int) -> None:
        """Drops what was computed with an adapter whose weights have changed."""
        for key in [key for key in self._known if key[0] == slot]:
            del self._known[key]


def common_beginnings(prompts: Sequence[tuple[int, ...]]) -> list[Shared]:
    """Common beginnings of sorted prompts that are worth it, the most saving one first, each prompt in one at most.

    A prompt's last token is never shared, since its hidden state is what the prompt is run for.
    """
    common = [_common(one, other) for one, other in pairwise(prompts)]
    found: list[Shared] = []
    spans = [(0, len(prompts) - 1)]
    while spans:
        first, last = spans.pop()
        best = _widest(common, first, last)
        if best is None:
            continue
        found.append(best)
        spans += [(first, best.first - 1), (best.last + 1, last)]
    return sorted(found, key=lambda one: (-_saved(one), one.first))


def _saved(shared: Shared) -> int:
    return shared.length * (shared.last - shared.first)


def _widest(common: Sequence[int], first: int, last: int) -> Shared | None:
    """The beginning that saves most among prompts first to last: the largest rectangle under a histogram."""
    best: Shared | None = None
    stack: list[tuple[int, int]] = []  # rising lengths, and the first prompt from which on each holds
    for at in range(first, last + 1):
        length, start = (common[at] if at < last else 0), at
        while stack and stack[-1][0] >= length:
            height, start = stack.pop()
            one = Shared(height, start, at)
            if height >= SHORTEST and _saved(one) >= LEAST_SAVED and (best is None or _saved(one) > _saved(best)):
                best = one
        stack.append((length, start))
    return best


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    most = min(len(one), len(other)) - 1
    if one[:most] == other[:most]:
        return most
    return next(at for at in range(most) if one[at] != other[at])


def _longest(known: Sequence[tuple[int, ...]], prompt: tuple[int, ...]) -> int:
    fits = [len(tokens) for tokens in known if len(tokens) < len(prompt) and prompt[: len(tokens)] == tokens]
    return max(fits, default=0)
