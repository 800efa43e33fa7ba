"""A challenger that answers beside the champion, unseen: in a server's idle moments, and gone when somebody asks.

No client waits for it and none sees it. What it would have said is kept as a hash, to be compared with the right answer
once a user has told it.
"""

import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from burnish.records import ModelVersion
from burnish.registry import get
from burnish.serve.catalog import Catalog
from burnish.serve.engine import Ended, Engine, Failed, Job, Said
from burnish.serve.faults import log_of
from burnish.store.deployments import Canary, place_of, running_canary
from burnish.store.outcomes import add_shadow

if TYPE_CHECKING:
    from burnish.serve.exchange import Exchange

MOST_WAITING = 64
"""Requests that wait for an idle moment; what comes beyond is dropped."""
IDLE_WITHIN_S = 10.0
"""Seconds after which a request that met no idle moment is dropped."""
LOOK_S = 0.01
"""Between two looks whether the engine is idle."""
FRESH_S = 1.0
"""Seconds for which it is known whether a shadow runs."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A finished answer of the champion."""

    catalog: Catalog
    response_id: str
    version: str
    job: Job
    text: str


class Shadow:
    """Asks the challenger what the champion was asked, while a shadow runs; one thread."""

    def __init__(self, engine: Engine) -> None:
        self.num_answered = self.num_dropped = 0
        self._engine = engine
        self._inbox: queue.Queue[_Answered | None] = queue.Queue(MOST_WAITING)
        self._said: queue.SimpleQueue[Said | None] | None = None
        self._known: dict[str, tuple[float, Canary | None]] = {}
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="burnish-shadow", daemon=True)
        self._thread.start()

    def offer(self, catalog: Catalog, exchange: "Exchange", job: Job, ended: Ended) -> None:
        """Takes a finished answer and returns at once; only those to the project's name count."""
        if exchange.asked.model != catalog.project or exchange.version is None:
            return
        form, version = exchange.form, exchange.version.name
        try:
            self._inbox.put_nowait(_Answered(catalog, form.response_id, version, job, ended.text))
        except queue.Full:
            self.num_dropped += 1

    def make_way(self) -> None:
        """Somebody asks: the shadow's own request gives way before the next token."""
        if said := self._said:
            said.put(None)

    def close(self, timeout_s: float = 10.0) -> None:
        """Ends; what waits is dropped."""
        self._is_closed = True
        with suppress(queue.Full):
            self._inbox.put_nowait(None)
        self.make_way()
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (one := self._inbox.get()) is not None and not self._is_closed:
            try:
                self._shadow(one)
            except Exception as error:  # nobody waits for it, and the next one may succeed
                self.num_dropped += 1
                log_of(one.catalog.project).error("a shadow could not answer", exc_info=error)

    def _shadow(self, one: _Answered) -> None:
        canary = self._running(one.catalog)
        if canary is None or canary.plan.mode != "shadow" or one.version != canary.against:
            return
        if place_of(canary, one.response_id) >= canary.share:
            return
        text = self._ask(one.job, get(one.catalog.store, canary.challenger)) if self._is_idle_soon() else None
        if text is None:
            self.num_dropped += 1
            return
        add_shadow(one.catalog.store, canary, one.response_id, text, one.text)
        self.num_answered += 1

    def _running(self, catalog: Catalog) -> Canary | None:
        at, canary = self._known.get(catalog.project, (-FRESH_S, None))
        if time.monotonic() - at >= FRESH_S:
            canary = running_canary(catalog.store)
            self._known[catalog.project] = (time.monotonic(), canary)
        return canary

    @property
    def _is_busy(self) -> bool:
        return bool(self._engine.num_active or self._engine.num_waiting)

    def _is_idle_soon(self) -> bool:
        until = time.monotonic() + IDLE_WITHIN_S
        while self._is_busy:
            if self._is_closed or time.monotonic() > until:
                return False
            time.sleep(LOOK_S)
        return True

    def _ask(self, job: Job, version: ModelVersion) -> str | None:
        """What the challenger says; None where it had to give way, or may not answer."""
        said: queue.SimpleQueue[Said | None] = queue.SimpleQueue()
        self._said = said  # from here on whoever asks is heard, so it is looked once more whether somebody does
        try:
            if self._is_busy or self._is_closed:
                return None
            ticket = self._engine.submit(replace(job, versions=(version,), tell=said.put))
            while not isinstance(one := said.get(), Ended | Failed | None):
                pass
        finally:
            self._said = None
        if one is None:
            self._engine.cancel(ticket)
        return one.text if isinstance(one, Ended) else None
