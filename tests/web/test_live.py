"""A round that runs in another process, seen in the browser while it runs; and the stream by itself."""

import fcntl
import json
import socket
import subprocess
import time
from contextlib import closing

import pytest
from starlette.testclient import TestClient

from burnish.records import as_json
from burnish.store.lock import mark_held, this_process
from burnish.store.progress import FILE, Progress
from burnish.web import live as live_page
from burnish.web.live import Live, live
from tests.cli.calls import command, environment
from tests.web.conftest import ACCESS, ORIGIN
from tests.web.live import serving
from tests.web.screen import visitor
from tests.web.trained import fresh

HOLDS_THE_LOCK = """
import sys, time
from pathlib import Path
from burnish.loop.project import followed, open_project
from burnish.talk import Silence
project = open_project(Path(sys.argv[1]))
with followed(project, Silence()) as talk:
    talk.step("train", ("look", "train", "decide"))
    with talk.track("<b>train</b>", 40, "steps"):
        print("working", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def working(site):
    """A process that holds the project and tells what it does."""
    words = [*command()[:1], "-c", HOLDS_THE_LOCK, str(site.project.folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout.readline() == b"working\n"
        yield process
        process.kill()


def test_a_running_step_is_on_the_first_pages_and_a_killed_run_is_told_as_such(site, working):
    assert live(site.project).state == "running"
    for path in ("/", "/rounds"):
        text = site.get(path).text
        assert '<li class="now" aria-current="step">train' in text
        assert "&lt;b&gt;train&lt;/b&gt;" in text
    working.kill()
    working.wait()
    assert live(site.project).state == "stopped"
    for path in ("/", "/rounds"):
        assert "stopped before it was done" in site.get(path).text
    assert "Run the same command again" in site.get("/").text


def test_a_file_of_somebody_else_is_not_believed(site):
    told = Progress(pid=1, command="main.py round", started="2026-01-01T00:00:00+00:00", steps=("a",))
    (site.project.store.root / FILE).write_text(json.dumps(as_json(told)))
    with site.project.store.lock():
        assert live(site.project).state == "busy"
        assert "A process works on the project" in site.get("/").text
    assert live(site.project).state == "stopped"


def test_a_good_end_is_told_to_those_who_watched(site):
    told = Progress(pid=1, command="main.py round", started="", steps=("a",))
    assert live(site.project).state == "idle"
    assert live(site.project, Live("running", told)).last.round == 1
    assert live(site.project, Live("running", told)).what == "a round"
    tune = Progress(pid=1, command="burnish tune --project /home/ann", started="")
    done = live(site.project, Live("running", tune))
    assert (done.state, done.last, done.what) == ("done", None, "burnish tune")
    assert live(site.project, done) is done


def test_a_lock_that_is_just_being_taken_is_no_work(site):
    running = Live("running", Progress(pid=0, command="main.py round", started="", steps=("a",)))
    with (site.project.store.root / "lock").open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        mark_held(file)
        assert site.project.store.holder() is not None
        assert live(site.project).state == "idle"
        assert live(site.project, running) is running
        assert "A process works" not in site.get("/").text


def test_between_its_last_word_and_its_end_a_command_still_runs(site):
    before = Live("running", Progress(pid=this_process().pid, command="main.py round", started="", steps=("a",)))
    with site.project.store.lock():
        assert live(site.project, before) is before
    assert live(site.project, before).state == "done"


def stream(access) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", access.port), timeout=10)
    wire.sendall(
        f"GET /rounds/live HTTP/1.1\r\nhost: 127.0.0.1:{access.port}\r\n"
        f"cookie: {access.cookie}={access.session}\r\n\r\n".encode()
    )
    return wire


def head_of(wire) -> bytes:
    said = b""
    while b"\r\n\r\n" not in said:
        more = wire.recv(2**16)
        if not more:
            break
        said += more
    return said


def test_streams_are_few_and_end_with_their_reader_and_with_the_server(site):
    with serving(site.project.folder) as access:
        open_streams = [stream(access) for _ in range(live_page.MOST_STREAMS)]
        for wire in open_streams:
            assert b"text/event-stream" in head_of(wire)
        with closing(stream(access)) as refused:
            assert head_of(refused).startswith(b"HTTP/1.1 503")
        for wire in open_streams:
            wire.close()
        ends = time.monotonic() + 5
        while True:
            wire = stream(access)
            if b"text/event-stream" in head_of(wire):
                break
            wire.close()
            assert time.monotonic() < ends
            time.sleep(0.1)
        started = time.monotonic()
    with closing(wire):
        while wire.recv(2**16):
            pass
    assert time.monotonic() - started < 2.5


def test_without_the_cookie_there_is_no_stream(site):
    from burnish.web.app import make_app

    client = TestClient(make_app(site.project.folder, ACCESS), base_url=ORIGIN)
    assert client.get("/rounds/live").status_code == 401


def test_a_killed_run_is_seen_to_stop(browser, site, working):
    with serving(site.project.folder) as access:
        page, loud = visitor(browser, access)
        place = page.locator("#live")
        place.locator("li.now", has_text="train").wait_for()
        assert place.locator("progress").get_attribute("aria-label") == "<b>train</b>"
        working.kill()
        place.get_by_text("stopped before it was done").wait_for()
        assert page.locator("#live-said").inner_text() == "A round stopped before it was done"
        assert loud == []
        page.context.close()


def test_a_real_round_is_seen_from_its_first_step_to_its_end(browser, tmp_path):
    project = fresh(tmp_path, **{"train.epochs": 40})
    words = command("round", "--project", project.folder, "--quiet")
    with serving(project.folder) as access:
        page, loud = visitor(browser, access)
        page.goto(f"http://127.0.0.1:{access.port}/rounds")
        place = page.locator("#live")
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment()):
            place.locator("li.now", has_text="train").wait_for(timeout=60_000)
            place.locator("progress").wait_for()
            place.get_by_text("loss").wait_for()
            assert place.locator("li.done").first.inner_text().startswith("check the data")
            place.get_by_text("A round is done.").wait_for(timeout=60_000)
        place.get_by_role("link", name="Round 1").click()
        page.wait_for_url("**/rounds/1")
        assert loud == []
        page.context.close()
    assert not (project.store.root / FILE).exists()
