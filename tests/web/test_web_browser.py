"""The pages in a real browser: they fit, are quiet, run nothing of the data's, and an audit needs no mouse."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from burnish.loop.auditing import held_batches, sample_of
from burnish.loop.project import open_project
from burnish.registry import champion
from tests.web.furnished import ACTIONS, BATCH, furnish
from tests.web.live import serving
from tests.web.payloads import PAYLOADS
from tests.web.screen import visitor

PAGES = ("/", "/review", "/rounds", "/rounds/1", "/data", "/batches", f"/batches/{BATCH}", f"/batches/{BATCH}/audit")
PAGES += ("/models", "/compare", "/costs", "/watch", "/no/such/page")


@pytest.fixture
def desk(tmp_path: Path, furnished: Path) -> Path:
    return Path(shutil.copytree(furnished, tmp_path / "desk"))


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (390, "dark")])
def test_every_page_fits_and_is_quiet(browser, desk, width, theme):
    with serving(desk) as access:
        screen = {"viewport": {"width": width, "height": 800}, "color_scheme": theme}
        page, loud = visitor(browser, access, **screen)
        for path in PAGES:
            page.goto(f"http://127.0.0.1:{access.port}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.locator("h1").count() == 1, path
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(23, 21, 19)") == (theme == "dark"), path
        told = [line for line in loud if "404" not in line]
        assert told == []
        page.context.close()


@pytest.mark.slow
def test_no_text_of_the_data_runs_on_any_page(browser, tmp_path):
    project = furnish(tmp_path / "desk", " ".join(PAYLOADS))
    with serving(project.folder) as access:
        page, loud = visitor(browser, access)
        # Without the policy, too: the text itself has to be harmless.
        bare = browser.new_context(bypass_csp=True)
        bare.add_cookies(page.context.cookies())
        naked = bare.new_page()
        for path in (*PAGES, "/rounds/1/report", "/data?role=dev_a"):
            for visit in (page, naked):
                visit.goto(f"http://127.0.0.1:{access.port}{path}")
                assert visit.evaluate("window.__xss") is None, path
                assert visit.locator("main script, main iframe, main object, main embed").count() == 0, path
        assert "window.__xss=1" in page.locator("main").inner_text()
        assert [line for line in loud if "404" not in line] == []
        bare.close()
        page.context.close()


def test_a_page_of_another_server_can_neither_post_nor_read_nor_frame(browser, desk, tmp_path):
    with serving(desk) as access:
        page, _ = visitor(browser, access)
        ours = f"http://127.0.0.1:{access.port}"
        text = (
            f"<form method=post action='{ours}/models/rollback'><input name=seen value=round-1>"
            f"<input name=reason value=x></form><iframe src='{ours}/models'></iframe>"
        )
        with elsewhere(text) as other:
            page.goto(other)
            frame = page.frames[1]
            assert "Change what is in use" not in frame.content()
            assert page.evaluate(f"fetch('{ours}/').then(() => 'read', () => 'refused')") == "refused"
            page.evaluate("document.forms[0].submit()")
            page.wait_for_url(f"{ours}/models/rollback")
            assert "403" in page.content()
        assert champion(open_project(desk).store).name == "round-1"
        page.context.close()


@contextmanager
def elsewhere(text: str) -> Iterator[str]:
    """A page on another port, which browsers count as the same site."""

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_a_batch_is_audited_by_keys_alone_and_a_reload_loses_nothing(browser, desk):
    project = open_project(desk)
    sample = sample_of(project, held_batches(project)[0])
    with serving(desk) as access:
        page, loud = visitor(browser, access)
        page.keyboard.press("g")
        page.keyboard.press("b")
        page.wait_for_url("**/batches")
        page.goto(f"http://127.0.0.1:{access.port}/batches/{BATCH}/audit")
        keys = {text: page.locator(f"input[value={text}]").first.get_attribute("data-key") for text in ACTIONS}
        for row in sample[:5]:
            page.keyboard.press(keys[row.answer])
        page.reload()
        assert page.locator("#count").inner_text() == "5"
        page.keyboard.press("k")  # undo: back to the fifth row, answered anew
        page.keyboard.press("?")
        page.keyboard.press("k")
        for row in sample[4:]:
            page.keyboard.press(keys[row.answer])
        assert page.locator("#count").inner_text() == "12"
        page.keyboard.type("ann 123")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/batches/{BATCH}")
        assert "12 of 12 right" in page.locator("main").inner_text()
        assert page.evaluate("localStorage.length") == 0
        assert loud == []
        page.context.close()
    audit = held_batches(open_project(desk))[0].audit
    assert (audit.status, audit.correct, audit.by) == ("accepted", 12, "ann 123")


def test_a_model_is_rolled_back_in_the_browser_with_its_reason(browser, desk):
    with serving(desk) as access:
        page, loud = visitor(browser, access)
        page.goto(f"http://127.0.0.1:{access.port}/models")
        page.locator("#rollback").get_by_label("Reason").fill("it was worse")
        page.keyboard.press("Enter")
        page.get_by_text("it was worse").wait_for()
        assert "rolled back" in page.locator("main").inner_text()
        assert loud == []
        page.context.close()
    assert champion(open_project(desk).store).name == "base"
