"""The page in a real browser: plots have ink on every screen and in both themes, and nothing runs over the edge."""

import shutil
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from burnish.report.render import render_html
from tests.report.sample_report import sample_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def pixels(png: bytes) -> np.ndarray:
    """An 8-bit RGB or RGBA PNG as [height, width, 3], by the five filters of the PNG specification."""
    place, data = 8, b""
    while place < len(png):
        size, kind = struct.unpack(">I4s", png[place : place + 8])
        body = png[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        data += body if kind == b"IDAT" else b""
        place += 12 + size
    assert depth == 8, depth
    step = {2: 3, 6: 4}[colour]
    raw = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + width * step)
    image = np.zeros((height + 1, width * step), np.int64)
    for y in range(height):
        unfilter(raw[y, 0], raw[y, 1:].astype(np.int64), image[y], image[y + 1], step)
    return image[1:].reshape(height, width, step)[..., :3]


def unfilter(kind: int, line: np.ndarray, above: np.ndarray, out: np.ndarray, step: int) -> None:
    if kind == 0:
        out[:] = line
    elif kind == 2:
        out[:] = (line + above) % 256
    elif kind == 1:
        out[:] = np.cumsum(line.reshape(-1, step), axis=0).ravel() % 256
    else:
        before, now = [0] * step + above.tolist(), [0] * step
        for x, value in enumerate(line.tolist()):
            left, up, corner = now[x], before[x + step], before[x]
            now.append((value + ((left + up) // 2 if kind == 3 else paeth(left, up, corner))) % 256)
        out[:] = now[step:]


def paeth(left: int, above: int, corner: int) -> int:
    a, b, c = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    return left if a <= b and a <= c else above if b <= c else corner


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (390, "dark")])
def test_every_plot_has_ink_and_the_page_fits(browser, width, theme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    loud: list[str] = []
    page.on("console", lambda message: loud.append(message.text))
    page.set_content(render_html(sample_report()))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    plots = [plot for plot in page.query_selector_all("svg.plot") if plot.is_visible()]
    assert len(plots) == 5, "standing, slices, search, curves, rounds: one drawing of each"
    for plot in plots:
        image = pixels(plot.screenshot())
        ground = image[2, 2]
        ink = (np.abs(image - ground).max(axis=2) > 60).mean()
        # Marks, whiskers and text cover a few percent of the area; an empty plot covers none.
        assert 0.004 < ink < 0.5, plot.get_attribute("aria-label")
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 21, 19)"
    assert is_dark == (theme == "dark")
    assert not loud
    page.close()
