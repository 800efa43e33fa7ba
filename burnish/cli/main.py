"""The front of the command line: options that all commands share, and the one place where errors become exit codes."""

import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from burnish import __version__
from burnish.cli import data, inspect, models, project, rounds
from burnish.cli.terminal import plain, print_text
from burnish.errors import BurnishError, Interrupted

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


for part in (project, data, rounds, models, inspect):
    part.add_to(app)


def main() -> None:
    """Runs a command; a user's mistake ends in one clear message and its exit code, never in a traceback."""
    _stop_on_signals()
    try:
        code = app(standalone_mode=False)
    except BurnishError as error:
        sys.exit(_tell(error))
    except KeyboardInterrupt:
        sys.exit(_tell(Interrupted("stopped", hint="run the same command again to go on from here")))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (typer.Exit, SystemExit) as leave:
        sys.exit(getattr(leave, "exit_code", getattr(leave, "code", 0)))
    except Exception as error:
        if not hasattr(error, "exit_code") or "--debug" in sys.argv or os.environ.get("BURNISH_DEBUG"):
            raise
        error.show() if hasattr(error, "show") else None
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _tell(error: BurnishError) -> int:
    if os.environ.get("BURNISH_DEBUG"):
        raise error
    sys.stderr.write(f"error: {plain(error.message)}\n")
    if error.hint:
        sys.stderr.write(f"\nhint: {plain(error.hint)}\n")
    return error.exit_code


def _stop_on_signals() -> None:
    """SIGTERM and SIGHUP stop the work as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop)


if __name__ == "__main__":
    main()
