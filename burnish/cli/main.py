"""The front of the command line: options that all commands share, and the one place where errors become exit codes."""

import errno
import os
import shlex
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer

from burnish import __version__
from burnish.cli import (
    attribute,
    ci,
    compare,
    data,
    deploy,
    diagnose,
    export,
    handoffs,
    inspect,
    judge,
    models,
    project,
    review,
    rounds,
    serve,
    slices,
    synthesize,
    teacher,
    traffic,
    tune,
    ui,
    users,
    watch,
)
from burnish.cli.health import MEND, NEEDED
from burnish.cli.options import hear
from burnish.cli.streams import open_streams
from burnish.cli.terminal import GO_ON, print_text, tell
from burnish.errors import AccessError, BurnishError, Interrupted, StorageError, UsageError

SPIN_TURNS = "1000"
"""How long a waiting thread of GNU's OpenMP spins before it gives up its core, read when torch loads. Its own default
halves two trainings on shared cores, or worse; not spinning costs a quiet machine a third
(docs/decisions/0005-waiting-threads.md)."""

DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)

app = typer.Typer(
    name="burnish",
    help="Fine-tune a language model in rounds: measure, train LoRA adapters, prove the gain, promote, repeat.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def tell_version(wanted: bool) -> None:
    """Prints the version and ends, when it is asked for."""
    if wanted:
        print_text(__version__)
        raise typer.Exit


@app.callback()
def front(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=tell_version, is_eager=True)
    ] = False,
) -> None:
    """Fine-tune a language model in rounds: measure, train LoRA adapters, prove the gain, promote, repeat."""


PARTS = (
    project,
    data,
    rounds,
    diagnose,
    handoffs,
    synthesize,
    review,
    teacher,
    judge,
    attribute,
    tune,
    models,
    export,
    ci,
    inspect,
    ui,
    serve,
    deploy,
    compare,
    traffic,
    users,
    watch,
    slices,
)

for part in PARTS:
    part.add_to(app)


def main() -> None:
    """Runs a command; a user's mistake ends in one clear message and its exit code, never in a traceback."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_TURNS)
    open_streams()
    before = hear(_interrupt)
    try:
        code = _run()
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    sys.exit(code)


def _run() -> int:
    try:
        code = app(prog_name="burnish", standalone_mode=False)
    except BurnishError as error:
        return _tell(error)
    except ModuleNotFoundError as error:
        return _tell(_not_installed(error))
    except OSError as error:
        return _tell(_of_the_system(error), cause=error)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _tell_misuse(error)
    if code == Interrupted.exit_code:  # how typer gives back a KeyboardInterrupt
        return _tell(Interrupted("stopped", hint=GO_ON))
    return code if isinstance(code, int) else 0


def _tell(error: BurnishError, *, cause: BaseException | None = None) -> int:
    """Says what is wrong and what to do, and returns the exit code."""
    if os.environ.get("BURNISH_DEBUG"):
        raise cause or error
    is_stop = isinstance(error, Interrupted)
    tell(error.message if is_stop else f"error: {error.message}")
    if error.hint:
        again = f"\n      {shlex.join(['burnish', *sys.argv[1:]])}" if is_stop else ""
        tell(f"\nhint: {error.hint}{again}")
    return error.exit_code


def _tell_misuse(error: Any) -> int:
    """The same for a command or an option that does not exist; a bare group shows its help."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if message.startswith("Usage:"):
        tell(message)
        return int(error.exit_code)
    path = context.command_path if context else "burnish"
    message = _with_what_was_found(message[:1].lower() + message[1:].rstrip("."), error.__cause__)
    return _tell(UsageError(message, hint=f"`{path} --help` shows what there is"))


def _with_what_was_found(message: str, cause: Any) -> str:
    """The message for a value out of range or of another type, with the value, which typer leaves out."""
    if not hasattr(cause, "errors"):
        return message
    found = str(cause.errors()[0]["input"])[:80]
    return message.replace("value for", f"value {found!r} for", 1).replace("Input should", "it should")


def _not_installed(error: ModuleNotFoundError) -> BurnishError:
    name = (error.name or "").partition(".")[0]
    if name not in NEEDED:
        raise error
    return BurnishError(
        f"{name} is not installed, and this command needs it",
        hint=f"{MEND}; `burnish doctor` shows what else is missing",
    )


def _of_the_system(error: OSError) -> BurnishError:
    """An error of the operating system that no part expected, as one that a user can act on."""
    where = f"{error.filename}: " if error.filename else ""
    message = f"{where}{error.strerror or error}"
    if error.errno in DENIED:
        return AccessError(message, hint="check its permissions, or choose another place")
    if error.errno in FULL:
        return StorageError(message, hint="free some space and run the same command again")
    if error.errno in IN_THE_WAY:
        return UsageError(message, hint="check the path, or choose another one")
    return StorageError(message, hint="BURNISH_DEBUG=1 shows where this happened")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM and SIGHUP stop the work as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
