"""Texts generated side by side, each by its own wishes: when one is done its place goes to the next that waits.

Every text depends on its own prompt, adapter and seed and on nothing beside it, up to the rounding of sums: kernels sum
in another order for another number of rows. In float32 that is about 1e-6 of a logit, so texts are the same unless two
tokens tie to that degree; in bfloat16 steps are 1e-2, and nearly equal tokens do change places.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from burnish.errors import DataError
from burnish.model.base import Base
from burnish.model.cache import bytes_per_token
from burnish.model.lora import LoraBank
from burnish.model.prefixes import Prefixes, Wanted
from burnish.model.sample import GREEDY, Ask, Picked, Sampling, likeliest, pick
from burnish.model.session import Entry, Session, check_lengths

MOST_ROWS = 128
CACHE_BYTES = 1 << 30
"""Memory of keys and values that a generator may fill."""

PROMPT_TOKENS = 4096
"""Prompt tokens, padding counted, that enter in one pass; more is no faster on a CPU, and attention takes memory."""


class Walk(Protocol):
    """One answer on its way through a grammar: which tokens may come next, and when it is done."""

    @property
    def stop(self) -> Literal["end", "length"] | None:
        """Why the answer is done, or None while it is not."""

    def allowed(self) -> Tensor | None:
        """Which tokens may come next, bool [V]; None: any."""

    def push(self, token: int) -> None:
        """Takes the next token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A text that is wanted."""

    prompt: tuple[int, ...]
    max_new_tokens: int
    """The token that ends the answer counts; the base's positions are a limit too."""
    slot: int | None = None
    """Adapter of the generator's bank; None: the base alone. Without a bank: whatever is in use around the calls."""
    realm: str = ""
    """Prompts share their beginnings with those of the same realm only."""
    sampling: Sampling = GREEDY
    grammar: Callable[[], Walk] | None = None
    """Starts the walk that says which tokens may come."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer and are cut off it."""
    end_ids: tuple[int, ...] | None = None
    """Tokens that end the answer; None: the chat template's."""
    top_logprobs: int = 0
    """How many of the likeliest tokens to tell with each token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """An answer as it was produced."""

    tokens: tuple[int, ...]
    """Without the token that ended it."""
    text: str
    stop_reason: Literal["end", "length"]
    """end: the model ended its turn, the grammar is complete, or a stop text came."""
    logprob: float
    """Summed over the produced tokens, the ending one included, in nats."""


class Event(NamedTuple):
    """A new token of a request."""

    number: int
    """What `submit` gave."""
    token: int
    logprob: float
    answer: Generated | None
    """With the last token: all of it."""
    top: tuple[Picked, ...] = ()
    """The likeliest tokens in its place, as many as the request asked for."""


@dataclass(slots=True)
class Text:
    """A text on its way: what was said so far, and whether it is done; which tokens come is another's affair."""

    number: int
    request: Request
    most_tokens: int
    end_ids: tuple[int, ...]
    walk: Walk | None
    shared: int = -1
    """Prompt tokens to share with others; -1: not known yet."""
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    done: Literal["end", "length"] | None = None

    @property
    def columns(self) -> int:
        """Columns of the cache that the text may come to need."""
        return len(self.request.prompt) - max(self.shared, 0) + self.most_tokens

    def ask(self) -> Ask:
        """How the next token is to be picked."""
        return Ask(self.request.sampling, len(self.tokens), self.walk.allowed() if self.walk else None)

    def push(self, base: Base, token: int, logprob: float) -> None:
        """Takes the next token, which must be an allowed one, and its log-probability."""
        self.tokens.append(token)
        self.logprob += logprob
        if self.walk:
            self.walk.push(token)
            self.done = self.walk.stop
        elif token in self.end_ids or (self.request.stop and self._is_stopped(base)):
            self.done = "end"
        if self.done is None and len(self.tokens) >= self.most_tokens:
            self.done = "length"

    def _is_stopped(self, base: Base) -> bool:
        window = 4 * max(map(len, self.request.stop)) + 4  # a letter takes at most four tokens
        recent = base.chat.answer_text(self.tokens[-window:])
        return any(stop in recent for stop in self.request.stop)

    def answer(self, base: Base) -> Generated:
        """All of it, once it is done."""
        is_ended = bool(self.tokens) and self.tokens[-1] in self.end_ids
        kept = self.tokens[:-1] if is_ended else self.tokens
        text = base.chat.answer_text(kept)
        cuts = [at for at in (text.find(stop) for stop in self.request.stop) if at >= 0]
        return Generated(
            tokens=tuple(kept),
            text=text[: min(cuts)] if cuts else text,
            stop_reason=self.done or "length",
            logprob=self.logprob,
        )


def begin_text(base: Base, request: Request, number: int = 0) -> Text:
    """The text of a request, still empty. Raises DataError when the prompt leaves no room or is empty."""
    check_lengths(base, [request.prompt])
    if not request.prompt or request.max_new_tokens < 1:
        what = "an empty prompt" if not request.prompt else f"max_new_tokens {request.max_new_tokens}"
        raise DataError(f"a request has {what}", hint="Give at least one prompt token and ask for at least one.")
    room = base.max_tokens - len(request.prompt)
    end_ids = base.chat.end_ids if request.end_ids is None else request.end_ids
    walk = request.grammar() if request.grammar else None
    return Text(number, request, min(request.max_new_tokens, room), tuple(end_ids), walk)


class Generator:
    """Rows over one base; `step` moves all of them by a token. One thread drives it; after an exception it is done for.

    Adapters are used in place, so a changed one is told with `forget` before its next request.
    """

    def __init__(
        self,
        base: Base,
        bank: LoraBank | None = None,
        *,
        max_rows: int = MOST_ROWS,
        cache_bytes: int = CACHE_BYTES,
        prefix_reuse: bool = True,
    ) -> None:
        """The cache takes at most `cache_bytes`, but a single text that needs more still gets it."""
        self._base, self._bank = base, bank
        self._max_rows = max_rows
        self._max_columns = max(1, cache_bytes // bytes_per_token(base.model))
        self._session = Session(base, bank)
        self._prefixes = Prefixes(self._session, self._max_columns // 4) if prefix_reuse else None
        self._waiting: deque[Text] = deque()
        self._unplanned: list[Text] = []
        self._texts: list[Text] = []
        self._cancelled: set[int] = set()
        self._next = 0

    @property
    def num_waiting(self) -> int:
        """Requests that have no row yet."""
        return len(self._waiting)

    @property
    def num_active(self) -> int:
        """Requests that have a row."""
        return len(self._texts)

    def submit(self, request: Request) -> int:
        """Queues a request and gives its number. Raises DataError when the prompt leaves no room or is empty."""
        assert request.slot is None or self._bank, f"slot {request.slot}, but the generator has no bank"
        text = begin_text(self._base, request, self._next)
        self._waiting.append(text)
        self._unplanned.append(text)
        self._next += 1
        return text.number

    def cancel(self, number: int) -> None:
        """The request leaves before the next token and gives no more events; unknown and finished ones are ignored."""
        self._cancelled.add(number)

    def forget(self, slot: int | None) -> None:
        """Drops what is kept of an adapter between requests; needed when its weights change."""
        if self._prefixes:
            self._prefixes.forget(_slot(slot))

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Waiting requests enter, every row gets its next token, finished rows leave. Empty when there is no work."""
        self._drop_cancelled()
        hidden = [self._session.step([text.tokens[-1] for text in self._texts])] if self._texts else []
        entered = self._enter()
        if entered is not None:
            hidden.append(entered)
        if not hidden:
            return []
        events = list(self._advance(torch.cat(hidden)))
        self._keep([place for place, text in enumerate(self._texts) if text.done is None])
        return events

    def run(self, requests: Iterable[Request]) -> Iterator[Event]:
        """Submits the requests and gives all events until nothing is left to do."""
        for request in requests:
            self.submit(request)
        while self._texts or self._waiting:
            yield from self.step()

    def _advance(self, hidden_BD: Tensor) -> Iterator[Event]:
        block = self._session.logits_rows
        for start in range(0, len(self._texts), block):
            texts = self._texts[start : start + block]
            logits_BV = self._session.logits(hidden_BD[start : start + block])
            picks = pick(logits_BV, [text.ask() for text in texts])
            for row, (text, (token, logprob)) in enumerate(zip(texts, picks, strict=True)):
                text.push(self._base, token, logprob)
                top = likeliest(logits_BV[row], text.request.top_logprobs)
                yield Event(text.number, token, logprob, text.answer(self._base) if text.done else None, top)

    def _drop_cancelled(self) -> None:
        if self._cancelled:
            self._waiting = deque(text for text in self._waiting if text.number not in self._cancelled)
            self._keep([place for place, text in enumerate(self._texts) if text.number not in self._cancelled])
            self._cancelled.clear()

    def _keep(self, places: Sequence[int]) -> None:
        going = set(range(len(self._texts))) - set(places)
        if going:
            self._texts = [self._texts[place] for place in self._session.leave(sorted(going))]

    def _enter(self) -> Tensor | None:
        """Brings in as many as there is room for; hidden states of their prompts' last tokens."""
        if not self._waiting or len(self._texts) >= self._max_rows:
            return None
        self._plan()
        entering: list[Text] = []
        while self._waiting and self._has_room(entering, self._waiting[0]):
            entering.append(self._waiting.popleft())
        if not entering:
            return None
        entering.sort(key=lambda text: _slot(text.request.slot))  # an adapter's tokens stand together in the pass
        self._texts += entering
        return self._session.enter(self._entries(entering))

    def _has_room(self, entering: Sequence[Text], text: Text) -> bool:
        everyone = [*self._texts, *entering, text]
        rows, columns = len(everyone), max(one.columns for one in everyone)
        if rows == 1:
            return True
        new = [len(one.request.prompt) - max(one.shared, 0) for one in (*entering, text)]
        fits = not entering or len(new) * max(new) <= PROMPT_TOKENS
        return rows <= self._max_rows and rows * columns <= self._max_columns and fits

    def _plan(self) -> None:
        """Finds what waiting prompts share, by adapter and realm."""
        by_slot: dict[tuple[int, str], list[Text]] = {}
        for text in self._unplanned:
            by_slot.setdefault((_slot(text.request.slot), text.request.realm), []).append(text)
        self._unplanned.clear()
        for (slot, realm), texts in by_slot.items():
            prompts = [text.request.prompt for text in texts]
            lengths = self._prefixes.plan(prompts, slot, realm) if self._prefixes else [0] * len(texts)
            for text, length in zip(texts, lengths, strict=True):
                text.shared = length

    def _entries(self, texts: Sequence[Text]) -> list[Entry]:
        wanted = [
            Wanted(text.request.prompt, max(text.shared, 0), _slot(text.request.slot), text.request.realm)
            for text in texts
        ]
        if self._prefixes:
            return self._prefixes.entries(wanted)
        return [Entry(one.prompt, slot=one.slot) for one in wanted]


def _slot(slot: int | None) -> int:
    return -1 if slot is None else slot
