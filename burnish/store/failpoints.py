"""Named places where a test can kill the process or make an operation fail. Nothing happens unless a plan is set.

BURNISH_FAILPOINTS="name=kill,other=enospc@3" kills at every hit of `name`, raises ENOSPC at the third hit of `other`.
The name `*` stands for any failpoint, so `*=kill@n` for n = 1, 2, ... fails each operation in turn.
"""

import errno
import os
import signal
import time
from collections import Counter
from typing import NamedTuple, NoReturn

VARIABLE = "BURNISH_FAILPOINTS"
_hits: Counter[tuple[str, str]] = Counter()


class Fault(NamedTuple):
    """One entry of a plan."""

    name: str
    action: str
    """kill, int, term, enospc, eio, or sleep:SECONDS."""
    hit: int | None
    """Only at this hit, counted from 1 in this process; None: at every hit."""


def failpoint(name: str) -> None:
    """Does nothing, or what BURNISH_FAILPOINTS plans for this name: dies by a signal, raises OSError, or sleeps."""
    text = os.environ.get(VARIABLE)
    if not text:
        return
    for fault in plan(text):
        if fault.name not in (name, "*"):
            continue
        _hits[text, fault.name] += 1
        if fault.hit in (None, _hits[text, fault.name]):
            _act(fault, name)


def plan(text: str) -> list[Fault]:
    """The faults that a plan names. A plan that cannot be read is an AssertionError: only tests write plans."""
    return [_fault(entry.strip()) for entry in text.split(",") if entry.strip()]


def forget_hits() -> None:
    """Counts hits from zero again, for tests that run several plans in one process."""
    _hits.clear()


def _fault(entry: str) -> Fault:
    name, _, rest = entry.partition("=")
    action, at, hit = rest.partition("@")
    readable = action in ("kill", "int", "term", "enospc", "eio") or action.startswith("sleep:")
    assert readable, f"unknown action in failpoint {entry!r}"
    assert name, f"no name in failpoint {entry!r}"
    assert not at or hit.isdigit(), f"no hit number in failpoint {entry!r}"
    return Fault(name, action, int(hit) if at else None)


def _act(fault: Fault, name: str) -> None:
    if fault.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.action == "int":
        os.kill(os.getpid(), signal.SIGINT)
    elif fault.action == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    elif fault.action.startswith("sleep:"):
        time.sleep(float(fault.action.removeprefix("sleep:")))
    else:
        _fail(errno.ENOSPC if fault.action == "enospc" else errno.EIO, name)


def _fail(code: int, name: str) -> NoReturn:
    raise OSError(code, f"{os.strerror(code)} (failpoint {name})")
