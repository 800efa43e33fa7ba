"""The review page in a real browser: keys alone, two people, reloads, a killed server, and no text that runs."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from burnish.loop.project import SETTINGS_FILE, open_project, settings_with
from burnish.review.decisions import replay
from burnish.settings.text import write_settings
from burnish.store.claims import held_items
from burnish.store.leases import LEASE_S
from burnish.store.reviews import add_items, review_log
from burnish.store.tables import review_lease
from tests.cli.calls import command, environment
from tests.web.asked import BETTER, DRAFT, label_question, pair_question, run_out, text_project, text_question
from tests.web.live import TOKEN, serving
from tests.web.payloads import PAYLOADS
from tests.web.screen import violations, visitor

TOO_SOON_S = 0.22
"""A little more than the page takes a second key of for a slip."""


@pytest.fixture
def desk(tmp_path: Path, furnished: Path) -> Path:
    return Path(shutil.copytree(furnished, tmp_path / "desk"))


def reviewer(browser: Any, access: Any, name: str, **screen: Any) -> tuple[Any, list[str]]:
    """The review page of somebody who has told their name."""
    page, loud = visitor(browser, access, **screen)
    page.keyboard.press("g")
    page.keyboard.press("v")
    page.wait_for_url("**/review")
    page.locator("input[name=name]:focus").wait_for()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    listening(page)
    return page, loud


def listening(page: Any) -> None:
    """Waits until the page hears keys."""
    page.wait_for_selector("#keys-off:not([hidden])", state="attached")


def press(page: Any, *keys: str) -> None:
    for key in keys:
        time.sleep(TOO_SOON_S)
        page.keyboard.press(key)


def saved(page: Any) -> None:
    """Waits until the server has everything that was decided. The page's policy allows no wait_for_function."""
    until = time.monotonic() + 20
    while page.evaluate("JSON.parse(sessionStorage.getItem('burnish-review-pending') || '[]').length"):
        assert time.monotonic() < until
        page.wait_for_timeout(20)


def asked(page: Any, words: str) -> None:
    """Waits until this is asked."""
    page.locator("form.question:not(.waits) .turn pre", has_text=re.compile(rf"{words}\s*$")).wait_for(timeout=20_000)


def held(folder: Path) -> dict[str, str]:
    """What holds, by item and reviewer."""
    log = review_log(open_project(folder).store)
    return {f"{key.item} {key.reviewer}": one.text or one.kind for key, one in replay(log).items()}


def test_twenty_questions_need_no_mouse_and_the_last_is_taken_back(browser, desk):
    items = [label_question(number) for number in range(20)]
    add_items(open_project(desk).store, items)
    with serving(desk) as access:
        page, loud = reviewer(browser, access, "ann")
        keys = {b.get_attribute("value"): b.get_attribute("data-key") for b in page.locator(".labels button").all()}
        for number in range(19):
            asked(page, f"number {number}")
            press(page, keys["label:pay"])
        saved(page)
        press(page, "u")
        asked(page, "number 18")
        press(page, keys["label:deny"])
        asked(page, "number 19")
        press(page, "s")
        page.get_by_text("Nothing is left for you").wait_for()
        saved(page)
        assert loud == []
        page.context.close()
    found = held(desk)
    assert [found[f"{one.name} ann"] for one in items] == ["pay"] * 18 + ["deny", "skip"]
    seconds = [one.seconds for one in review_log(open_project(desk).store) if one.kind != "undo"]
    assert all(0.15 < one < 60 for one in seconds)


def test_the_next_question_is_there_before_the_server_has_answered(browser, desk, monkeypatch):
    store = open_project(desk).store
    add_items(store, [label_question(number) for number in range(4)])
    monkeypatch.setenv("BURNISH_FAILPOINTS", "review.decide=sleep:1.5")
    with serving(desk) as access:
        page, _ = reviewer(browser, access, "ann")
        saved(page)
        page.wait_for_timeout(1000 * TOO_SOON_S)
        key = "key => document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))"
        page.evaluate(f"['1', '2'].forEach({key})")  # the second comes too soon after its question: a slip
        asked(page, "number 1")
        assert review_log(store) == []  # the server is still at it
        press(page, "u")  # waits for the answer that is on its way, and takes that one back
        asked(page, "number 0")
        page.context.close()
    assert [one.kind for one in review_log(store)] == ["label", "undo"]


def test_two_people_with_one_question_make_one_decision_and_the_late_one_is_told(browser, tmp_path):
    project = text_project(tmp_path / "letters", [text_question()])
    with serving(project.folder) as access:
        ann, loud = reviewer(browser, access, "ann")
        bob, _ = reviewer(browser, access, "bob")
        assert "1 question is for other reviewers" in bob.locator("#place").inner_text()
        press(ann, "e")
        ann.keyboard.press("Control+a")
        ann.keyboard.type(BETTER)
        run_out(project)
        bob.reload()
        press(ann, "Control+Enter")
        ann.get_by_text("is held now by bob").wait_for()
        assert BETTER in ann.locator("#told").inner_text()
        press(bob, "a")
        bob.get_by_text("Every question is answered").wait_for()
        assert [line for line in loud if "409" not in line] == []
        ann.context.close()
        bob.context.close()
    assert [(one.reviewer, one.kind) for one in review_log(project.store)] == [("bob", "accept")]


def test_reload_back_and_a_second_tab_lose_nothing_and_decide_nothing_twice(browser, tmp_path):
    items = [text_question(number) for number in range(3)]
    project = text_project(tmp_path / "letters", items)
    with serving(project.folder) as access:
        page, _ = reviewer(browser, access, "ann")
        page.locator("textarea").fill(BETTER)
        page.reload()
        assert page.locator("textarea").input_value() == BETTER
        press(page, "a")
        assert "You have changed the answer" in page.locator("#told").inner_text()
        tab = page.context.new_page()
        tab.goto(page.url)
        page.wait_for_timeout(1000 * TOO_SOON_S)
        page.evaluate("[1, 2].forEach(() => document.querySelector('button.save').click())")
        saved(page)
        time.sleep(TOO_SOON_S)
        tab.locator("button[value=reject]").click()
        tab.get_by_text("You have decided edit").wait_for()
        page.go_back()
        page.go_forward()
        page.goto(page.url)
        assert page.locator("textarea").input_value() == DRAFT
        page.context.close()
    assert held(project.folder) == {f"{items[0].name} ann": BETTER}
    assert len(review_log(project.store)) == 1


def test_it_works_without_a_script(browser, tmp_path):
    project = text_project(tmp_path / "letters", [text_question(0), pair_question(1)])
    with serving(project.folder) as access:
        page, _ = visitor(browser, access)
        plain = browser.new_context(java_script_enabled=False)
        plain.add_cookies(page.context.cookies())
        page.context.close()
        page = plain.new_page()
        page.goto(f"http://127.0.0.1:{access.port}/review")
        page.get_by_label("Your name").fill("ann")
        page.keyboard.press("Enter")
        page.locator("textarea").fill(BETTER)
        page.get_by_label("Why").press("Enter")  # Enter in a line decides nothing
        page.get_by_role("button", name="Save my change").click()
        page.get_by_text("clearer").click()
        page.get_by_role("button", name="The second is better").click()
        page.get_by_role("button", name="Take back").click()
        page.get_by_role("button", name="As good as each other").click()
        assert "Every question is answered" in page.locator("#place").inner_text()
        plain.close()
    assert [(one.kind, one.note) for one in review_log(project.store)] == [
        ("edit", ""),
        ("prefer-b", "clear"),
        ("undo", ""),
        ("tie", ""),
    ]


def test_among_many_labels_one_is_found_by_typing(browser, desk):
    project = open_project(desk)
    many = ("pay", "deny", "refer", *(f"topic {number:02}" for number in range(30)))
    write_settings(desk / SETTINGS_FILE, settings_with(project.settings, {"task.labels": many}))
    items = [label_question(0), label_question(1, queue="correction", purpose="gold", draft="pay", given="pay")]
    add_items(project.store, items)
    with serving(desk) as access:
        page, loud = reviewer(browser, access, "ann")
        press(page, "/")
        page.keyboard.type("IC 27")
        assert page.locator("form.question .labels button:visible").all_inner_texts() == ["topic 27"]
        page.keyboard.press("Backspace")
        page.keyboard.type("9")
        press(page, "Enter")
        asked(page, "number 1")
        press(page, "w", "/")
        page.locator("details[open] [data-find]:focus").wait_for()
        page.keyboard.type("no such")
        press(page, "Enter")  # finds nothing and decides nothing
        page.locator("details[open] [data-find]:focus").fill("28")
        press(page, "Enter")
        page.get_by_text("Every question is answered").wait_for()
        assert loud == []
        page.context.close()
    kept = [(one.kind, one.text) for one in review_log(project.store)]
    assert kept == [("label", "topic 29"), ("gold-wrong", "topic 28")]


def test_typing_keeps_a_question_longer_and_nothing_that_was_typed_is_lost(browser, tmp_path):
    project = text_project(tmp_path / "letters", [text_question()])
    with serving(project.folder) as access:
        page, loud = reviewer(browser, access, "ann")
        page.clock.install()
        page.reload()
        listening(page)
        looks: list[str] = []
        page.on("request", lambda request: looks.append(request.url))
        with project.store.db.write() as connection:
            connection.execute(update(review_lease).values(until_s=time.time() + 60))
        press(page, "e", "Control+End")
        page.keyboard.type("a")
        assert looks == []  # not at every letter
        page.clock.fast_forward(1000 * LEASE_S)
        page.locator("#over").wait_for()
        with page.expect_response("**/review"):
            page.keyboard.type("b")
        page.locator("#over").wait_for(state="hidden")
        page.keyboard.type("c")
        assert page.locator("textarea:focus").input_value() == f"{DRAFT}abc"
        assert len(looks) == 1
        assert loud == []
        assert held_items(project.store, "ann", now_s=time.time()) is not None  # fresh again
        page.context.close()


@contextmanager
def process(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """burnish ui as a process of its own, with a token that a new start keeps."""
    words = command("ui", "--project", folder, "--port", port, "--json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(BURNISH_UI_TOKEN=TOKEN)) as server:
        try:
            assert server.stdout is not None
            yield server, json.loads(server.stdout.readline())["port"]
        finally:
            server.kill()


def test_a_server_that_is_killed_on_the_way_loses_no_answer(browser, desk):
    items = [label_question(number) for number in range(3)]
    add_items(open_project(desk).store, items)
    page = browser.new_context().new_page()
    with process(desk, 0) as (server, port):
        page.goto(f"http://127.0.0.1:{port}/start?token={TOKEN}")
        page.goto(f"http://127.0.0.1:{port}/review")
        page.get_by_label("Your name").fill("ann")
        page.keyboard.press("Enter")
        listening(page)
        press(page, "1")
        saved(page)
        os.kill(server.pid, signal.SIGSTOP)
        press(page, "2")  # on its way to a server that never reads it
        asked(page, "number 2")
        os.kill(server.pid, signal.SIGKILL)
    page.get_by_text("Not saved yet").wait_for()
    assert len(held(desk)) == 1
    with process(desk, port):
        saved(page)
        press(page, "3")
        page.get_by_text("Every question is answered").wait_for()
    page.context.close()
    assert len(set(held(desk).values())) == 3
    assert len(review_log(open_project(desk).store)) == 3


@pytest.mark.parametrize("kind", ["label", "text", "pair"])
def test_no_text_of_a_question_runs(browser, tmp_path, kind, furnished):
    mark = " ".join(PAYLOADS)
    if kind == "label":
        folder = Path(shutil.copytree(furnished, tmp_path / "desk"))
        checked = {"queue": "correction", "draft": mark}
        add_items(open_project(folder).store, [label_question(0, mark), label_question(1, mark, **checked)])
    else:
        make = text_question if kind == "text" else pair_question
        folder = text_project(tmp_path / "letters", [make(0, mark), make(1, mark)]).folder
    with serving(folder) as access:
        page, loud = reviewer(browser, access, PAYLOADS[0])
        bare = browser.new_context(bypass_csp=True)
        bare.add_cookies(page.context.cookies())
        naked = bare.new_page()
        naked.goto(page.url)
        for visit in (naked, page):
            assert visit.evaluate("window.__xss") is None
            assert "window.__xss=1" in visit.locator("form.question").inner_text()
        press(page, "s" if kind == "text" else "1")
        saved(page)
        press(naked, "s")
        saved(naked)
        for visit in (naked, page):
            assert visit.evaluate("window.__xss") is None
            assert visit.locator("main script, main iframe, main object, main embed, main img").count() == 0
        assert [line for line in loud if "400" not in line] == []
        bare.close()
        page.context.close()


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (390, "dark")])
def test_it_fits_every_screen_and_leaves_nobody_out(browser, tmp_path, width, theme):
    long = " " + "x" * 300
    project = text_project(tmp_path / "letters", [text_question(0, long), pair_question(1, long)])
    with serving(project.folder) as access:
        screen = {"viewport": {"width": width, "height": 800}, "color_scheme": theme}
        page, loud = reviewer(browser, access, "ann", **screen)
        for _ in range(2):
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("h1").count() == 1
            assert violations(page) == []
            low = page.locator("main button:visible:not(.link)").evaluate_all("all => all.map(e => e.offsetHeight)")
            assert min(low) >= 40
            press(page, "s")
            saved(page)
        assert loud == []
        page.context.close()
