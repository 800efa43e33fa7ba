"""The server itself: one socket, bound before its address is told, and a log in the project's folder."""

import logging
import socket
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvicorn

from burnish.loop.project import open_project
from burnish.web.access import Access
from burnish.web.app import make_app
from burnish.web.faults import LOG

LOG_FILE = "web.log"
LOG_BYTES = 2**20
MOST_CONNECTIONS = 64
"""Beyond them the server answers 503."""
LONGEST_HEADERS = 2**14
"""Bytes of a request before its body."""


def serve(folder: Path, host: str, bound: socket.socket, token: str, tell: Callable[[Access], None]) -> None:
    """Answers requests until Ctrl-C or SIGTERM; `tell` is called once, when the address is known and taken.

    Raises ConfigError when there is no project.
    """
    project = open_project(folder)
    access = Access(host=host, port=bound.getsockname()[1], token=token)
    _log_to(project.store.root / "logs" / LOG_FILE)
    config = uvicorn.Config(
        make_app(folder.resolve(), access),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        h11_max_incomplete_event_size=LONGEST_HEADERS,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    bound.listen(128)
    tell(access)
    uvicorn.Server(config).run(sockets=[bound])


def _log_to(path: Path) -> None:
    """Errors go to a file, with their stack; the pages show only their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    writer.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.addHandler(writer)
    LOG.propagate = False
