"""The one other process of a server, which holds the base: started when first asked, started again when it died."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException

from burnish.web.answerer import IDLE_S

LOG_FILE = "compare.log"
LONGEST_S = 300.0
"""An answer takes at most this long, the loading of the base included."""
WAIT_S = 60.0
MOST_WAITING = 4
MOST_BYTES = 2**22
"""Of one line that the process sends."""


class Worker:
    """Asks the process, one question at a time; the others wait their turn."""

    def __init__(self, folder: Path, *, longest_s: float = LONGEST_S, idle_s: float = IDLE_S) -> None:
        self.folder, self.longest_s, self.idle_s = folder, longest_s, idle_s
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._waiting = 0
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """The process, while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The process's own answer; one that had died before is replaced without a word.

        Raises HTTPException 503 when a new one died over the question, when an answer took too long, or when too many
        people ask.
        """
        with self._my_turn():
            if self.pid is not None:
                with suppress(EOFError):
                    return self._told(question)
            try:
                return self._told(question)
            except EOFError as error:
                words = "The process that holds the models ended, perhaps for lack of memory."
                raise HTTPException(503, f"{words} Ask again: a new one starts.") from error

    def close(self) -> None:
        """Ends the process for good; a question that waits for it gets an error."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._turn:
            self._end()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._waiting >= MOST_WAITING:
            raise HTTPException(503, "Several people compare models at this moment. Try again soon.")
        self._waiting += 1
        try:
            if not self._turn.acquire(timeout=WAIT_S):
                raise HTTPException(503, "Somebody else's comparison takes long. Try again soon.")
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    def _told(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """One answer of the process. Raises EOFError when there is none, and leaves no process then."""
        process = self._alive()
        try:
            _write(process, json.dumps(question).encode() + b"\n")
            told: dict[str, Any] = json.loads(self._line(process))
        except TimeoutError as error:
            self._end()
            raise HTTPException(503, f"No answer came in {self.longest_s:.0f} s. Ask for a shorter one.") from error
        except (OSError, EOFError, ValueError) as error:
            self._end()
            raise EOFError("the process gave no answer") from error
        return told

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise HTTPException(503, "The server is ending.")
        if self.pid is None:
            self._end()
            self._process = self._start()
        assert self._process is not None
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        """A process of its own session, so that Ctrl-C reaches the server alone; its input ends with the server."""
        log = self.folder / ".burnish" / "logs" / LOG_FILE
        log.parent.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-P", "-m", "burnish.web.answerer", str(self.folder.resolve()), str(self.idle_s)]
        with log.open("wb") as errors:
            return subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0, start_new_session=True
            )

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        """One whole line. Raises TimeoutError, EOFError, or ValueError for more than any answer has."""
        assert process.stdout is not None
        ends_s = time.monotonic() + self.longest_s
        watch = select.poll()
        watch.register(process.stdout, select.POLLIN)
        line = bytearray()
        while not line.endswith(b"\n"):
            if not watch.poll(max(0.0, ends_s - time.monotonic()) * 1000):
                raise TimeoutError
            more = os.read(process.stdout.fileno(), 2**16)
            if not more:
                raise EOFError
            line += more
            if len(line) > MOST_BYTES:
                raise ValueError(f"a line of more than {MOST_BYTES} bytes")
        return bytes(line)

    def _end(self) -> None:
        """Leaves nothing behind; the process keeps nothing that would have to be saved."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:
                process.wait()


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    left = memoryview(data)
    while left:
        left = left[process.stdin.write(left) :]
