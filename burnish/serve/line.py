"""The line between a client and the engine: what is said arrives in order, and a client that leaves is noticed."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.types import Receive

from burnish.serve.engine import Said

T = TypeVar("T")


class Gone(Exception):
    """The client has left."""


class Line:
    """What the engine's thread says to one request, for the loop in which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[Said] = asyncio.Queue()

    def tell(self, said: Said) -> None:
        """From any thread; after the loop has ended nobody hears it."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._said.put_nowait, said)

    async def next(self) -> Said:
        """What is said next."""
        return await self._said.get()


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What `work` comes to; it is cancelled, and Gone raised, as soon as the client leaves."""
    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Gone
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
