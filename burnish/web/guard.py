"""What stands before every page: names, token, origin and size are checked, and every answer gets its safe headers.

It is the outermost layer, so a page that is added later is behind it without doing anything.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from burnish.errors import BurnishError
from burnish.http_server import LONGEST_HEADERS, head_bytes
from burnish.store.users import User, user_of
from burnish.web.access import Access
from burnish.web.forms import BODY
from burnish.web.who import READING, USER, may

START = "/start"
"""The one page that answers without the cookie: it asks for the token itself."""
MOST_BODY_BYTES = 2**20
BODY_TIMEOUT_S = 20.0
TOLD = "burnish.told"
"""Set when an unexpected error was answered and written to the log, so that it ends here."""
FORM = "application/x-www-form-urlencoded"

SAFE_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer; a page may set its own stricter policy. Not "no-referrer": forms would then send no origin."""

REFUSALS: Final[Mapping[int, str]] = {
    400: "This request cannot be read.",
    401: "Open your start address: the one that burnish ui printed, or the one that you were given. It holds the key.",
    403: "This request does not come from a page of this server.",
    408: "The request took too long.",
    413: "The request is too large.",
    415: "Only a form of this server can be sent here.",
    431: "The headers of the request are too long.",
    421: "This server does not answer to that name.",
    500: "Something went wrong here, and it was not you.",
}
ROLE = "Your role, {role}, does not open this page."


def nobody() -> Sequence[User]:
    """The users of a project that has none."""
    return ()


class Guard:
    """Lets a request through to the pages when it may see them, and answers itself when not.

    `users` gives those of this moment, so that a removal counts at the next request. Where there are some, only their
    sessions open a page; where there are none, the server's own does.
    """

    def __init__(self, app: ASGIApp, access: Access, users: Callable[[], Sequence[User]] = nobody) -> None:
        self.app, self.access, self.users = app, access, users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = await self._refusal(scope)
        if refused is None and scope["method"] not in READING:
            status = await _take_body(scope, receive)
            refused = refusal(status) if status else None
        if refused is not None:
            await refused(scope, receive, answer)
            return
        try:
            await self.app(scope, _nothing_more if BODY in scope else receive, answer)
        except Exception:
            if TOLD not in scope:
                raise

    async def _refusal(self, scope: Scope) -> HTMLResponse | None:
        """The answer that turns this request away, or None."""
        if head_bytes(scope) > LONGEST_HEADERS:
            return refusal(431)
        headers = Headers(scope=scope)
        hosts = [value.lower() for value in headers.getlist("host")]
        if len(hosts) != 1 or hosts[0] not in self.access.hosts:
            return refusal(421)
        is_start = scope["path"] == START and scope["method"] == "GET"
        if not is_start:
            refused = await self._who(scope, headers)
            if refused is not None:
                return refused
        if scope["method"] not in READING and not _is_own(headers, hosts[0]):
            return refusal(403)
        return None

    async def _who(self, scope: Scope, headers: Headers) -> HTMLResponse | None:
        """Finds out who asks, and leaves it in the scope; the answer that turns them away, or None."""
        try:
            known = await run_in_threadpool(self.users)
        except BurnishError as error:
            logging.getLogger("burnish.web").error(
                "the users cannot be read at %s %s", scope["method"], ascii(scope["path"]), exc_info=error
            )
            return refusal(500)
        sessions = [cookie_parser(value).get(self.access.cookie, "") for value in headers.getlist("cookie")]
        if not known:
            return None if any(map(self.access.knows, sessions)) else refusal(401)
        user = next((found for session in sessions if (found := user_of(known, session))), None)
        if user is None:
            return refusal(401)
        if not may(user.role, scope["method"], scope["path"]):
            return refusal(403, ROLE.format(role=user.role))
        scope[USER] = user
        return None


def refusal(status: int, text: str = "") -> HTMLResponse:
    """A page for somebody who may not see any: no style, no name, nothing of the project."""
    text = text or REFUSALS[status]
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>burnish</title>'
        f"<h1>{status}</h1><p>{text}</p></html>\n",
        status_code=status,
        headers={"connection": "close"} if status in (400, 408, 413, 431) else None,
    )


def _is_own(headers: Headers, host: str) -> bool:
    """Whether a request that changes something was sent by a page of this server.

    Every browser names the origin of a form that is posted. What names neither origin nor site is no browser with a
    page of ours open.
    """
    site, origins = headers.get("sec-fetch-site"), headers.getlist("origin")
    if site is not None and site != "same-origin":
        return False
    if not origins:
        return site == "same-origin"
    parts = urlsplit(origins[0])
    return len(origins) == 1 and parts.scheme in ("http", "https") and parts.netloc.lower() == host


async def _take_body(scope: Scope, receive: Receive) -> int:
    """Reads a form into the scope, never more than the limit; the status that turns it away, or 0."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    is_twice = "content-length" in headers and "transfer-encoding" in headers
    if is_twice or not (length.isascii() and length.isdecimal()):
        return 400
    if len(length) > 12 or int(length) > MOST_BODY_BYTES:
        return 413
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return 415
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return 400
                body += message.get("body", b"")
                if len(body) > MOST_BODY_BYTES:
                    return 413
                if not message.get("more_body"):
                    break
    except TimeoutError:
        return 408
    scope[BODY] = bytes(body)
    return 0


async def _nothing_more() -> Message:
    """What a page would read after the guard has taken the body."""
    return {"type": "http.request", "body": b"", "more_body": False}
