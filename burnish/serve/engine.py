"""The one thread that owns torch: requests of many adapters and of the base go through one batch, token by token.

Requests come in from any thread and answers go out through each request's own `tell`; nothing else is shared.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from burnish.errors import DataError
from burnish.model.choose import choose
from burnish.model.generator import Event, Generated, Generator, Request
from burnish.model.sample import Picked
from burnish.records import ModelVersion
from burnish.serve.faults import LOG
from burnish.serve.pool import NO_ADAPTER, Pool, Refused

NOT_YET = -2
"""Slot of a request that waits for memory, or for its adapter to be read."""
MOST_CHOICES_AT_ONCE = 16
"""Prompts of label tasks that go through together between two tokens of the others."""


class Began(NamedTuple):
    """The request has its adapter, and keeps it to the end."""

    version: ModelVersion


class Spoke(NamedTuple):
    """A token."""

    token: int
    logprob: float
    top: Sequence[Picked]


class Ended(NamedTuple):
    """All of the answer."""

    text: str
    reason: Literal["stop", "length"]
    logprob: float
    """Summed over its tokens, in nats."""
    num_tokens: int
    is_choice: bool = False
    """Whether it was chosen and not written, so that no token was told."""


class Failed(NamedTuple):
    """There is no answer."""

    kind: Literal["refused", "asked", "broken"]
    """refused: no version may answer; asked: the prompt cannot be answered; broken: the engine failed."""
    message: str = ""


Said = Began | Spoke | Ended | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One wish for an answer."""

    request: Request
    """Without a slot: the engine gives it."""
    versions: tuple[ModelVersion, ...]
    """Who may answer; the first that can be loaded does."""
    choices: tuple[str, ...] = ()
    """Answer with the likeliest of these, by an exact search, instead of writing."""
    tell: Callable[[Said], None]


@dataclass(slots=True)
class _Going:
    ticket: int
    job: Job
    slot: int = NO_ADAPTER
    number: int = -1
    num_tokens: int = 0


class Engine:
    """Takes jobs, runs them side by side and tells what comes; `close` ends it when they are done."""

    def __init__(self, pool: Pool, *, max_rows: int) -> None:
        self.pool = pool
        self._max_rows = max_rows
        self._inbox: queue.SimpleQueue[tuple[str, int, Job | None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._tickets = 0
        self._pending: deque[_Going] = deque()
        self._active: dict[int, _Going] = {}
        self._choosing: list[_Going] = []
        self._is_looked_at = False
        """Whether all that could be done for those who wait was done, but for what is still on the disk."""
        self._generator = self._new_generator()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="burnish-engine", daemon=True)

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether jobs are being answered."""
        return self._thread.is_alive()

    @property
    def num_active(self) -> int:
        """Requests that are being answered."""
        return len(self._active) + len(self._choosing)

    @property
    def num_waiting(self) -> int:
        """Requests that have no row yet."""
        return len(self._pending) + self._inbox.qsize()

    def submit(self, job: Job) -> int:
        """Queues a job and gives the ticket by which it can be cancelled."""
        with self._lock:
            self._tickets += 1
            ticket = self._tickets
        self._inbox.put(("job", ticket, job))
        return ticket

    def cancel(self, ticket: int) -> None:
        """The job gives way before the next token; finished ones are ignored."""
        self._inbox.put(("cancel", ticket, None))

    def close(self, timeout_s: float) -> bool:
        """Ends when what was taken in is answered; False when that takes longer than `timeout_s`."""
        self._inbox.put(("close", 0, None))
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._take_in():
            try:
                self._admit()
                for event in self._generator.step():
                    self._pass_on(event)
            except Exception as error:
                LOG.error("the engine failed and starts anew", exc_info=error)
                self._fail_all()

    def _take_in(self) -> bool:
        """Reads what came; waits when there is nothing else to do. False when the work is done for good."""
        waits_for_disk = self._is_looked_at and not self.pool.reads.is_empty
        is_idle = not (self._active or self._generator.num_active) and (waits_for_disk or not self._pending)
        if is_idle and self._is_closing and not self._pending and self._inbox.empty():
            return False
        while is_idle or not self._inbox.empty():
            kind, ticket, job = self._inbox.get()
            is_idle = False
            if job is not None:
                self._pending.append(_Going(ticket, job))
            elif kind == "cancel":
                self._drop(ticket)
            elif kind == "close":
                self._is_closing = True
        return True

    def _drop(self, ticket: int) -> None:
        self._pending = deque(going for going in self._pending if going.ticket != ticket)
        for going in [going for going in self._active.values() if going.ticket == ticket]:
            self._generator.cancel(going.number)
            self._leave(going)

    def _admit(self) -> None:
        """Gives rows to those that wait, first come first served; who waits for memory or the disk lets others pass."""
        waiting: deque[_Going] = deque()
        self._is_looked_at = True
        while self._pending and len(self._active) < self._max_rows and len(self._choosing) < MOST_CHOICES_AT_ONCE:
            going = self._pending.popleft()
            if not self._lease(going):
                continue
            if going.slot == NOT_YET:
                waiting.append(going)
            elif going.job.choices:
                self._choosing.append(going)
            else:
                self._enter(going)
        self._is_looked_at = self._is_looked_at and not self._pending
        self._pending.extendleft(reversed(waiting))
        self._choose()
        if not self.pool.reads.is_empty:
            self.pool.reads.keep({version.name for going in self._pending for version in going.job.versions})

    def _lease(self, going: _Going) -> bool:
        """Finds a slot, or NOT_YET; False when nobody may answer, which is told."""
        refused = ""
        for version in going.job.versions:
            try:
                slot = self.pool.lease(version, self._generator.forget, self._wake)
            except Refused as error:
                refused = str(error)
                continue
            going.slot = NOT_YET if slot is None else slot
            if slot is not None:
                _tell(going.job, Began(version))
            return True
        _tell(going.job, Failed("refused", refused))
        return False

    def _wake(self) -> None:
        """An adapter was read: whoever waits for it is looked at again."""
        self._inbox.put(("read", 0, None))

    def _enter(self, going: _Going) -> None:
        slot = None if going.slot == NO_ADAPTER else going.slot
        try:
            going.number = self._generator.submit(replace(going.job.request, slot=slot))
        except Exception as error:  # one request's fault is no other's
            if not isinstance(error, DataError):
                LOG.error("a request could not begin", exc_info=error)
            self._release(going)
            _tell(going.job, Failed("asked" if isinstance(error, DataError) else "broken"))
            return
        self._active[going.number] = going

    def _choose(self) -> None:
        """The likeliest label of each that asked for one, those with the same labels in one search."""
        by_labels: dict[tuple[str, ...], list[_Going]] = {}
        for going in self._choosing:
            by_labels.setdefault(going.job.choices, []).append(going)
        for labels, some in by_labels.items():
            spelled = [self.pool.base.chat.answer_tokens(label) for label in labels]
            prompts, slots = [going.job.request.prompt for going in some], [going.slot for going in some]
            chosen = choose(self.pool.base, prompts, spelled, bank=self.pool.bank, slots=slots)
            for going, best in zip(some, chosen, strict=True):
                self._choosing.remove(going)
                self._release(going)
                _tell(going.job, Ended(labels[best.index], "stop", best.logprob, len(spelled[best.index]), True))

    def _pass_on(self, event: Event) -> None:
        going = self._active.get(event.number)
        if going is None:
            return
        going.num_tokens += 1
        _tell(going.job, Spoke(event.token, event.logprob, event.top))
        if event.answer:
            _tell(going.job, _ended(event.answer, going.num_tokens))
            self._leave(going)

    def _leave(self, going: _Going) -> None:
        del self._active[going.number]
        self._release(going)

    def _release(self, going: _Going) -> None:
        self.pool.release(going.slot)
        self._is_looked_at = False

    def _fail_all(self) -> None:
        """After an exception the generator is done for: who is in it is told, who waits is answered by a new one."""
        for going in (*self._active.values(), *self._choosing):
            _tell(going.job, Failed("broken"))
            self._release(going)
        self._active, self._choosing = {}, []
        self._generator = self._new_generator()

    def _new_generator(self) -> Generator:
        return Generator(self.pool.base, self.pool.bank, max_rows=self._max_rows)


def _tell(job: Job, said: Said) -> None:
    """Says something to whoever asked; that it cannot be heard stops nobody else's answer."""
    try:
        job.tell(said)
    except Exception as error:
        LOG.error("an answer could not be told", exc_info=error)


def _ended(answer: Generated, num_tokens: int) -> Ended:
    return Ended(answer.text, "stop" if answer.stop_reason == "end" else "length", answer.logprob, num_tokens)
