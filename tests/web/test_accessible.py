"""Every page as axe-core sees it, light and dark, and the two pages that change while they are read."""

import shutil
from pathlib import Path

from burnish.store.progress import told
from burnish.talk import Silence
from tests.web.conftest import NEWEST
from tests.web.furnished import BATCH
from tests.web.live import serving
from tests.web.payloads import PAYLOADS
from tests.web.screen import violations, visitor

PAGES = ("/", "/rounds", "/rounds/1", "/rounds/1/report", "/data", "/batches", f"/batches/{BATCH}", "/models")
PAGES += (f"/batches/{BATCH}/audit", "/compare", "/costs", "/watch", "/no/such/page")


def faults(page) -> list[str]:
    """By all rules as it stands, and by contrast in the other colours."""
    light = violations(page)
    page.emulate_media(color_scheme="dark")
    dark = violations(page, "color-contrast", "link-in-text-block")
    page.emulate_media(color_scheme="light")
    return light + dark


def test_no_page_has_a_serious_fault(browser, furnished, tmp_path):
    desk = Path(shutil.copytree(furnished, tmp_path / "desk"))
    with serving(desk) as access:
        page, _ = visitor(browser, access, bypass_csp=True)  # the report's page lets nothing run, axe neither
        found = []
        for path in PAGES:
            page.goto(f"http://127.0.0.1:{access.port}{path}")
            found += faults(page)
        with told(desk / ".burnish", Silence()) as talk:
            talk.step("train", ("look", "train", "decide"))
            page.goto(f"http://127.0.0.1:{access.port}/rounds")
            page.locator("#live").get_by_text("stopped before it was done").wait_for()
            found += faults(page)
        page.context.close()
    assert found == []


def test_a_prompt_full_of_markup_is_compared_as_text_in_the_browser(browser, after_a_round, tmp_path):
    desk = Path(shutil.copytree(after_a_round, tmp_path / "desk"))
    mark = " ".join(PAYLOADS[3:8])
    with serving(desk) as access:
        page, loud = visitor(browser, access, bypass_csp=True)
        page.keyboard.press("g")
        page.keyboard.press("x")
        page.wait_for_url("**/compare")
        page.get_by_label("Prompt").fill(f"my account {mark}")
        page.get_by_label("Blind").check()
        page.get_by_role("button", name="Answer").click()
        page.locator("article").nth(1).wait_for(timeout=60_000)
        assert page.locator("article h3").all_inner_texts() == ["Answer A", "Answer B"]
        assert faults(page) == []
        page.get_by_role("button", name="A is better").click()
        page.get_by_text("You found").wait_for()
        assert sorted(page.locator("article h3").all_inner_texts()) == ["base", NEWEST]
        assert page.get_by_label("Prompt").input_value() == f"my account {mark}"
        assert page.evaluate("window.__xss") is None
        assert page.locator("main script, main iframe, main object, main embed, main img").count() == 0
        assert faults(page) == []
        assert loud == []
        page.context.close()
