"""One request and its answer: whole or as a stream, inside its time, and stopped at once when the client leaves."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from burnish.config import ServeSettings
from burnish.model.base import Base
from burnish.records import ModelVersion
from burnish.serve.answers import Form, Kind
from burnish.serve.asked import ChatAsked, TextAsked
from burnish.serve.canary import conversation_of, routed
from burnish.serve.engine import Began, Ended, Engine, Failed, Job, Said, Spoke
from burnish.serve.faults import ApiError, log_of
from burnish.serve.keys import Key, asker
from burnish.serve.line import Gone, Line, unless_gone
from burnish.serve.metrics import NOBODY, Metrics
from burnish.serve.projects import Projects, Served
from burnish.serve.quota import Grant
from burnish.serve.shadow import Shadow
from burnish.serve.speech import Speech, Spelling
from burnish.serve.wishes import Wish

WRITE_S = 30.0
"""Seconds in which a client has to take a piece of its stream."""
GONE = 499
"""Status in the metrics of a request whose client left."""
RETRY_S = 1
SERVER_FAILED = ApiError(500, "The engine failed while it answered; ask again.", code="engine_failed")


@dataclass(slots=True, kw_only=True)
class Service:
    """Everything that answers requests."""

    base: Base
    engine: Engine
    projects: Projects
    settings: ServeSettings
    """Of the server as a whole."""
    metrics: Metrics
    spelling: Spelling
    shadow: Shadow
    is_draining: bool = field(default=False)

    def is_full_for(self, served: Served) -> bool:
        """Whether nobody more of this project may wait: all places are taken, and its even share of them by itself."""
        is_full = self.engine.num_active + self.engine.num_waiting >= self.num_places
        return is_full and served.num_open >= self.num_places // len(self.projects.all)

    @property
    def num_places(self) -> int:
        """Requests that may be answered or wait; where projects share, each has at least its even share of them."""
        return self.settings.max_rows + self.settings.max_waiting


class Exchange:
    """One request on its way through the engine."""

    def __init__(self, service: Service, asked: ChatAsked | TextAsked, kind: Kind) -> None:
        self.service, self.asked, self.kind = service, asked, kind
        self.endpoint = "chat" if kind == "chat" else "completions"
        self.id = secrets.token_hex(12)
        self.started = time.monotonic()
        self.first_token_s: float | None = None
        self.deadline = asyncio.get_running_loop().time() + service.settings.timeout_s
        self.key: Key | None = None
        self.conversation = ""
        self.job: Job | None = None
        self.version: ModelVersion | None = None
        self.line = Line()
        self.wish: Wish | None = None
        self.served: Served | None = None
        self._grant: Grant | None = None
        self._ticket: int | None = None
        self._num_tokens = 0
        self._is_done = False

    async def answer(self, request: Request) -> Response:
        """The response, its headers saying which version and weights answer. Raises ApiError."""
        self.key = asker(request.scope)
        self.conversation = conversation_of(self.asked, request.headers)
        try:
            async with asyncio.timeout_at(self.deadline):
                version = await unless_gone(request.receive, self._begin())
                if not self.asked.stream:
                    return await unless_gone(request.receive, self._whole(version))
            return Stream(self, self._headers(version))
        except Gone:
            self.end(GONE)
            return Response(status_code=GONE)
        except TimeoutError as error:
            self.end(504)
            raise _too_late(self.service.settings.timeout_s) from error
        except ApiError as error:
            self.end(error.status)
            raise
        except BaseException:
            self.end(500)
            raise

    async def _begin(self) -> ModelVersion:
        """Queues the request, and gives the version that answers it once its adapter is there."""
        asked, service = self.asked, self.service
        self._grant = self.key.quota.begin() if self.key and self.key.quota else None
        served, versions = await asyncio.to_thread(service.projects.find, asked.model, self.key)
        versions = await asyncio.to_thread(routed, served.catalog, asked.model, versions, self.conversation)
        self.wish = wish = await asyncio.to_thread(served.wishes.of, asked)
        if service.is_draining or service.is_full_for(served):
            status, why = (503, "The server is about to end.") if service.is_draining else (429, "Too many wait here.")
            raise ApiError(status, f"{why} Try again later.", code="overloaded", retry_s=RETRY_S)
        if self._grant:
            self._grant.reserve(wish.most_tokens)
        self.served = served
        served.num_open += 1
        self.job = Job(
            project=served.name, request=wish.request, versions=versions, choices=wish.choices, tell=self.line.tell
        )
        self._ticket = service.engine.submit(self.job)
        service.shadow.make_way()
        said = await self.line.next()
        if isinstance(said, Failed):
            raise _of(said, served.name)
        assert isinstance(said, Began), said
        self.version = said.version
        return said.version

    async def _whole(self, version: ModelVersion) -> Response:
        spoken: list[Spoke] = []
        while not isinstance(said := await self.line.next(), Ended):
            if isinstance(said, Failed):
                raise _of(said, self._project)
            self._heard(said, is_first=not spoken)
            spoken += [said] if isinstance(said, Spoke) else []
        answer = JSONResponse(self.form.whole(said, spoken))
        self._finish(said)
        answer.headers.update(self._headers(version))
        return answer

    async def pieces(self) -> AsyncIterator[Mapping[str, Any]]:
        """The objects of a stream, one by one."""
        form, speech, spoken, at = self.form, Speech(self.service.base, self.asked.stops), list[Spoke](), 0
        if self.kind == "chat":
            yield form.opening()
        has_begun = False
        while not isinstance(said := await self.line.next(), Ended):
            if isinstance(said, Failed):
                raise _of(said, self._project)
            self._heard(said, is_first=not has_begun)
            has_begun = True
            if isinstance(said, Spoke):
                spoken.append(said)
                if text := speech.hear(said.token):
                    yield form.piece(text, spoken, at)
                    spoken, at = [], at + len(text)
        if (rest := speech.end(said.text)) or (spoken and form.has_logprobs):
            yield form.piece(rest, spoken, at, said)
        yield form.piece("", [], at, said, is_last=True)
        if self.asked.tells_usage:
            yield form.closing(said)
        self._finish(said)

    @property
    def form(self) -> Form:
        """What the answer looks like."""
        assert self.version, self.endpoint
        assert self.wish, self.endpoint
        return Form(
            id=self.id,
            kind=self.kind,
            model=self.version.name,
            fingerprint=self.service.base.base_hash[:12],
            spelling=self.service.spelling,
            has_logprobs=self.wish.has_logprobs,
            num_prompt=len(self.wish.request.prompt),
        )

    def _heard(self, said: Said, *, is_first: bool) -> None:
        self._num_tokens += isinstance(said, Spoke)
        if is_first and self.version and self.served:
            self.first_token_s = time.monotonic() - self.started
            place = self.endpoint, self.served.name, self.version.name
            self.service.metrics.first_token(*place, self.first_token_s)

    def _finish(self, said: Ended) -> None:
        assert self.version, self.endpoint
        assert self.wish, self.endpoint
        assert self.served, self.endpoint
        self._num_tokens = said.num_tokens
        num_prompt = len(self.wish.request.prompt)
        self.service.metrics.tokens(self.served.name, self.version.name, num_prompt, said.num_tokens)
        self.served.recorder.heard(self, said)
        if self.job:
            self.service.shadow.offer(self.served.catalog, self, self.job, said)
        self.end(200)

    def end(self, status: int) -> None:
        """The engine stops working for this request, if it still does; done twice, it is done once."""
        if self._is_done:
            return
        self._is_done = True
        if status != 200 and self._ticket is not None:
            self.service.engine.cancel(self._ticket)
        if self._grant:
            self._grant.end(len(self.wish.request.prompt) + self._num_tokens if self.wish and self.version else 0)
        if self.served:
            self.served.num_open -= 1
        project, model = self._project, self.version.name if self.version else NOBODY
        self.service.metrics.done(self.endpoint, project, model, status, time.monotonic() - self.started)

    @property
    def _project(self) -> str:
        """Whose request it is, as far as that is known."""
        known = self.served.name if self.served else self.key.project if self.key else None
        return known or NOBODY

    def _headers(self, version: ModelVersion) -> dict[str, str]:
        names = {"x-burnish-version": version.name, "x-burnish-adapter": version.adapter_hash}
        return names | (self.key.quota.headers() if self.key and self.key.quota else {})


class Stream(Response):
    """Server-sent events, ended by [DONE]; a fault on the way is an error object and no [DONE]."""

    def __init__(self, exchange: Exchange, headers: Mapping[str, str]) -> None:
        super().__init__(media_type="text/event-stream", headers={**headers, "cache-control": "no-store"})
        del self.headers["content-length"]
        self._exchange = exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends all of it, unless the client leaves or takes too long to read."""
        status = 500
        try:
            await unless_gone(receive, self._send_all(send))
            status = 200
        except (Gone, OSError):
            status = GONE
        finally:
            self._exchange.end(status)

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        last = b"data: [DONE]\n\n"
        try:
            async with asyncio.timeout_at(self._exchange.deadline):
                async for piece in self._exchange.pieces():
                    await self._send(send, _event(piece))
        except ApiError as error:
            last = _event(error.body)
        except TimeoutError:
            last = _event(_too_late(self._exchange.service.settings.timeout_s).body)
        if last != b"data: [DONE]\n\n":
            self._exchange.end(500)
        await self._send(send, last)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, data: bytes) -> None:
        try:
            async with asyncio.timeout(WRITE_S):
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except TimeoutError as error:
            raise Gone from error


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, allow_nan=False).encode() + b"\n\n"


def _of(failed: Failed, project: str) -> ApiError:
    if failed.kind == "refused":
        log_of(project).error("no version can answer: %s", ascii(failed.message))
        return ApiError(503, "This model cannot be served now; the server's log says why.", code="model_not_ready")
    if failed.kind == "asked":
        return ApiError(400, "This prompt cannot be answered.", code="invalid_value")
    return SERVER_FAILED


def _too_late(timeout_s: float) -> ApiError:
    return ApiError(504, f"There was no whole answer within {timeout_s:g} s.", code="timeout")
