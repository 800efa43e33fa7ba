"""A real server on a free port of this machine, in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from burnish.web.access import Access
from burnish.web.server import listen, server_of

TOKEN = "s" * 43


@contextmanager
def serving(folder: Path) -> Iterator[Access]:
    """Answers for the project in `folder` while the block runs."""
    with listen("127.0.0.1", 0) as bound:
        access = Access(host="127.0.0.1", port=bound.getsockname()[1], token=TOKEN)
        server = server_of(folder, access)
        bound.listen(16)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield access
        finally:
            server.should_exit = True
            thread.join(timeout=20)
