"""The server itself: one socket, bound before its address is told, and a log in the project's folder."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from burnish.http_server import config_of, log_to
from burnish.loop.project import open_project
from burnish.web.access import Access
from burnish.web.app import make_app
from burnish.web.faults import LOG

LOG_FILE = "web.log"
MOST_CONNECTIONS = 64
"""Beyond them the server answers 503."""


def serve(folder: Path, host: str, bound: socket.socket, token: str, tell: Callable[[Access], None]) -> None:
    """Answers requests until Ctrl-C or SIGTERM; `tell` is called once, when the address is known and taken.

    Raises ConfigError when there is no project.
    """
    project = open_project(folder)
    access = Access(host=host, port=bound.getsockname()[1], token=token)
    log_to(project.store.root / "logs" / LOG_FILE, [LOG])
    bound.listen(128)
    tell(access)
    server_of(folder.resolve(), access).run(sockets=[bound])


def server_of(folder: Path, access: Access) -> "Server":
    """The server of the project in `folder`, not yet running."""
    leaving = threading.Event()
    config = config_of(
        make_app(folder, access, leaving=leaving),
        lifespan="on",
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
