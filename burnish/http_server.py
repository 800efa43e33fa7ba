"""What the servers of burnish have in common: limits before a page or an answer is asked for, and a log in a file.

A connection that sends half a request is not waited for, and headers have a limit however they come.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 15.0
"""From the first byte of a request, or from the opening of a connection, to the end of its headers."""
LONGEST_HEADERS = 2**14
"""Bytes of a request before its body. The server counts those that come in pieces, a guard those that are whole."""
LOG_BYTES = 2**20


def config_of(app: ASGIApp, **own: Any) -> uvicorn.Config:
    """The configuration of a server that trusts no proxy, tells nothing of itself and logs no request."""
    return uvicorn.Config(
        app,
        http=Patience,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        h11_max_incomplete_event_size=LONGEST_HEADERS,
        **own,
    )


def head_bytes(scope: Scope) -> int:
    """Bytes of the address and the headers."""
    address = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return address + sum(len(name) + len(value) for name, value in scope["headers"])


def log_to(path: Path, logs: Sequence[logging.Logger], is_meant: Callable[[logging.LogRecord], bool] = bool) -> None:
    """Errors go to this file, those that are meant for it, with their stack; clients are told a number only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    writer.addFilter(is_meant)
    writer.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for log in (*logs, logging.getLogger("uvicorn.error")):
        log.addHandler(writer)
        log.propagate = False


class Patience(H11Protocol):
    """Closes a connection whose request line and headers do not come in time; h11, for its limit on their size."""

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock starts with the connection."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """A whole request stops the clock; a piece of one leaves it running, so dripping gains nothing."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._hang_up)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _hang_up(self) -> None:
        self._clock = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
