"""The server itself: its champion is loaded and checked before the address is told, and what was begun is finished."""

import logging
import queue
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from burnish.config import Settings
from burnish.errors import ModelError, UsageError
from burnish.http_server import config_of, log_to
from burnish.model.base import Base
from burnish.model.generator import Request
from burnish.records import Message, ModelVersion, Task
from burnish.serve.app import make_app
from burnish.serve.catalog import Catalog
from burnish.serve.engine import Began, Engine, Failed, Job, Said
from burnish.serve.exchange import Service
from burnish.serve.faults import LOG, ApiError
from burnish.serve.guard import Door
from burnish.serve.metrics import Metrics
from burnish.serve.pool import Pool
from burnish.serve.reads import Check
from burnish.serve.speech import Spelling
from burnish.serve.wishes import Wishes
from burnish.store.store import Store

LOG_FILE = "serve.log"
SPARE_CONNECTIONS = 256
"""Beyond the requests that are answered or wait: health, metrics, and clients that are told to come back."""
END_S = 10.0
"""Seconds that the engine may take to end when no request is left."""


def make_service(base: Base, store: Store, settings: Settings, task: Task, check: Check) -> Service:
    """A service over one project's versions; its engine is running."""
    pool = Pool(base, store, check=check, adapter_bytes=settings.serve.adapter_mb << 20)
    engine = Engine(pool, max_rows=settings.serve.max_rows)
    engine.start()
    return Service(
        base=base,
        engine=engine,
        catalog=Catalog(store=store, project=settings.project),
        wishes=Wishes(base, task, settings.serve),
        settings=settings.serve,
        metrics=Metrics(engine),
        spelling=Spelling(base),
    )


def warm(service: Service) -> ModelVersion:
    """The version that answers to the project's name, loaded and checked.

    Raises UsageError when the project has no champion, ModelError when none of its champions may answer.
    """
    try:
        versions = service.catalog.find(service.catalog.project)
    except ApiError as error:
        raise UsageError("there is no champion to serve yet", hint="`burnish round` makes one") from error
    prompt = service.base.chat.render_prompt([Message(role="user", content="Hello")])
    said: queue.SimpleQueue[Said] = queue.SimpleQueue()
    request = Request(prompt=tuple(prompt), max_new_tokens=1)
    service.engine.submit(Job(request=request, versions=versions, tell=said.put))
    first = said.get()
    if isinstance(first, Failed):
        raise ModelError(
            f"the champion cannot be served: {first.message}", hint="`burnish rollback`, or train another one"
        )
    assert isinstance(first, Began), first
    return first.version


def serve(service: Service, bound: socket.socket, door: Door, tell: Callable[[], None]) -> None:
    """Answers until Ctrl-C or SIGTERM, then finishes what was begun; `tell` is called once the socket listens."""
    bound.listen(1024)
    tell()
    try:
        server_of(service, door).run(sockets=[bound])
    finally:
        service.engine.close(END_S)


def server_of(service: Service, door: Door) -> "Server":
    """The server of a service, not yet running."""
    settings = service.settings
    config = config_of(
        make_app(service, door),
        lifespan="off",
        limit_concurrency=settings.max_rows + settings.max_waiting + SPARE_CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=int(settings.timeout_s) + 1,
    )
    return Server(config, service)


class Server(uvicorn.Server):
    """Says at once that it ends, so that whoever balances load looks elsewhere."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the end: no new requests."""
        self._service.is_draining = True
        super().handle_exit(sig, frame)


def open_log(folder: Path) -> None:
    """Errors and loads go to serve.log in this folder."""
    log_to(folder / LOG_FILE, [LOG])
    LOG.setLevel(logging.INFO)
