"""The command `ui`: it tells its address, answers there and nowhere else, and ends cleanly."""

import json
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.calls import burnish, command, environment


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_one_address_answers_there_and_a_signal_ends_it_with_code_0(furnished, on_a_terminal, stop):
    words = command("ui", "--project", furnished, "--port", 0, "--json")
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as server:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        assert told["host"] == "127.0.0.1"
        with urllib.request.urlopen(told["url"], timeout=30) as answer:
            assert answer.status == 200
            assert "server" not in answer.headers
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.1:{told['port']}/", timeout=30)
        server.send_signal(stop)
        out, err = server.communicate(timeout=30)
        assert (server.returncode, out) == (0, "")
        assert told["url"] not in err
        assert "Traceback" not in err


def test_it_does_not_listen_for_others_without_a_token(furnished):
    call = burnish("ui", "--project", furnished, "--host", "192.0.2.7", "--json")
    assert (call.code, call.out) == (2, "")
    assert "BURNISH_UI_TOKEN" in call.err


def test_with_users_the_address_that_it_prints_holds_no_token(furnished, tmp_path):
    from burnish.loop.project import open_project
    from burnish.store.users import add_user

    folder = Path(shutil.copytree(furnished, tmp_path / "desk"))
    token = add_user(open_project(folder).store, "ann", "reviewer")
    words = command("ui", "--project", folder, "--port", 0)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert "token" not in url
        with urllib.request.urlopen(f"{url}start?token={token}", timeout=30) as answer:
            assert answer.status == 200
        server.send_signal(signal.SIGINT)
        assert "each user comes in by" in server.communicate(timeout=30)[1]


def test_without_a_project_it_says_so(tmp_path):
    assert burnish("ui", "--project", tmp_path).code == 78


def test_a_port_that_is_taken_is_a_mistake_with_a_hint(furnished):
    from burnish.web.server import listen

    with listen("127.0.0.1", 0) as bound:
        bound.listen(1)
        call = burnish("ui", "--project", furnished, "--port", bound.getsockname()[1], "--json")
    assert call.code == 2
    assert "another --port" in call.err


def test_the_pages_load_no_torch():
    code = "import sys, burnish.web.app, burnish.web.server; sys.exit('torch' in sys.modules)"
    assert subprocess.run([*command()[:1], "-c", code], check=False).returncode == 0
