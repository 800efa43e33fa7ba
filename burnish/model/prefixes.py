"""What prompts begin with in common, found among those that wait and those that came lately, and computed once each.

Prompts of different realms never share: how soon an answer comes would tell the one what the other has asked.

A prefix is worth its own pass when it saves many tokens: its length times the prompts that need not run it again.
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
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


PASS_TOKENS = 4096
"""Tokens of prefixes, padding counted, that are computed in one pass."""

_Key = tuple[int, str, tuple[int, ...]]
"""Slot, realm and tokens."""


class Wanted(NamedTuple):
    """A prompt that is about to enter."""

    prompt: tuple[int, ...]
    shared: int
    """How many of its tokens are a prefix; 0: none."""
    slot: int
    realm: str = ""


class Shared(NamedTuple):
    """A common beginning and which of the sorted prompts have it."""

    length: int
    first: int
    last: int


class Prefixes:
    """The prefixes of one session, by adapter; those used longest ago are let go beyond `most_tokens` in all."""

    def __init__(self, session: Session, most_tokens: int) -> None:
        self._session, self._most_tokens = session, most_tokens
        self._known: OrderedDict[_Key, Prefix] = OrderedDict()
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

    def entries(self, wanted: Sequence[Wanted]) -> list[Entry]:
        """The prompts with their prefixes; those that are not there are computed, side by side."""
        keys = [(one.slot, one.realm, one.prompt[: one.shared]) for one in wanted]
        self._compute({key for key in keys if key[-1] and key not in self._known})
        found = []
        for one, key in zip(wanted, keys, strict=True):
            found.append(Entry(one.prompt, self._known[key] if one.shared else None, one.slot))
            if one.shared:
                self._known.move_to_end(key)
        while len(self._known) > 1 and sum(len(tokens) for *_, tokens in self._known) > self._most_tokens:
            self._known.popitem(last=False)
        return found

    def _compute(self, missing: Collection[_Key]) -> None:
        lots: list[list[_Key]] = []
        for key in sorted(missing, key=lambda key: (len(key[-1]), key)):
            if not lots or (len(lots[-1]) + 1) * len(key[-1]) > PASS_TOKENS:
                lots.append([])
            lots[-1].append(key)
        for lot in lots:
            computed = self._session.prefixes([(tokens, slot) for slot, _, tokens in sorted(lot)])
            self._known |= zip(sorted(lot), computed, strict=True)

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
