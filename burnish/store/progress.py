"""What a running command is doing now, in one small file of the project that other processes may read.

The file only tells: whether its writer is still at work is what the project's lock says. It is replaced as a whole and
never synced, so a reader sees all of it and training does not wait for a disk.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from burnish.records import as_json, from_json
from burnish.store.lock import Holder, this_process
from burnish.talk import Advance, Talk

FILE = "progress.json"
LEAST_S = 0.5
"""Two writings of a moving bar are at least this far apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How far a piece of work is."""

    name: str
    done: int
    total: int
    """0: not known."""
    unit: str
    note: str
    """Such as "loss 1.23"."""
    left_s: float | None
    """Seconds to the end at the pace since the bar began; None while that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a command does, as it told it last."""

    pid: int
    command: str
    started: str
    """When the command began, UTC."""
    steps: tuple[str, ...] = ()
    """All steps in their order; empty for work that has none."""
    at: int = 0
    """Place of the running one."""
    bar: Bar | None = None

    def is_of(self, holder: Holder | None) -> bool:
        """Whether the process that wrote this is the one that works on the project now."""
        return holder is not None and holder.pid == self.pid


def read_progress(root: Path) -> Progress | None:
    """What was told last in this .burnish folder; None when nothing is there, or nothing that can be read."""
    try:
        return from_json(Progress, json.loads((root / FILE).read_bytes()))
    except (OSError, ValueError, TypeError, ValidationError):
        return None


@contextmanager
def told(root: Path, talk: Talk) -> Iterator[Talk]:
    """A talk that passes everything on and keeps the file, for whoever holds the project's lock.

    The file goes when the work ends well. A kill, a stop or an error leaves it, and it says where that was.
    """
    telling = ToldTalk(root, talk)
    yield telling
    with suppress(OSError):
        (root / FILE).unlink(missing_ok=True)


class ToldTalk:
    """A Talk that writes down what it hears, and says it to another one. A full disk stops only the writing."""

    def __init__(self, root: Path, talk: Talk) -> None:
        self.talk, self.path = talk, root / FILE
        process = this_process()
        self.now = Progress(pid=process.pid, command=process.command, started=process.started)
        self.written_s = 0.0
        self._write()

    def say(self, text: str) -> None:
        """Passes the line on."""
        self.talk.say(text)

    def warn(self, text: str) -> None:
        """Passes the line on."""
        self.talk.warn(text)

    def step(self, name: str, steps: Sequence[str]) -> None:
        """Writes the step down at once."""
        self.now = replace(self.now, steps=tuple(steps), at=steps.index(name), bar=None)
        self._write()
        self.talk.step(name, steps)

    @contextmanager
    def track(self, name: str, total: int, unit: str = "") -> Iterator[Advance]:
        """Gives a function that moves the other talk's bar, and writes at most twice a second."""
        self._set(Bar(name=name, done=0, total=total, unit=unit, note="", left_s=None))
        done, first, began_s = 0, 0, 0.0
        with self.talk.track(name, total, unit) as pass_on:

            def advance(more: int, note: str) -> None:
                nonlocal done, first, began_s
                now_s = time.monotonic()
                done += more
                if not began_s:  # The first move may be what an earlier, killed run had done.
                    first, began_s = done, now_s
                if now_s - self.written_s >= LEAST_S:
                    left_s = time_left(done - first, total - done, now_s - began_s)
                    self._set(Bar(name=name, done=done, total=total, unit=unit, note=note, left_s=left_s))
                pass_on(more, note)

            yield advance
        self._set(None)

    def _set(self, bar: Bar | None) -> None:
        self.now = replace(self.now, bar=bar)
        self._write()

    def _write(self) -> None:
        self.written_s = time.monotonic()
        draft = self.path.with_name(f".{FILE}.draft")
        with suppress(OSError):
            draft.write_text(json.dumps(as_json(self.now)), encoding="utf-8")
            os.replace(draft, self.path)


def time_left(done: int, left: int, seconds: float) -> float | None:
    """Seconds that `left` more units take at the pace of `done` units in `seconds`; None when there is no pace."""
    return seconds / done * max(left, 0) if done > 0 else None
