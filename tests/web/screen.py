"""A real browser: whoever comes in by the start address, and what axe finds wrong with a page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
GRAVE = ("serious", "critical")


@contextmanager
def launched() -> Iterator[Any]:
    """The browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def visitor(browser: Any, access: Any, **screen: Any) -> tuple[Any, list[str]]:
    """A page that came in by the start address, and everything that its console said since."""
    page = browser.new_context(**screen).new_page()
    page.goto(access.start_url)
    page.wait_for_url(f"http://127.0.0.1:{access.port}/")
    loud: list[str] = []
    page.on("console", lambda message: loud.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: loud.append(f"{page.url}: {error}"))
    return page, loud


def violations(page: Any, *rules: str) -> list[str]:
    """What axe-core (Deque) finds serious or critical on the page as it is shown, by these rules or by all."""
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{page.url}: {one['id']}: {node['html'][:150]} {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]
