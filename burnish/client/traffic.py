"""When a question may go: one limit for all on their way, pauses that an endpoint asks for, and a circuit breaker."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from burnish.client.connection import Passing
from burnish.config import EndpointSettings
from burnish.errors import Interrupted, ServiceError

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Of a pause that nobody asked for."""
BREAKS_AT = 12
"""Faults in a row, over all questions, after which the endpoint counts as down."""
STEP_S = 0.25
"""A wait looks this often whether it shall end."""


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


@dataclass(kw_only=True)
class Traffic:
    """Shared by all questions to one endpoint. Waits end early, with Interrupted, when `should_stop` says so."""

    settings: EndpointSettings
    should_stop: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = _sleep
    seed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _next: float = 0.0
    _held: float = 0.0
    _faults: int = 0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def enter(self) -> None:
        """Waits for this question's turn. Raises ServiceError when the endpoint counts as down."""
        with self._lock:
            self._refuse_if_down("")
            start = max(self.clock(), self._next, self._held)
            per_minute = self.settings.requests_per_minute
            self._next = start + (60.0 / per_minute if per_minute else 0.0)
        while (left := start - self.clock()) > 0:
            self._check()
            self.sleep(min(STEP_S, left))
            with self._lock:
                start = max(start, self._held)
        self._check()

    def succeeded(self) -> None:
        """An answer came."""
        with self._lock:
            self._faults = 0

    def failed(self, fault: Passing, attempt: int) -> None:
        """Holds everybody back as the endpoint asks, or for a growing time.

        Raises ServiceError when that is longer than may be waited, when this was the last attempt, or when so many
        questions met faults that the endpoint counts as down.
        """
        with self._lock:
            self._faults += 1
            self._refuse_if_down(fault.why)
            if attempt >= self.settings.retries:
                raise _down(self.settings, f"{attempt + 1} attempts at one question failed, the last with {fault.why}")
            pause = self._pause(fault, attempt)
            self._held = max(self._held, self.clock() + pause)

    def _pause(self, fault: Passing, attempt: int) -> float:
        if fault.wait_s is not None and fault.wait_s > self.settings.longest_wait_s:
            until = datetime.now(UTC) + timedelta(seconds=min(fault.wait_s, 10.0**7))
            raise ServiceError(
                f"{self.settings.base_url} asks to wait until {until.isoformat(timespec='minutes')}, longer than "
                f"longest_wait_s ({self.settings.longest_wait_s:g} s): {fault.why}",
                hint="run the same command again then; every reply so far is kept and none is paid for twice",
            )
        grown = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt) * (0.5 + self._random.random())
        return max(grown, fault.wait_s or 0.0)

    def _refuse_if_down(self, why: str) -> None:
        if self._faults >= BREAKS_AT:
            raise _down(
                self.settings, f"{self._faults} attempts in a row failed" + (f", the last with {why}" if why else "")
            )

    def _check(self) -> None:
        if self.should_stop():
            raise Interrupted("stopped while asking a teacher", hint="the same command goes on; every reply is kept")


def _down(settings: EndpointSettings, what: str) -> ServiceError:
    return ServiceError(
        f"{settings.base_url} does not answer: {what}",
        hint="see that it is up and run the same command again; every reply so far is kept",
    )
