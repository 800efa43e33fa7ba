"""stdin, stdout and stderr as they really come: closed, piped to `head`, on a terminal that is gone, or plain ASCII."""

import errno
import os
import sys
from typing import IO, Any

GONE = (errno.EPIPE, errno.EIO)
"""The reader of a pipe, or the terminal, went away: nobody listens, so the rest goes nowhere and the work goes on."""


def open_streams() -> None:
    """Gives each closed stream a place that swallows it, and lets none fail on a character that it cannot show.

    A closed descriptor would otherwise be taken by the next file that is opened, the database perhaps, and be written
    into.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class Outlet:
    """A stream that goes quiet when its reader is gone; everything else is the stream's own."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Writes the text, or drops it when nobody listens."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self._leave(error)
            return len(text)

    def flush(self) -> None:
        """Hands on what was written, or drops it when nobody listens."""
        try:
            self.stream.flush()
        except OSError as error:
            self._leave(error)

    def _leave(self, error: OSError) -> None:
        """Points the descriptor at nothing, so that what Python flushes at its end does not fail again."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        if error.errno not in GONE:
            raise error
