"""A real server on a free port of this machine, in a thread of the test, and a visitor who comes by its address."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from burnish.web.access import Access
from burnish.web.app import make_app
from burnish.web.server import listen

TOKEN = "s" * 43
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


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


def visitor(browser: Any, access: Access, **screen: Any) -> tuple[Any, list[str]]:
    """A page that came in by the start address, and everything that its console said since."""
    page = browser.new_context(**screen).new_page()
    page.goto(access.start_url)
    page.wait_for_url(f"http://127.0.0.1:{access.port}/")
    loud: list[str] = []
    page.on("console", lambda message: loud.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: loud.append(f"{page.url}: {error}"))
    return page, loud
