"""Closed, piped, dumb, ASCII and full streams, no home: no traceback, no escape codes, and the right exit code."""

import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calls import burnish, command, environment, run

PLACES: dict[str, dict[str, str | None]] = {
    "no home": {"HOME": None},
    "a home that is not there": {"HOME": "/proc/nowhere"},
    "the C locale": {"LC_ALL": "C", "LANG": "C"},
    "ASCII streams": {"PYTHONIOENCODING": "ascii"},
    "a dumb terminal": {"TERM": "dumb"},
    "odd columns": {"COLUMNS": "wide"},
}


def in_shell(tail: str, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = shlex.join(command(*words)) + tail
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=cwd)


def on_terminal(words: list[str], cwd: Path, **changes: str | None) -> tuple[int, str]:
    """Exit code and all that a command wrote to its terminal."""
    parent, child = pty.openpty()
    process = subprocess.Popen(words, stdin=child, stdout=child, stderr=child, cwd=cwd, env=environment(**changes))
    os.close(child)
    seen = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        seen += piece
    os.close(parent)
    return process.wait(), seen.decode()


@pytest.mark.parametrize("place", PLACES)
def test_a_command_works_with(place, desk, here):
    call = run("status", "--project", "desk", cwd=here, **PLACES[place])
    assert (call.code, call.err) == (0, "")
    assert "INCONCLUSIVE" in call.out
    assert "\x1b" not in call.out


def test_a_model_is_loaded_without_a_home_and_shown_in_ascii(desk, here):
    call = run(
        "data",
        "render",
        "--project",
        "desk",
        "--json",
        cwd=here,
        HOME="/proc/nowhere",
        PYTHONIOENCODING="ascii",
        LC_ALL="C",
    )
    assert call.code == 0, call.err
    assert "Traceback" not in call.err
    assert call.out.isascii()
    assert "\u27e6" in json.loads(call.out)["text"]


def test_a_reader_that_went_away_is_no_error(desk, here):
    words = command("data", "show", "--limit", "10000", "--json", "--project", "desk")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 0


def test_a_closed_stdout_or_stderr_is_no_error_and_keeps_the_exit_code(desk, here):
    done = in_shell(" >&-", "round", "--project", "desk", "--quiet", cwd=here)
    assert (done.returncode, done.stderr) == (6, "")
    done = in_shell(" 2>&-", "status", "--project", "nowhere", cwd=here)
    assert (done.returncode, done.stdout) == (78, "")
    done = in_shell(" <&- >&- 2>&-", "status", "--project", "desk", cwd=here)
    assert done.returncode == 0
    assert burnish("status", "--project", "desk").code == 0  # nothing was written into the database


def test_a_full_disk_under_stdout_is_told_with_exit_code_73(desk, here):
    done = in_shell(" >/dev/full", "status", "--project", "desk", cwd=here)
    assert done.returncode == 73
    assert done.stderr == "error: No space left on device\n\nhint: free some space and run the same command again\n"


@pytest.mark.parametrize("changes", [{"NO_COLOR": "1"}, {"TERM": "dumb", "NO_COLOR": None}])
def test_a_terminal_without_colour_gets_no_escape_codes_from_a_reading_command(changes, desk, here):
    code, seen = on_terminal(command("status", "--project", "desk"), cwd=here, **changes)
    assert code == 0
    assert "INCONCLUSIVE" in seen
    assert "\x1b" not in seen


BAR = """
from burnish.cli.terminal import make_talk
with make_talk(quiet=False).track("score", 90, "rows") as advance:
    for _ in range(90):
        advance(1, "")
"""


@pytest.mark.parametrize(("term", "has_bar"), [("dumb", False), ("xterm", True)])
def test_a_terminal_gets_a_bar_and_a_dumb_one_lines(term, has_bar, here):
    code, seen = on_terminal([sys.executable, "-c", BAR], cwd=here, TERM=term, NO_COLOR=None)
    assert code == 0
    assert ("90/90" in seen) is has_bar
    assert ("score: 90 rows in" in seen) is not has_bar
    assert ("\x1b[" in seen) is has_bar


def test_a_log_whose_reader_went_away_does_not_end_the_work(here):
    words = [sys.executable, "-c", BAR + "print('done')"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stderr.close()
        assert child.stdout.read() == "done\n"
    assert child.returncode == 0
