"""The server itself: its champion is loaded and checked before the address is told, and what was begun is finished."""

import logging
import queue
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import uvicorn

from burnish.config import Settings
from burnish.errors import ModelError, UsageError
from burnish.http_server import config_of, log_to
from burnish.model.base import Base
from burnish.model.generator import Request
from burnish.records import Message, ModelVersion, Task
from burnish.serve.app import make_app
from burnish.serve.catalog import Catalog, Tainted
from burnish.serve.engine import Began, Engine, Failed, Job, Said
from burnish.serve.exchange import Service
from burnish.serve.faults import LOG, ApiError, is_line_of
from burnish.serve.guard import Door
from burnish.serve.metrics import Metrics
from burnish.serve.pool import Pool
from burnish.serve.projects import Projects, Served
from burnish.serve.reads import Check, Source
from burnish.serve.recorder import Recorder
from burnish.serve.shadow import Shadow
from burnish.serve.speech import Spelling
from burnish.serve.wishes import Wishes
from burnish.store.store import Store

LOG_FILE = "serve.log"
SPARE_CONNECTIONS = 256
"""Beyond the requests that are answered or wait: health, metrics, and clients that are told to come back."""
END_S = 10.0
"""Seconds that the engine may take to end when no request is left."""


class Tenant(NamedTuple):
    """One project that is to be served."""

    store: Store
    settings: Settings
    task: Task
    check: Check
    tainted: Tainted


def make_service(base: Base, tenants: Sequence[Tenant]) -> Service:
    """A service over the versions of projects on one base; its engine is running. The first decides its limits."""
    limits = tenants[0].settings.serve
    sources = {one.settings.project: Source(store=one.store, check=one.check) for one in tenants}
    engine = Engine(Pool(base, sources, adapter_bytes=limits.adapter_mb << 20), max_rows=limits.max_rows)
    engine.start()
    projects, shadow = Projects([_served(base, one) for one in tenants]), Shadow(engine)
    return Service(
        base=base,
        engine=engine,
        projects=projects,
        settings=limits,
        metrics=_metrics(engine, projects, shadow),
        shadow=shadow,
        spelling=Spelling(base),
    )


def _metrics(engine: Engine, projects: Projects, shadow: Shadow) -> Metrics:
    metrics, recorders = Metrics(engine), [one.recorder for one in projects.all]
    for name, what, value in (
        ("traffic_kept", "Answers written down since the start", lambda: sum(one.num_kept for one in recorders)),
        (
            "traffic_dropped",
            "Answers that could not be written down",
            lambda: sum(one.num_dropped for one in recorders),
        ),
        ("shadow_answered", "Answers of a shadow since the start", lambda: shadow.num_answered),
        ("shadow_dropped", "Answers that a shadow had no time for", lambda: shadow.num_dropped),
    ):
        metrics.watch(name, what, value)
    return metrics


def _served(base: Base, tenant: Tenant) -> Served:
    limits = tenant.settings.serve
    catalog = Catalog(store=tenant.store, project=tenant.settings.project, tainted=tenant.tainted)
    recorder = Recorder(tenant.store, limits.traffic, project=catalog.project)
    return Served(catalog=catalog, wishes=Wishes(base, tenant.task, limits), settings=limits, recorder=recorder)


def warm(service: Service) -> dict[str, ModelVersion]:
    """The version that answers to each project's name, loaded and checked.

    Raises UsageError when a project has no champion, ModelError when none of its champions may answer.
    """
    return {served.name: _warm(service, served) for served in service.projects.all}


def _warm(service: Service, served: Served) -> ModelVersion:
    try:
        versions = served.catalog.find(served.name)
    except ApiError as error:
        raise UsageError(f"{served.name} has no champion to serve yet", hint="`burnish round` makes one") from error
    prompt = service.base.chat.render_prompt([Message(role="user", content="Hello")])
    said: queue.SimpleQueue[Said] = queue.SimpleQueue()
    request = Request(prompt=tuple(prompt), max_new_tokens=1)
    service.engine.submit(Job(project=served.name, request=request, versions=versions, tell=said.put))
    first = said.get()
    if isinstance(first, Failed):
        raise ModelError(
            f"the champion of {served.name} cannot be served: {first.message}",
            hint="`burnish rollback`, or train another one",
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
        service.shadow.close(END_S)
        service.engine.close(END_S)
        for served in service.projects.all:
            served.recorder.close(END_S)


def server_of(service: Service, door: Door) -> "Server":
    """The server of a service, not yet running."""
    settings = service.settings
    config = config_of(
        make_app(service, door),
        lifespan="off",
        limit_concurrency=min(2, len(service.projects.all)) * service.num_places + SPARE_CONNECTIONS,
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


def open_log(folder: Path, project: str) -> None:
    """Errors and loads of a project, and what concerns all, go to serve.log in this folder."""
    log_to(folder / LOG_FILE, [LOG], is_line_of(project))
    LOG.setLevel(logging.INFO)
