"""The command `teacher`, and batches with one: what users see of an endpoint, good and bad."""

import pytest

from tests.cli.calls import burnish
from tests.loopback import fail, loopback
from tests.scholar import Scholar

PRICED = ("teacher.model=scripted-1", "teacher.usd_per_million_input=1", "teacher.usd_per_million_output=2")


def options(address: str, *more: str) -> list[str]:
    return [word for one in (f"teacher.base_url={address}", *PRICED, *more) for word in ("--set", one)]


def test_an_endpoint_is_shown_tried_and_its_replies_read(desk):
    with loopback(Scholar()) as server:
        told = options(server.address)
        shown = burnish("teacher", "--project", desk, *told, "--json").data
        assert server.asked == []
        tried = burnish("teacher", "--project", desk, *told, "--check", "--replies", "3", "--json", "--quiet").data
        text = burnish("teacher", "--project", desk, *told).out
    (endpoint,) = shown["endpoints"]
    assert endpoint["is_allowed"]
    assert endpoint["model"] == "scripted-1"
    assert shown["spent"] == {"usd": 0, "tokens": 0}
    (trial,) = tried["trials"]
    assert trial["fault"] == ""
    assert tried["spent"]["usd"] == pytest.approx(trial["usd"]) == pytest.approx(140e-6)
    assert len(tried["replies"]) == 1
    assert "none needed" in text
    assert "spent so far: 0.0001 USD" in text


def test_a_dry_run_tells_the_most_that_a_batch_can_cost_and_the_first_question(desk):
    with loopback(Scholar()) as server:
        call = burnish("synthesize", "--project", desk, "--rows", "8", "--dry-run", "--quiet", *options(server.address))
        data = burnish("synthesize", "--project", desk, "--rows", "8", "--dry-run", "--json", *options(server.address))
        assert server.asked == []
    assert "at most" in call.out
    assert "You write new messages" in call.out
    assert data.data["quote"]["most_usd"] > 0


@pytest.mark.parametrize(
    ("changes", "code", "told", "hint"),
    [
        (["teacher.base_url=file:///etc/passwd", "teacher.model=m"], 78, "is no address of a teacher", "http://local"),
        (["teacher.base_url=http://localhost:9/v1"], 78, "needs the name of a model", "burnish.yaml"),
        (["teacher.base_url=http://localhost:9/v1", "teacher.model=m"], 78, "teacher has no price", "teacher_tokens"),
        (["teacher.base_url=https://far.example/v1", *PRICED], 78, "which nobody allowed", "burnish teacher --allow"),
        (
            ["teacher.base_url=http://localhost:9/v1", *PRICED, "teacher.key_env=NO_SUCH_KEY"],
            78,
            "NO_SUCH_KEY, which shall hold the endpoint's key, is not set",
            "export NO_SUCH_KEY",
        ),
        ([], 78, "no teacher is set", "teacher.base_url"),
    ],
    ids=["scheme", "model", "price", "consent", "key", "none"],
)
def test_a_teacher_that_cannot_be_asked_ends_in_one_message(changes, code, told, hint, desk, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    words = [word for one in changes for word in ("--set", one)]
    call = burnish("teacher", "--project", desk, "--check", "--quiet", *words)
    assert (call.code, call.out) == (code, "")
    assert told in call.err
    assert f"hint: {hint}" in call.err or hint in call.err


def test_a_refusing_endpoint_is_told_with_exit_code_69_and_nothing_is_lost(desk):
    with loopback(lambda number, body: fail(401, "bad key")) as server:
        call = burnish("synthesize", "--project", desk, "--rows", "8", "--quiet", *options(server.address))
    assert call.code == 69
    assert "status 401: bad key" in call.err
    with loopback(Scholar()) as server:
        again = burnish("synthesize", "--project", desk, "--rows", "8", "--quiet", *options(server.address))
    assert again.code == 0


def test_allow_remembers_the_host_for_this_user(desk, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    words = options("https://far.example/v1")
    assert not burnish("teacher", "--project", desk, *words, "--json").data["endpoints"][0]["is_allowed"]
    assert burnish("teacher", "--project", desk, *words, "--allow", "--json").data["endpoints"][0]["is_allowed"]
