"""Calls of the command line: in this process, which is quick, and as a real process, which can be signalled."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from burnish.cli.main import main


class Call(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object that is all of stdout."""
        assert self.err == "" or not self.err.startswith("error"), self.err
        assert len(self.out.splitlines()) == 1, self.out
        return json.loads(self.out)


def burnish(*words: object) -> Call:
    """Runs a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["burnish", *map(str, words)])
        with pytest.raises(SystemExit) as leave:
            main()
    assert isinstance(leave.value.code, int)
    return Call(leave.value.code, out.getvalue(), err.getvalue())


def command(*words: object) -> list[str]:
    """The command line of a real process."""
    return [sys.executable, "-m", "burnish.cli.main", *map(str, words)]


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with variables set, or taken away where the value is None."""
    changed = {**os.environ, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def run(*words: object, cwd: Path | None = None, **changes: str | None) -> Call:
    """Runs a command as a process of its own to its end."""
    done = subprocess.run(
        command(*words), capture_output=True, text=True, check=False, cwd=cwd, env=environment(**changes)
    )
    return Call(done.returncode, done.stdout, done.stderr)
