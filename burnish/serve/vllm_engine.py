"""The engine that has vLLM run the model: one thread with an event loop, jobs in turn, and a vLLM that is watched.

Where vLLM ends or hangs it is begun anew with the same adapters: who was being answered is told to ask again, who
waits goes on waiting.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from burnish.errors import BurnishError, DataError, ModelError
from burnish.model.trie import Trie
from burnish.records import ModelVersion
from burnish.serve.engine import Began, Ended, Failed, Job, Said, Spoke
from burnish.serve.fair import ANSWER_WEIGHT, PROMPT_WEIGHT, FairQueue
from burnish.serve.faults import LOG, log_of
from burnish.serve.pool import Refused
from burnish.serve.vllm_adapters import VllmAdapters
from burnish.serve.vllm_client import Away, Step, Unmet
from burnish.serve.vllm_keeper import Keeper, base_name_of
from burnish.serve.vllm_writing import Writer

MOST_STARTS = 5
"""Starts in a row that may fail before it is given up."""
PAUSE_S = 2.0
"""Seconds before a start after one that failed, doubled each time."""
AWAY = Failed("away")
NOT_FOUND = 404


@dataclass(slots=True, eq=False)
class _Going:
    ticket: int
    job: Job
    task: "asyncio.Task[Ended] | None" = None
    is_lost: bool = False
    """Its vLLM is gone."""


class VllmEngine:
    """Takes jobs, has vLLM run them side by side and tells what comes; `close` ends it when they are done."""

    def __init__(self, adapters: VllmAdapters, keeper: Keeper, *, max_rows: int) -> None:
        self.pool = adapters
        self._keeper, self._max_rows = keeper, max_rows
        self._lock = threading.Lock()
        self._tickets = self._num_open = 0
        self._waiting: FairQueue[_Going] = FairQueue()
        self._active: dict[int, _Going] = {}
        self._loop = asyncio.new_event_loop()
        self._is_up, self._is_closing, self._is_over = threading.Event(), asyncio.Event(), False
        self._is_idle = asyncio.Event()
        self._fault: BurnishError | None = None
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="burnish-vllm", daemon=True)

    def start(self) -> None:
        """Waits until vLLM answers. Raises ModelError when it does not begin."""
        self._thread.start()
        self._has_begun.wait()
        if self._fault:
            raise self._fault

    @property
    def is_alive(self) -> bool:
        """Whether jobs will be answered, now or once vLLM is there again."""
        return self._thread.is_alive() and not self._is_over

    @property
    def is_ready(self) -> bool:
        """Whether vLLM is there."""
        return self.is_alive and self._is_up.is_set()

    @property
    def num_active(self) -> int:
        """Requests that are being answered."""
        return len(self._active)

    @property
    def num_waiting(self) -> int:
        """Requests that wait for their turn."""
        return max(0, self._num_open - len(self._active))

    def submit(self, job: Job) -> int:
        """Queues a job and gives the ticket by which it can be cancelled."""
        with self._lock:
            self._tickets += 1
            self._num_open += 1
            going = _Going(self._tickets, job)
        if not self._call(lambda: self._put(going)):
            self._end(going, AWAY)
        return going.ticket

    def cancel(self, ticket: int) -> None:
        """The job gives way; finished ones are ignored."""
        self._call(lambda: self._drop(ticket))

    def close(self, timeout_s: float) -> bool:
        """Ends when what was taken in is answered; False when that takes longer than `timeout_s`."""
        self._call(self._is_closing.set)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _call(self, act: Callable[[], object]) -> bool:
        """Has the loop do something; False where it has ended."""
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            return False
        return True

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._keep())
            except Exception as error:
                LOG.error("the engine failed for good", exc_info=error)
                self._fault = ModelError(f"vLLM could not be begun: {error!r}", hint="serve.log says where.")
            finally:
                self._is_over = True
                self._has_begun.set()
                runner.run(self._leave_all())

    async def _keep(self) -> None:
        """One vLLM after the other, until the engine is closed or none begins any more."""
        num_failed = 0
        while not self._is_closing.is_set():
            try:
                await self._begin()
                num_failed = 0
                await self._until_lost()
            except (BurnishError, Away, Unmet) as error:
                num_failed += 1
                fault = error if isinstance(error, BurnishError) else ModelError(f"vLLM: {error}", hint="See vllm.log.")
                LOG.error("vLLM could not begin: %s", ascii(str(error)))
                if not self._has_begun.is_set() or num_failed == MOST_STARTS:
                    self._fault = fault
                    return
            finally:
                self._is_up.clear()
                await self._lose_active()
                await self._keeper.end()
            if num_failed:
                await asyncio.sleep(PAUSE_S * 2 ** (num_failed - 1))

    async def _begin(self) -> None:
        self.pool.client = await self._keeper.begin()
        self.pool.base_name = await base_name_of(self.pool.client)
        await self.pool.restore()
        self._is_up.set()
        self._has_begun.set()
        self._admit()

    async def _until_lost(self) -> None:
        """Returns when vLLM is lost, or when the engine is closed and nothing is left to do."""
        lost = asyncio.ensure_future(self._keeper.lost())
        done = asyncio.ensure_future(self._done())
        await asyncio.wait({lost, done}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done() and not self._is_closing.is_set():
            LOG.error("%s; it is begun anew", lost.result())
        for one in (lost, done):
            one.cancel()
        await asyncio.gather(lost, done, return_exceptions=True)

    async def _done(self) -> None:
        await self._is_closing.wait()
        while self._num_open:
            self._is_idle.clear()
            await self._is_idle.wait()

    async def _lose_active(self) -> None:
        """Those that are being answered are told that vLLM is away."""
        tasks = []
        for going in list(self._active.values()):
            going.is_lost = True
            if going.task:
                going.task.cancel()
                tasks.append(going.task)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _leave_all(self) -> None:
        await self._lose_active()
        while (going := self._waiting.take(lambda one: True)) is not None:
            self._end(going, AWAY)

    def _put(self, going: _Going) -> None:
        if self._is_over:
            self._end(going, AWAY)
            return
        self._waiting.put(going.job.project, going)
        self._admit()

    def _admit(self) -> None:
        """Begins those that wait, of the project that was served least first."""
        while self._is_up.is_set() and (going := self._waiting.take(self._may_begin)) is not None:
            self._active[going.ticket] = going
            self._waiting.charge(going.job.project, PROMPT_WEIGHT * len(going.job.request.prompt))
            going.task = asyncio.ensure_future(self._answer(going.job))
            going.task.add_done_callback(partial(self._finish, going))

    def _may_begin(self, going: _Going) -> bool:
        """Whether there is a row; a project without one gets one beyond the limit where several share."""
        if len(self._active) < self._max_rows:
            return True
        is_shared = len(self.pool.sources) > 1
        return is_shared and all(one.job.project != going.job.project for one in self._active.values())

    def _drop(self, ticket: int) -> None:
        going = self._active.get(ticket)
        if going and going.task:
            going.task.cancel()
            return
        gone = [one for one in self._waiting if one.ticket == ticket]
        self._waiting.drop(lambda one: one.ticket == ticket)
        for one in gone:
            self._end(one, None)

    def _finish(self, going: _Going, task: "asyncio.Task[Ended]") -> None:
        """One that was being answered is done; a task that is cancelled before its first step comes here as well."""
        del self._active[going.ticket]
        if task.cancelled():
            said: Said | None = AWAY if going.is_lost else None
        else:
            error = task.exception()
            said = task.result() if error is None else _failed(error, going.job.project)
        self._end(going, said)
        self._admit()

    async def _answer(self, job: Job) -> Ended:
        version, writer = await self._leased(job)
        try:
            job.tell(Began(version))
            return await (self._choose(job, writer) if job.choices else self._write(job, writer))
        except Unmet as error:
            if error.status != NOT_FOUND:
                raise
            self.pool.lose(job.project, version)
            raise Away(f"vLLM has lost {version.name}") from error
        finally:
            await self.pool.release(job.project, version)

    async def _leased(self, job: Job) -> tuple[ModelVersion, Writer]:
        """The first version that may answer. Raises Refused where none may."""
        refused = Refused("no version is named")
        for version in job.versions:
            try:
                return version, await self.pool.lease(job.project, version)
            except Refused as error:
                refused = error
        raise refused

    async def _write(self, job: Job, writer: Writer) -> Ended:
        num_tokens = 0

        def hear(step: Step) -> None:
            nonlocal num_tokens
            num_tokens += 1
            self._waiting.charge(job.project, ANSWER_WEIGHT)
            job.tell(Spoke(*step))

        said = await writer.write(job.request, hear)
        return Ended(said.text, "stop" if said.stop_reason == "end" else "length", said.logprob, num_tokens)

    async def _choose(self, job: Job, writer: Writer) -> Ended:
        chat = self.pool.base.chat
        spelled = [chat.answer_tokens(label) for label in job.choices]
        best = await writer.choose(job.request.prompt, Trie(spelled, chat.end_ids, self.pool.base.device))
        num_tokens = len(spelled[best.index])
        self._waiting.charge(job.project, ANSWER_WEIGHT * num_tokens)
        return Ended(job.choices[best.index], "stop", best.logprob, num_tokens, True)

    def _end(self, going: _Going, said: Said | None) -> None:
        """The last that is said to a request."""
        with self._lock:
            self._num_open -= 1
        self._is_idle.set()
        try:
            if said:
                going.job.tell(said)
        except Exception as error:  # that it cannot be heard stops nobody else's answer
            log_of(going.job.project).error("an answer could not be told", exc_info=error)


def _failed(error: BaseException, project: str) -> Failed:
    if isinstance(error, Refused):
        return Failed("refused", str(error))
    if isinstance(error, Away):
        log_of(project).error("vLLM was lost while it answered: %s", ascii(str(error)))
        return AWAY
    is_asked = isinstance(error, DataError | Unmet)
    log_of(project).error(
        "a request could not be answered: %s", ascii(str(error)), exc_info=None if is_asked else error
    )
    return Failed("asked" if is_asked else "broken")
