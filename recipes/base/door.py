"""The door of the recipe's commands: a user's mistake ends in one clear message and its exit code, as in burnish."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from burnish.cli.streams import open_streams
from burnish.cli.terminal import tell
from burnish.errors import BurnishError, Interrupted


def enter(command: Callable[..., Any], name: str) -> None:
    """Runs the command with the arguments of this process, and ends the process with its exit code."""
    open_streams()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    try:
        app(prog_name=name)
    except BurnishError as error:
        tell(error.message if isinstance(error, Interrupted) else f"error: {error.message}")
        tell(f"hint: {error.hint}")
        sys.exit(error.exit_code)
