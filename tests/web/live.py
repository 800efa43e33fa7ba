"""A real server on a free port of this machine, in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from burnish.web.access import Access
from burnish.web.app import make_app
from burnish.web.server import listen

TOKEN = "s" * 43


@contextmanager
def serving(folder: Path) -> Iterator[Access]:
    """Answers for the project in `folder` while the block runs."""
    with listen("127.0.0.1", 0) as bound:
        access = Access(host="127.0.0.1", port=bound.getsockname()[1], token=TOKEN)
        app = make_app(folder, access)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off"))
        bound.listen(16)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield access
        finally:
            server.should_exit = True
            thread.join(timeout=20)
