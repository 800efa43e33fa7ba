"""Ctrl-C, SIGTERM, a closed terminal: training is saved, the way on is printed, and the same command goes on."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from burnish.cli.options import hear, working
from burnish.cli.terminal import make_talk
from burnish.errors import Interrupted
from tests.cli.calls import burnish, command, environment
from tests.cli.conftest import make_project

LONG = {
    "train.epochs": 16,
    "train.patience": 16,
    "train.search": [1.0],
    "train.checkpoint_every_s": 0.02,
    "task.shots": 0,
}
"""Training of some seconds, whose checkpoints tell from outside how far it is."""


pytestmark = pytest.mark.usefixtures("on_a_terminal")


def checkpoints(folder: Path) -> set[str]:
    return {str(path) for path in (folder / ".burnish" / "work").glob("train-*/scratch/**/*")}


def round_until(folder: Path, number: signal.Signals) -> tuple[int, str, str]:
    """A real `burnish round`, signalled once it has trained and saved something: exit code, stdout, stderr."""
    before = checkpoints(folder)
    words = command("round", "--project", folder, "--json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as child:
        while child.poll() is None and checkpoints(folder) <= before:
            try:
                child.wait(timeout=0.01)
            except subprocess.TimeoutExpired:
                continue
        child.send_signal(number)
        out, err = child.communicate()
    return child.returncode, out, err


@pytest.mark.slow
def test_a_stopped_round_is_saved_and_the_same_command_goes_on_to_the_same_weights(here, small_base):
    undisturbed = make_project(here / "undisturbed", small_base, 90, LONG)
    disturbed = make_project(here / "disturbed", small_base, 90, LONG)
    reached = 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        code, out, err = round_until(disturbed, number)
        assert (code, out) == (130, ""), err
        stopped = re.search(r"^training stopped at step (\d+) of \d+; nothing is lost$", err, re.MULTILINE)
        assert stopped, err
        assert "press Ctrl-C again to stop at once" in err
        assert f"hint: run the same command again to go on from step {stopped[1]}\n" in err
        assert f"      burnish round --project {disturbed} --json\n" in err
        assert "Traceback" not in err
        if reached:
            assert f"going on from step {reached} of" in err
        assert int(stopped[1]) > reached
        reached = int(stopped[1])
    call = burnish("round", "--project", disturbed, "--json")
    assert f"going on from step {reached} of" in call.err
    assert call.data["challenger_hash"] == burnish("round", "--project", undisturbed, "--json").data["challenger_hash"]
    stages = json.loads(burnish("status", "--project", disturbed, "--json").out)["stages"]
    assert [stage["attempts"] for stage in stages if stage["stage"] == "train"] == [4]


def test_the_first_signal_asks_and_the_second_ends_at_once(capfd):
    with working(quiet=False) as (_, should_stop):
        assert not should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert should_stop()
        assert "press Ctrl-C again to stop at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_afterwards_signals_do_what_they_did_before():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with working(quiet=True):
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    burnish("--version")
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_signal_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        hear(lambda number, frame: None)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.mark.parametrize("quiet", [True, False])
def test_work_that_can_save_has_a_step_to_do_so_before_it_is_ended(quiet):
    asked = False
    with make_talk(quiet=quiet, stop=lambda: asked).track("score", 10, "rows") as advance:
        advance(1, "")
        asked = True
        advance(1, "")
        with pytest.raises(Interrupted, match="stopped in score") as stopped:
            advance(1, "")
    assert stopped.value.exit_code == 130
    assert stopped.value.hint


def test_an_interrupt_outside_of_work_is_told_with_the_command_to_repeat(desk):
    """The second Ctrl-C reaches the front door; typer makes it an exit code, which must not be mute."""
    words = command("data", "add", "-", "--project", "desk")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        said = ""
        child.send_signal(signal.SIGINT) if waits_for_input(child) else None
        while "press Ctrl-C again" not in said and child.poll() is None:
            said += child.stderr.readline()
        child.send_signal(signal.SIGINT)
        said += child.stderr.read()
        child.stdin.close()
    assert child.returncode == 130
    assert said.endswith(
        "stopped\n\nhint: run the same command again to go on from here\n      burnish data add - --project desk\n"
    )


def waits_for_input(child: subprocess.Popen[str]) -> bool:
    """Waits until the process sleeps in a read of its standard input."""
    while child.poll() is None:
        if Path(f"/proc/{child.pid}/wchan").read_text(encoding="ascii").endswith("pipe_read"):
            return True
        try:
            child.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            continue
    return False
