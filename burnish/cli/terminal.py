"""Talk on a terminal: bars for people, lines for logs, nothing when quiet. Talk goes to stderr, data to stdout."""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from burnish.cli.streams import Outlet
from burnish.errors import Interrupted
from burnish.talk import Advance, Silence, Talk, unheard

GO_ON = "run the same command again to go on from here"
LOG_EVERY_S = 10.0
"""Without a terminal a running bar says one line in this many seconds."""

CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, *range(128, 160)]) | {13: " "}
BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


ESCAPED = {code: f"\\u{code:04x}" for code in [*range(127, 160), *BIDI]}
"""The same characters as JSON may hold them: a script gets them back, a terminal never sees them."""


def plain(text: object) -> str:
    """Text without control, escape and direction characters, so that data can not drive the terminal."""
    return str(text).translate(CONTROL | BIDI)


class Stopper:
    """Ends the work at the second step after a stop was asked for: work that can save does so after the first."""

    def __init__(self, name: str, stop: Callable[[], bool]) -> None:
        self.name, self.stop = name, stop
        self.was_asked = False

    def check(self, done: int) -> None:
        """Raises Interrupted when a stop was asked for before the step that is just done."""
        if not done:
            return
        if self.was_asked:
            raise Interrupted(f"stopped in {self.name}", hint=GO_ON)
        self.was_asked = self.stop()


class QuietTalk(Silence):
    """Says nothing, and stops the work as the other talk does."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self.stop = stop

    @contextmanager
    def track(self, name: str, total: int, unit: str = "") -> Iterator[Advance]:
        """Gives a function that shows nothing and ends the work when a stop was asked for."""
        stopper = Stopper(name, self.stop)

        def advance(done: int, note: str) -> None:
            unheard(done, note)
            stopper.check(done)

        yield advance


class TerminalTalk:
    """Says lines and draws bars on stderr; a bar stops the work when Ctrl-C was pressed."""

    def __init__(self, *, stop: Callable[[], bool] = lambda: False) -> None:
        self.console = Console(file=_outlet(sys.stderr), highlight=False, soft_wrap=True)
        self.stop = stop

    def say(self, text: str) -> None:
        """A line of ordinary progress."""
        self.console.print(plain(text), markup=False)

    def warn(self, text: str) -> None:
        """A line that a user should not miss; the word carries it, not only the colour."""
        self.console.print(f"warning: {plain(text)}", style="yellow", markup=False)

    def step(self, name: str, steps: Sequence[str]) -> None:
        """Shows nothing: bars and lines name their own work."""

    @contextmanager
    def track(self, name: str, total: int, unit: str = "") -> Iterator[Advance]:
        """A bar with rate and time left on a terminal; lines with the same figures in a log."""
        has_bar = self.console.is_terminal and not self.console.is_dumb_terminal
        stopper = Stopper(name, self.stop)
        with self._bar(name, total, unit) if has_bar else self._log(name, total, unit) as move:

            def advance(done: int, note: str) -> None:
                move(done, note)
                stopper.check(done)

            yield advance

    @contextmanager
    def _bar(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        started = time.monotonic()
        with Progress(*columns, console=self.console, transient=False) as progress:
            bar = progress.add_task(name, total=total, note="", rate="")

            def advance(done: int, note: str) -> None:
                progress.advance(bar, done)
                finished = progress.tasks[0].completed
                rate = finished / max(time.monotonic() - started, 1e-6)
                progress.update(bar, note=plain(note), rate=f"{unit} {rate:,.0f}/s")

            yield advance

    @contextmanager
    def _log(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        started = said = time.monotonic()
        finished, last_note = 0, ""

        def advance(done: int, note: str) -> None:
            nonlocal said, finished, last_note
            finished, last_note = finished + done, note
            now = time.monotonic()
            if now - said >= LOG_EVERY_S:
                said = now
                left = (now - started) / max(finished, 1) * max(total - finished, 0)
                self.say(f"{name}: {finished:,}/{total:,} {unit}, about {left:.0f} s left  {note}")

        yield advance
        self.say(f"{name}: {finished:,} {unit} in {time.monotonic() - started:.1f} s  {last_note}")


def make_talk(*, quiet: bool, stop: Callable[[], bool] = lambda: False) -> Talk:
    """The talk that fits: none when quiet, else stderr."""
    return QuietTalk(stop) if quiet else TerminalTalk(stop=stop)


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object on the last line of stdout."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    _write(sys.stdout, json.dumps(data, ensure_ascii=not is_unicode, allow_nan=False).translate(ESCAPED))


def print_text(text: str) -> None:
    """Data for people or pipes on stdout, lines of plain text."""
    _write(sys.stdout, plain(text))


def print_found(data: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """What a command found: as one JSON object with its schema_version, or as lines for people."""
    print_json({"schema_version": 1, **data}) if as_json else print_text(text)


def tell(text: str) -> None:
    """A word on stderr that is no progress: an error, a hint, what to do next."""
    _write(sys.stderr, plain(text))


def print_table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """A table on stdout; every cell is plain text."""
    on_terminal = sys.stdout.isatty()
    has_style = on_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    table = Table(title=plain(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[plain(cell).replace("[", "\\[") for cell in row])
    page = io.StringIO()
    width = None if on_terminal else _asked_width()
    Console(file=page, highlight=False, width=width, force_terminal=has_style, no_color=not has_style).print(table)
    _write(sys.stdout, "\n".join(line.rstrip() for line in page.getvalue().rstrip("\n").split("\n")))


def _asked_width() -> int:
    columns = os.environ.get("COLUMNS", "")
    return max(int(columns), 40) if columns.isdecimal() else 120


def _outlet(stream: IO[str]) -> IO[str]:
    return cast(IO[str], Outlet(stream))


def _write(stream: IO[str], text: str) -> None:
    out = _outlet(stream)
    out.write(text + "\n")
    out.flush()
