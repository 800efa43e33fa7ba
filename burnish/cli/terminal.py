"""Talk on a terminal: bars for people, lines for logs, nothing when quiet. Talk goes to stderr, data to stdout."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from burnish.errors import Interrupted
from burnish.talk import Advance, Silence, Talk

LOG_EVERY_S = 10.0
"""Without a terminal a running bar says one line in this many seconds."""

CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, *range(128, 160)]) | {13: " "}
BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def plain(text: object) -> str:
    """Text without control, escape and direction characters, so that data can not drive the terminal."""
    return str(text).translate(CONTROL | BIDI)


class TerminalTalk:
    """Says lines and draws bars on stderr; a bar stops the work when Ctrl-C was pressed."""

    def __init__(self, *, stop: Callable[[], bool] = lambda: False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.stop = stop

    def say(self, text: str) -> None:
        """A line of ordinary progress."""
        self.console.print(plain(text), markup=False)

    def warn(self, text: str) -> None:
        """A line that a user should not miss; the word carries it, not only the colour."""
        self.console.print(f"warning: {plain(text)}", style="yellow", markup=False)

    @contextmanager
    def track(self, name: str, total: int, unit: str = "") -> Iterator[Advance]:
        """A bar with rate and time left on a terminal; lines with the same figures in a log."""
        with self._bar(name, total, unit) if self.console.is_terminal else self._log(name, total, unit) as move:

            def advance(done: int, note: str) -> None:
                move(done, note)
                if self.stop():
                    raise Interrupted(f"stopped in {name}", hint="run the same command again to go on from here")

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
    return Silence() if quiet else TerminalTalk(stop=stop)


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object on the last line of stdout."""
    print_text(json.dumps(data, ensure_ascii=False, allow_nan=False))


def print_text(text: str) -> None:
    """Data for people or pipes on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """A table on stdout; every cell is plain text."""
    table = Table(title=plain(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[plain(cell).replace("[", "\\[") for cell in row])
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "120"))
    Console(highlight=False, width=width).print(table)
