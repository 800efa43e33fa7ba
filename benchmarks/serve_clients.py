"""Clients of any server that speaks the OpenAI chat API: each asks, reads its stream to the end, and asks again."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question."""

    model: str
    text: str
    max_tokens: int
    system: str = ""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """An answer, with seconds since it was asked for."""

    text: str
    num_tokens: int
    first_s: float
    whole_s: float
    version: str
    adapter: str
    ended: str
    """Why it ended; empty: it is not whole."""
    began_at: float = 0.0
    """On the clock of the clients."""


def body_of(ask: Ask) -> bytes:
    """The question as JSON: greedy, as a stream, with its usage."""
    system = [{"role": "system", "content": ask.system}] if ask.system else []
    messages = [*system, {"role": "user", "content": ask.text}]
    wishes = {"temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
    return json.dumps({"model": ask.model, "messages": messages, "max_tokens": ask.max_tokens, **wishes}).encode()


async def asked(port: int, body: bytes) -> Heard:
    """One request on a connection of its own. Raises OSError or ValueError when there is no whole answer."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    try:
        writer.write(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        status = (await reader.readline()).split()
        headers = {}
        while line := (await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if status[1:2] != [b"200"]:
            raise ValueError(f"{status} {(await reader.read())[:300]!r}")
        return await _read(reader, headers, began)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, headers: dict[str, str], began: float) -> Heard:
    pieces: list[str] = []
    first, ended, usage = 0.0, "", 0
    async for line in reader:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        data = json.loads(line[6:])
        if "error" in data:
            raise ValueError(str(data["error"])[:300])
        usage = (data.get("usage") or {}).get("completion_tokens") or usage
        for choice in data.get("choices", ()):
            if text := choice["delta"].get("content"):
                first = first or time.perf_counter() - began
                pieces.append(text)
            ended = choice.get("finish_reason") or ended
    if not ended:
        raise ValueError("the stream ended before its answer did")
    whole = time.perf_counter() - began
    return Heard(
        text="".join(pieces),
        num_tokens=usage or len(pieces),
        first_s=first or whole,
        whole_s=whole,
        version=headers.get("x-burnish-version", ""),
        adapter=headers.get("x-burnish-adapter", ""),
        ended=ended,
        began_at=began,
    )


def send(port: int, body: bytes) -> Heard:
    """One request, waited for."""
    return asyncio.run(asyncio.wait_for(asked(port, body), 120))


async def crowd(port: int, clients: int, next_ask: Callable[[int], Ask | None]) -> list[tuple[Ask, Heard | str]]:
    """So many clients at once, each with one question at a time, until `next_ask` gives no more; faults as words."""
    heard: list[tuple[Ask, Heard | str]] = []
    number = 0

    async def one() -> None:
        nonlocal number
        while (ask := next_ask(number)) is not None:
            number += 1
            try:
                heard.append((ask, await asked(port, body_of(ask))))
            except (OSError, ValueError) as error:
                heard.append((ask, f"{type(error).__name__} {error}"))

    await asyncio.gather(*(one() for _ in range(clients)))
    return heard
