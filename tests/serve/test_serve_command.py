"""The command `serve`: it tells its address once the champion is loaded, ends gently, and survives a kill."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from openai import OpenAI

from burnish.registry import champion
from tests.cli.calls import burnish, command, environment
from tests.serve.town import user

KEY = "s" * 32


@contextmanager
def started(*words: object, **changes: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server process and what it told; killed at the end if it still runs."""
    environ = environment(BURNISH_SERVE_KEY=KEY, **changes)
    words = command("serve", *words, "--port", 0, "--json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def asking(told: dict[str, Any]) -> OpenAI:
    """A client of a server that told its address."""
    return OpenAI(base_url=told["url"], api_key=KEY, max_retries=0)


def test_a_killed_server_serves_the_same_champion_again_and_a_signal_lets_it_finish(project, twin, on_a_terminal):
    long = {"model": "ada", "messages": user("tell me all of it"), "max_tokens": 470}
    with (
        started("--project", project.folder) as (process, told),
        asking(told) as client,
        client.chat.completions.create(**long, stream=True) as stream,
    ):
        next(stream)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    with started(project.folder, twin.folder) as (process, told):
        assert told["version"] == champion(project.store).name
        assert [one["model"] for one in told["models"]] == ["small", "twin"]
        with asking(told) as client:
            assert client.chat.completions.create(model="zed", messages=user("x"), max_tokens=1).model == "zed"
            stream = client.chat.completions.create(**long | {"model": "small@ada"}, stream=True)
            next(stream)
            process.send_signal(signal.SIGTERM)
            pieces = list(stream)
            assert pieces[-1].choices[0].finish_reason in ("stop", "length")
            assert len(pieces) > 100
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        assert "Traceback" not in err
        assert KEY not in err
    log = (project.store.root / "logs" / "serve.log").read_text()
    assert "stored answers came out again" in log
    assert "tell me all of it" not in log
    assert "zed" not in log
    log = (twin.store.root / "logs" / "serve.log").read_text()
    assert "adapter 'zed' loaded" in log
    assert "'ada'" not in log


def test_it_does_not_listen_for_others_without_a_key_or_with_a_short_one(project, monkeypatch):
    call = burnish("serve", "--project", project.folder, "--host", "0.0.0.0", "--port", 0, "--json")
    assert (call.code, call.out) == (2, "")
    assert "BURNISH_SERVE_KEY" in call.err
    monkeypatch.setenv("BURNISH_SERVE_KEY", "short")
    assert burnish("serve", "--project", project.folder, "--port", 0).code == 2
    both = burnish("serve", project.folder, "--project", project.folder)
    assert both.code == 2
    assert "both named" in both.err


def test_without_a_project_or_a_champion_it_says_so(tmp_path, small_base):
    assert burnish("serve", "--project", tmp_path).code == 78
    assert burnish("init", tmp_path / "desk", "--base", small_base).code == 0
    assert burnish("serve", "--project", tmp_path / "desk", "--port", 0).code == 65  # no data yet


def test_asking_for_help_and_naming_the_command_loads_no_torch():
    code = "import sys, burnish.cli.serve, burnish.serve.guard; sys.exit('torch' in sys.modules)"
    assert subprocess.run([*command()[:1], "-c", code], check=False).returncode == 0
