"""Runs a command that must not outlive its parent: when standard input ends, as the parent has died, so does all.

A script without any import of burnish, so that it starts in an instant: python -I leash.py COMMAND...
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

GENTLE_S = 10.0
"""Seconds between the request to end and the end."""


def main(words: list[str]) -> int:
    """Starts the command in a session of its own, and gives its exit code once nothing of it is left."""
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _tell(child, signal.SIGTERM))
    threading.Thread(target=_end_with_parent, args=(child,), daemon=True).start()
    code = child.wait()
    _tell(child, signal.SIGKILL)  # workers of its own, if it left some
    return code


def _end_with_parent(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):
        pass
    _tell(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GENTLE_S)
    _tell(child, signal.SIGKILL)


def _tell(child: "subprocess.Popen[bytes]", number: int) -> None:
    """A signal for the whole session of the command, whose group has its number."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
