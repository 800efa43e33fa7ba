"""What stands before the API: key, names and size of every request are checked, whatever route it is for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from burnish.errors import UsageError
from burnish.http_server import LONGEST_HEADERS, head_bytes
from burnish.serve.faults import PROJECT, TOLD, ApiError, unexpected
from burnish.serve.keys import ASKER, KEY, Key, check_keys, find_key, key_of

MOST_BODY_BYTES = 2**22
MOST_READ_BYTES = 2**24
"""Of a body that is too large so many bytes are read and dropped: who hangs up on a client that still writes takes the
answer from it."""
BODY_TIMEOUT_S = 20.0
OPEN: Final = frozenset({"/healthz", "/readyz"})
"""Answer without a key, and tell nothing but a word."""
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who may come in: whoever has a key; where there are none, programs of this machine that name it as such."""

    keys: tuple[Key, ...]
    hosts: frozenset[str]
    """Values of the Host header that are meant for this server; checked where there are no keys, because a web page
    could point a name of its own at this machine."""

    def asker(self, headers: Headers) -> Key | None:
        """The key that the request carries; None where none is needed. Raises ApiError 401 without one."""
        if not self.keys:
            return None
        given = headers.getlist("authorization")
        scheme, _, text = (given[0] if len(given) == 1 else "").partition(" ")
        key = find_key(self.keys, text.strip())
        if key is None or scheme.lower() != "bearer":
            raise ApiError(401, "The API key is missing or wrong.", code="invalid_api_key")
        return key

    def is_meant(self, headers: Headers) -> bool:
        """Whether the request was sent to this server and by no web page."""
        if self.keys:
            return True
        hosts = [host.lower() for host in headers.getlist("host")]
        return len(hosts) == 1 and hosts[0] in self.hosts and not headers.getlist("origin")


def door(host: str, port: int, key: str | None, of_projects: Sequence[Key] = (), projects: Sequence[str] = ()) -> Door:
    """The door of a server at this address; `key` opens every project, those of projects open their own.

    Raises UsageError for a place that others reach without a key, and for a project that no key opens.
    """
    keys = (*([] if key is None else [key_of(key, KEY)]), *of_projects)
    check_keys(keys, projects)
    if host not in LOOPBACK and not keys:
        raise UsageError(
            f"--host {host} can be reached by others, and no key is configured",
            hint=f"set {KEY} to a long random text, or leave --host out",
        )
    shown = "[::1]" if host == "::1" else host
    names = {shown, "localhost"} if host == "127.0.0.1" else {shown}
    return Door(keys=keys, hosts=frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set())))


class Guard:
    """Lets a request through to the API when it may be answered, with its body read and bounded."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = _Answer(send)
        try:
            self._check(scope)
            body = await _body(scope, receive) if scope["method"] not in ("GET", "HEAD") else b""
            await self.app(scope, _replay(body, receive), answer)
        except ApiError as error:
            refusal = error.answer()
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, answer)
        except Exception as error:
            if not answer.has_started:
                await unexpected(error, scope["path"], scope.get(PROJECT)).answer()(scope, receive, answer)
            elif TOLD not in scope:
                unexpected(error, scope["path"], scope.get(PROJECT))

    def _check(self, scope: Scope) -> None:
        if head_bytes(scope) > LONGEST_HEADERS:
            raise ApiError(431, "The headers of the request are too long.")
        headers = Headers(scope=scope)
        if scope["path"] in OPEN:
            return
        if not self.door.is_meant(headers):
            raise ApiError(421, "This server does not answer to that name, nor to web pages.")
        scope[ASKER] = key = self.door.asker(headers)
        scope[PROJECT] = key.project if key else None


class _Answer:
    """Sends an answer with the headers that all have, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self.has_started = send, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            headers = MutableHeaders(scope=message)
            headers["x-content-type-options"] = "nosniff"
            headers.setdefault("cache-control", "no-store")
        await self._send(message)


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The whole body, never more than the limit. Raises ApiError 400, 408 or 413."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers and "content-length" in headers:
        raise ApiError(400, "The body has two lengths.")
    if not (length.isascii() and length.isdecimal()):
        raise ApiError(400, "The content-length is no number.")
    is_small = len(length) <= 12 and int(length) <= MOST_BODY_BYTES
    body, num_bytes = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while num_bytes <= MOST_READ_BYTES:
                message = await receive()
                if message["type"] != "http.request":
                    raise ApiError(400, "The body ended too early.")
                num_bytes += len(message.get("body", b""))
                is_small = is_small and num_bytes <= MOST_BODY_BYTES
                if is_small:
                    body += message.get("body", b"")
                if not message.get("more_body"):
                    break
    except TimeoutError as error:
        raise ApiError(408, "The body took too long.") from error
    if not is_small:
        raise ApiError(413, f"The body is larger than {MOST_BODY_BYTES} bytes.", code="request_too_large")
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then what comes after it: that the client has left."""
    is_read = False

    async def next_message() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message
