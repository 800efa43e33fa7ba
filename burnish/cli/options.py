"""Options that several commands share, and how a command opens its project.

Parts that load torch are imported by a command only after its project is open, so that a mistake is told at once.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish.cli.terminal import make_talk
from burnish.errors import UsageError
from burnish.talk import Talk

if TYPE_CHECKING:
    from burnish.loop.project import Project

ProjectOption = Annotated[Path, typer.Option("--project", "-p", help="Folder of the project.", show_default="here")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a setting for this call; repeatable.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout.")]
QuoteOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would ask and cost at most; nothing is sent.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]

HERE = Path()
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPING = "\nstopping after this step; press Ctrl-C again to stop at once\n"


def opened(folder: Path, overrides: list[str] | None = None) -> "Project":
    """The project in `folder`; its settings are read before the store is loaded, so that a typo is told at once."""
    from burnish.settings.source import read_settings

    if (path := folder / "burnish.yaml").is_file():
        read_settings(path, overrides or ())
    from burnish.loop.project import open_project

    return open_project(folder, overrides or ())


def check_place(file: Path | None, endings: Sequence[str] = ()) -> None:
    """Raises UsageError for a file that cannot be written where or as it is asked for, before any work is done for it.

    `endings` are those that tell the form of the file, where it has several.
    """
    if file and endings and file.suffix.lower() not in endings:
        raise UsageError(f"{file.name} has no known ending", hint=f"name it {', '.join(endings[:-1])} or {endings[-1]}")
    if file and (file.is_dir() or not file.absolute().parent.is_dir()):
        what = f"{file} is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise UsageError(what, hint="name a file in a folder that exists")


def local_base(name: str | None, home: Path) -> str | None:
    """A base as burnish.yaml of the project folder `home` should hold it, so that it is found from everywhere.

    A folder inside the project is named from there, so that both can move together; any other by its full path.

    Raises ModelError at once for a folder or built-in model that is not there or not to be trusted; a hub id is looked
    at when it is loaded.
    """
    if name is None:
        return None
    place = Path(name).expanduser()
    if not name.startswith("builtin:") and not place.is_dir() and HUB_ID.fullmatch(name):
        return name
    from burnish.model.base import find_folder
    from burnish.model.folder import inspect_folder

    inspect_folder(find_folder(name, None), name)
    if name.startswith("builtin:"):
        return name
    folder, home = place.resolve(), home.resolve()
    return folder.relative_to(home).as_posix() if folder.is_relative_to(home) else str(folder)


def hear(stop: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Calls `stop` at Ctrl-C, SIGTERM and SIGHUP, and returns what they did before.

    A signal that this process was told to ignore, by nohup or a shell in the background, stays ignored.
    """
    before: dict[int, Any] = {name: signal.getsignal(name) for name in STOPS}
    for name, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(name, stop)
    return before


@contextmanager
def working(*, quiet: bool) -> Iterator[tuple[Talk, Callable[[], bool]]]:
    """A talk and a question "should I stop?": the first Ctrl-C asks the work to save and stop, the second ends it."""
    pressed = 0

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt
        if not quiet:
            with suppress(OSError):  # past the buffer of stderr, which may be in use at this very moment
                os.write(2, STOPPING.encode())

    def should_stop() -> bool:
        return pressed > 0

    before = hear(press)
    try:
        yield make_talk(quiet=quiet, stop=should_stop), should_stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
