"""Options that several commands share, and how a command opens its project."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from burnish.cli.terminal import make_talk
from burnish.talk import Talk

if TYPE_CHECKING:
    from burnish.loop.project import Project

ProjectOption = Annotated[Path, typer.Option("--project", "-p", help="Folder of the project.", show_default="here")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a setting for this call; repeatable.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]

HERE = Path()


def opened(folder: Path, overrides: list[str] | None = None) -> "Project":
    """The project in `folder`."""
    from burnish.loop.project import open_project

    return open_project(folder, overrides or ())


@contextmanager
def working(*, quiet: bool) -> Iterator[tuple[Talk, Callable[[], bool]]]:
    """A talk and a question "should I stop?": the first Ctrl-C asks the work to save and stop, the second ends it."""
    pressed = 0

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt
        talk.warn("stopping after this step; press Ctrl-C again to stop at once")

    def should_stop() -> bool:
        return pressed > 0

    talk = make_talk(quiet=quiet, stop=should_stop)
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(name, press) for name in names]
    try:
        yield talk, should_stop
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
