"""Runs a piece of a test in a forked process, which a failpoint may kill: much cheaper than a fresh Python."""

import os
import signal
import traceback
import warnings
from collections.abc import Callable

from burnish.errors import BurnishError
from burnish.store.failpoints import forget_hits

KILLED = -signal.SIGKILL
BUG = 99


def start_child(work: Callable[[], object], failpoints: str = "") -> int:
    """Process id of a child that runs `work` and exits with 0, a BurnishError's code, or 99 after a traceback."""
    with warnings.catch_warnings():
        # Python 3.12 warns when other threads run: the child uses none of their state.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = BUG
    try:
        os.environ["BURNISH_FAILPOINTS"] = failpoints
        forget_hits()
        work()
        code = 0
    except BurnishError as error:
        code = error.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def end_of(pid: int) -> int:
    """Exit code of the child, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(work: Callable[[], object], failpoints: str = "") -> int:
    """Exit code of a child that runs `work` to its end."""
    return end_of(start_child(work, failpoints))
