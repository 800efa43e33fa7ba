"""What runs now, while it runs: a piece of the first pages, and the same piece again by server-sent events.

The stream follows the file that the running command keeps; the project's lock tells whether its writer is alive.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Literal, NamedTuple

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from burnish.loop.past import results
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.store.lock import Holder
from burnish.store.progress import Progress, read_progress
from burnish.web.desk import Desk, templates

EVERY_S = 0.5
"""How often the file is looked at."""
BEAT_S = 15.0
"""A stream with no news sends an empty line this often, so that a client that is gone is noticed."""
LONGEST_S = 300.0
"""A stream ends after this; the browser opens it again by itself, and the guard looks at it anew."""
MOST_STREAMS = 8


class Live(NamedTuple):
    """What goes on in the project."""

    state: Literal["idle", "running", "busy", "stopped", "done"]
    """busy: a process works that tells nothing; stopped: a command ended before its work; done: it ended well while
    somebody watched."""
    progress: Progress | None = None
    holder: Holder | None = None
    last: RoundResult | None = None
    """The round that is done."""

    @property
    def what(self) -> str:
        """The running command for people, without its options: "a round", or "burnish tune"."""
        if self.progress is None or self.progress.steps:
            return "a round"
        verb = next((word for word in self.progress.command.split()[1:2] if re.fullmatch("[a-z]+", word)), "")
        return f"burnish {verb}".strip()


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the stream."""
    streams: set[object] = set()

    @app.get("/rounds/live")
    def follow() -> StreamingResponse:
        if len(streams) >= MOST_STREAMS:
            raise HTTPException(503, "Too many pages follow the project live already. Look again without it.")
        return StreamingResponse(_events(desk, desk.open(), streams), media_type="text/event-stream")


def live(project: Project, before: Live | None = None) -> Live:
    """What goes on now; `before` is what the same reader was told last, and makes an end that went well be told."""
    holder, progress = project.store.holder(), read_progress(project.store.root)
    if progress is not None and progress.is_of(holder):
        return Live("running", progress, holder)
    if holder is not None:
        return _held(holder, before)
    return Live("stopped", progress) if progress is not None else _ended(project, before)


def _held(holder: Holder, before: Live | None) -> Live:
    """Somebody holds the project and tells nothing."""
    if before is not None and before.progress is not None and before.progress.is_of(holder):
        return before  # between its last word and its end
    if not holder.pid:  # the lock is just being taken
        return before or Live("idle")
    return Live("busy", holder=holder)


def _ended(project: Project, before: Live | None) -> Live:
    """Nobody works, and nothing was left undone."""
    if before is None or before.state not in ("running", "done"):
        return Live("idle")
    if before.state == "done":
        return before
    is_round = before.progress is not None and before.progress.steps
    return Live("done", before.progress, last=_last(project) if is_round else None)


def _last(project: Project) -> RoundResult | None:
    return next(reversed(results(project)), None)


async def _events(desk: Desk, project: Project, streams: set[object]) -> AsyncIterator[str]:
    """The piece each time that it changes, until the server or the client leaves."""
    stream, ends_s = object(), time.monotonic() + LONGEST_S
    streams.add(stream)
    try:
        told: Live | None = None
        told_s = 0.0
        while not desk.leaving.is_set() and time.monotonic() < ends_s:
            now = await run_in_threadpool(live, project, told)
            if now != told:
                told, told_s = now, time.monotonic()
                yield _event(templates().get_template("live.html.j2").render(live=now))
            elif time.monotonic() - told_s > BEAT_S:
                told_s = time.monotonic()
                yield ":\n\n"
            await asyncio.sleep(EVERY_S)
    finally:
        streams.discard(stream)


def _event(text: str) -> str:
    """One event whose data is the text; a line break of any kind would end a line of the stream."""
    return "".join(f"data: {line}\n" for line in re.split(r"\r\n|\r|\n", text)) + "\n"
