"""The one thread that owns torch: requests of many adapters and of the base go through one batch, token by token.

Requests come in from any thread and answers go out through each request's own `tell`; nothing else is shared.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from burnish.errors import DataError
from burnish.model.choose import choose
from burnish.model.generator import Event, Generated, Generator, Request
from burnish.model.sample import Picked
from burnish.records import ModelVersion
from burnish.serve.fair import ANSWER_WEIGHT, PROMPT_WEIGHT, FairQueue
from burnish.serve.faults import LOG, log_of
from burnish.serve.pool import BEING_READ, NO_ADAPTER, Pool, Refused
from burnish.serve.turn import Turn

NOT_YET, REFUSED = -2, -3
"""Slots of a request that waits for memory, and of one that nobody may answer."""
MOST_PASSED = 64
"""Requests that may begin before one that waits for memory; then nobody does until it has its adapter."""


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

    kind: Literal["refused", "asked", "broken", "away"]
    """refused: no version may answer; asked: the prompt cannot be answered; broken: the engine failed; away: what runs
    the model is gone, and begins anew."""
    message: str = ""


Said = Began | Spoke | Ended | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One wish for an answer."""

    project: str
    """Whose versions they are, and who is served in turn with the others."""
    request: Request
    """Without a slot or a realm: the engine gives them."""
    versions: tuple[ModelVersion, ...]
    """Who may answer; the first that can be loaded does."""
    choices: tuple[str, ...] = ()
    """Answer with the likeliest of these, by an exact search, instead of writing."""
    tell: Callable[[Said], None]


@dataclass(slots=True, eq=False)
class _Going:
    ticket: int
    job: Job
    slot: int = NO_ADAPTER
    number: int = -1
    num_tokens: int = 0
    num_passed: int = 0
    """How many began before it while it waited for memory."""


class Engine:
    """Takes jobs, runs them side by side and tells what comes; `close` ends it when they are done."""

    def __init__(self, pool: Pool, *, max_rows: int) -> None:
        self.pool = pool
        self._max_rows = max_rows
        self._inbox: queue.SimpleQueue[tuple[str, int, Job | None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._tickets = 0
        self._waiting: FairQueue[_Going] = FairQueue()
        self._short: list[_Going] = []
        """Of those that wait, who waits for memory."""
        self._since_load = 0
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
    def is_ready(self) -> bool:
        """The same: what runs the model is this process."""
        return self.is_alive

    @property
    def num_active(self) -> int:
        """Requests that are being answered."""
        return len(self._active) + len(self._choosing)

    @property
    def num_waiting(self) -> int:
        """Requests that have no row yet."""
        return len(self._waiting) + self._inbox.qsize()

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
        is_idle = not (self._active or self._generator.num_active) and (waits_for_disk or not len(self._waiting))
        if is_idle and self._is_closing and not len(self._waiting) and self._inbox.empty():
            return False
        while is_idle or not self._inbox.empty():
            kind, ticket, job = self._inbox.get()
            is_idle = False
            if job is not None:
                self._waiting.put(job.project, _Going(ticket, job))
            elif kind == "cancel":
                self._drop(ticket)
            elif kind == "close":
                self._is_closing = True
        return True

    def _drop(self, ticket: int) -> None:
        self._waiting.drop(lambda going: going.ticket == ticket)
        self._short = [going for going in self._short if going.ticket != ticket]
        for going in [going for going in self._active.values() if going.ticket == ticket]:
            self._generator.cancel(going.number)
            self._leave(going)

    def _admit(self) -> None:
        """Begins those that wait, of the project that was served least first.

        Who waits for memory lets some pass, and who waits for the disk all.
        """
        turn = self._turn()
        self._is_looked_at = True
        while (found := self._waiting.take(lambda going: self._may_leave(turn, going))) is not None:
            self._short = [going for going in self._short if going is not found]
            if found.slot == REFUSED:
                continue
            turn.note(found.job)
            self._waiting.charge(found.job.project, PROMPT_WEIGHT * len(found.job.request.prompt))
            for going in self._short:
                going.num_passed += 1
            if found.job.choices:
                self._choosing.append(found)
            else:
                self._enter(found)
        self._since_load = 0 if turn.has_loaded else self._since_load + 1
        self._is_looked_at = self._is_looked_at and not turn.was_full
        self._choose()
        if not self.pool.reads.is_empty:
            wanted = {(one.job.project, version.name) for one in self._waiting for version in one.job.versions}
            self.pool.reads.keep(wanted)

    def _turn(self) -> Turn:
        active = list(self._active.values())
        return Turn(
            self.pool,
            max_rows=self._max_rows,
            active=[going.job.project for going in active],
            num_unread=sum(len(going.job.request.prompt) for going in active if not going.num_tokens),
            since_load=self._since_load,
        )

    def _may_leave(self, turn: Turn, going: _Going) -> bool:
        """Whether a waiting request begins now, or nobody may answer it; whoever was passed too often goes first."""
        starved = next((one for one in self._short if one.num_passed >= MOST_PASSED), going)
        if starved is not going or not turn.has_room(going.job):
            return False
        going.slot = self._lease(going.job)
        if going.slot == BEING_READ:
            self._short = [one for one in self._short if one is not going]
        if going.slot == NOT_YET and going not in self._short:
            self._short.append(going)
        return going.slot not in (NOT_YET, BEING_READ)

    def _lease(self, job: Job) -> int:
        """A slot for the job, NOT_YET or BEING_READ; REFUSED when nobody may answer, which is told."""
        refused = ""
        for version in job.versions:
            try:
                slot = self.pool.lease(job.project, version, self._generator.forget, self._wake)
            except Refused as error:
                refused = str(error)
                continue
            if slot is None or slot == BEING_READ:
                return NOT_YET if slot is None else slot
            _tell(job, Began(version))
            return slot
        _tell(job, Failed("refused", refused))
        return REFUSED

    def _wake(self) -> None:
        """An adapter was read: whoever waits for it is looked at again."""
        self._inbox.put(("read", 0, None))

    def _enter(self, going: _Going) -> None:
        slot = None if going.slot == NO_ADAPTER else going.slot
        try:
            going.number = self._generator.submit(replace(going.job.request, slot=slot, realm=going.job.project))
        except Exception as error:  # one request's fault is no other's
            if not isinstance(error, DataError):
                log_of(going.job.project).error("a request could not begin", exc_info=error)
            self._release(going)
            _tell(going.job, Failed("asked" if isinstance(error, DataError) else "broken"))
            return
        self._active[going.number] = going

    def _choose(self) -> None:
        """The likeliest label of each that asked for one, those of a project with the same labels in one search."""
        alike: dict[tuple[str, tuple[str, ...]], list[_Going]] = {}
        for going in self._choosing:
            alike.setdefault((going.job.project, going.job.choices), []).append(going)
        for (project, labels), some in alike.items():
            spelled = [self.pool.base.chat.answer_tokens(label) for label in labels]
            prompts, slots = [going.job.request.prompt for going in some], [going.slot for going in some]
            chosen = choose(self.pool.base, prompts, spelled, bank=self.pool.bank, slots=slots)
            for going, best in zip(some, chosen, strict=True):
                self._choosing.remove(going)
                self._release(going)
                self._waiting.charge(project, ANSWER_WEIGHT * len(spelled[best.index]))
                _tell(going.job, Ended(labels[best.index], "stop", best.logprob, len(spelled[best.index]), True))

    def _pass_on(self, event: Event) -> None:
        going = self._active.get(event.number)
        if going is None:
            return
        going.num_tokens += 1
        self._waiting.charge(going.job.project, ANSWER_WEIGHT)
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
        most = self._max_rows + len(self.pool.sources) - 1
        return Generator(self.pool.base, self.pool.bank, max_rows=most)


def _tell(job: Job, said: Said) -> None:
    """Says something to whoever asked; that it cannot be heard stops nobody else's answer."""
    try:
        job.tell(said)
    except Exception as error:
        log_of(job.project).error("an answer could not be told", exc_info=error)


def _ended(answer: Generated, num_tokens: int) -> Ended:
    return Ended(answer.text, "stop" if answer.stop_reason == "end" else "length", answer.logprob, num_tokens)
