"""The server itself: one socket, bound before its address is told, and a log in the project's folder."""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvicorn

from burnish.errors import UsageError
from burnish.loop.project import open_project
from burnish.web.access import Access
from burnish.web.app import make_app
from burnish.web.faults import LOG
from burnish.web.guard import LONGEST_HEADERS
from burnish.web.patience import Patience

LOG_FILE = "web.log"
LOG_BYTES = 2**20
MOST_CONNECTIONS = 64
"""Beyond them the server answers 503."""


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to this address; port 0 takes any free one. Raises UsageError when it cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as undo:
            bound = undo.enter_context(socket.socket(family, kind))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            undo.pop_all()
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            hint="choose another --port; 0 takes any free one",
        ) from error
    return bound


def serve(folder: Path, host: str, bound: socket.socket, token: str, tell: Callable[[Access], None]) -> None:
    """Answers requests until Ctrl-C or SIGTERM; `tell` is called once, when the address is known and taken.

    Raises ConfigError when there is no project.
    """
    project = open_project(folder)
    access = Access(host=host, port=bound.getsockname()[1], token=token)
    _log_to(project.store.root / "logs" / LOG_FILE)
    bound.listen(128)
    tell(access)
    server_of(folder.resolve(), access).run(sockets=[bound])


def server_of(folder: Path, access: Access) -> "Server":
    """The server of the project in `folder`, not yet running."""
    leaving = threading.Event()
    config = uvicorn.Config(
        make_app(folder, access, leaving=leaving),
        http=Patience,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        h11_max_incomplete_event_size=LONGEST_HEADERS,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    return Server(config, leaving)


class Server(uvicorn.Server):
    """Says that it ends before it waits for the answers that are under way."""

    def __init__(self, config: uvicorn.Config, leaving: threading.Event) -> None:
        super().__init__(config)
        self.leaving = leaving

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the answers without an end, then the rest."""
        self.leaving.set()
        await super().shutdown(sockets)


def _log_to(path: Path) -> None:
    """Errors go to a file, with their stack; the pages show only their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    writer.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for log in (LOG, logging.getLogger("uvicorn.error")):
        log.addHandler(writer)
        log.propagate = False
