"""The review queue at size: how long a reviewer waits for the next item, 20 of them at once, and whether all is kept.

    python -m benchmarks.ui [--items 100000] [--reviewers 20] [--cycles 30] [--think 1] [--places sqlite,postgresql]
                            [--http] [--json]

A queue of so many items, a tenth of it answered before, is worked by reviewers who think for so many seconds on the
mean (exponential), in one process with a thread for each, as the web server does. What is timed is what a page needs:
the project opened anew, the claim and the item's data as JSON (next), and the decision until it is on disk (decide);
with --http the page of a real server in another process, and its form.
Afterwards the log must hold each acknowledged decision once, no item more answers than it wants, and nothing else.
PostgreSQL is started from the system's package with its own defaults, so a commit is on disk there too.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sqlalchemy import insert

from benchmarks.line import tell
from benchmarks.machine import progress
from benchmarks.postgres import Unavailable, make_database, started
from benchmarks.review_page import Visitor, serving
from burnish.config import Settings
from burnish.data.dataset import add_files
from burnish.loop.project import create_project, open_project
from burnish.loop.reviewing import claim, decide
from burnish.records import Message, Task, as_json
from burnish.review.decisions import replay
from burnish.store.claims import Wish
from burnish.store.db import now
from burnish.store.review_state import rebuild_state
from burnish.store.reviews import Queue, ReviewItem, add_items, review_items, review_log
from burnish.store.server import VARIABLE
from burnish.store.store import Store
from burnish.store.tables import review_decision
from burnish.talk import Silence

LABELS = tuple(f"label {number}" for number in range(15))
QUEUES: tuple[Queue, ...] = ("blind", "correction", "correction", "preference")
KINDS = {"blind": "label", "correction": "accept", "preference": "prefer-a"}
ANSWERED = 0.1
DOUBLE = 0.15
CHECKS = 0.1


class Reviewed(NamedTuple):
    """One reviewer's work."""

    next_s: list[float]
    decide_s: list[float]
    decided: list[tuple[str, int]]
    """(item, turn) of each decision that was acknowledged."""


def items_of(count: int) -> list[ReviewItem]:
    """Items of about a kilobyte, of all queues, some for two reviewers, some hidden checks."""
    chance, found = random.Random(0), []
    for number in range(count):
        queue = QUEUES[number % len(QUEUES)]
        text = " ".join(f"word{chance.randrange(1000)}" for _ in range(80))
        draft = LABELS[number % len(LABELS)]
        found.append(
            ReviewItem(
                name=f"item-{number:07d}",
                queue=queue,
                purpose="gold",
                example=f"row-{number:07d}",
                role="dev_a" if queue == "blind" else "train",
                messages=(Message(role="user", content=f"{number} {text}"),),
                draft="" if queue == "blind" else draft,
                other="another answer" if queue == "preference" else "",
                given=draft,
                is_check=queue == "correction" and chance.random() < CHECKS,
                reason="Asked because the model is unsure of it.",
                value=chance.random(),
                wanted=2 if chance.random() < DOUBLE else 1,
            )
        )
    return found


def write_rows(path: Path) -> Path:
    """A few rows, from which the page takes the labels of the task."""
    rows = [
        {"text": f"where is the payment of week {number}", "label": LABELS[number % len(LABELS)]}
        for number in range(90)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def fill(store: Store, count: int, reviewers: Sequence[str]) -> None:
    """The queue, a tenth of it answered by the same reviewers before, item by item from the cheap end."""
    items = items_of(count)
    add_items(store, items)
    old = sorted(range(count), key=lambda number: items[number].value)[: round(ANSWERED * count)]
    rows = [
        {
            "item": number + 1,
            "reviewer": reviewers[(place + other) % len(reviewers)],
            "turn": 1,
            "kind": KINDS[items[number].queue],
            "counts": 1,
            "text": LABELS[0] if items[number].queue == "blind" else "",
            "note": "",
            "seconds": 20.0,
            "edit_distance": 0,
            "at": now(),
        }
        for place, number in enumerate(old)
        for other in range(items[number].wanted)
    ]
    with store.db.write() as connection:
        if rows:
            connection.execute(insert(review_decision), rows)
        rebuild_state(connection)


class Held(NamedTuple):
    """What a reviewer has on the screen."""

    item: str
    turn: int
    queue: Queue


class Door(Protocol):
    """A way to the queue for one reviewer."""

    def next(self) -> Held | None:
        """The next item with what a page shows of it; None: there is none."""

    def decide(self, held: Held) -> None:
        """Writes a decision down. Raises where it was refused."""


class Direct:
    """The queue as the server's own code asks it: the project opened anew each time, no HTTP."""

    def __init__(self, folder: Path, reviewer: str) -> None:
        self.folder, self.reviewer, self.task = folder, reviewer, Task(labels=LABELS)

    def next(self) -> Held | None:
        """The claim, and the item's data as JSON."""
        found = claim(open_project(self.folder), self.reviewer, now_s=time.time())
        if not found:
            return None
        (item, turn, _), _data = found[0], json.dumps(as_json(found[0].item))
        return Held(item.name, turn, item.queue)

    def decide(self, held: Held) -> None:
        """The decision, on disk."""
        wish = Wish(KINDS[held.queue], LABELS[0] if held.queue == "blind" else "", seconds=20.0)  # type: ignore[arg-type]
        project = open_project(self.folder)
        decide(project, self.task, held.item, self.reviewer, held.turn, wish, now_s=time.time())


class OverHttp:
    """The queue as the review page of a running server shows it."""

    def __init__(self, address: str, reviewer: str) -> None:
        self.visitor = Visitor(address, reviewer)

    def next(self) -> Held | None:
        """The whole page, as a browser gets it."""
        self.shown = self.visitor.next()
        if self.shown is None:
            return None
        return Held(self.shown.item, self.shown.turn, QUEUES[int(self.shown.item[5:]) % len(QUEUES)])

    def decide(self, held: Held) -> None:
        """The form, until the server sends the browser on."""
        assert self.shown is not None
        act = KINDS[held.queue]
        self.visitor.decide(self.shown, f"{act}:{LABELS[0]}" if held.queue == "blind" else act)


@contextmanager
def doors(folder: Path, *, over_http: bool) -> Iterator[Callable[[str], Door]]:
    """How reviewers come in."""
    if not over_http:
        yield partial(Direct, folder)
        return
    with serving(folder) as address:
        known: dict[str, Door] = {}
        yield lambda reviewer: known.setdefault(reviewer, OverHttp(address, reviewer))


def work(door: Door, reviewer: str, cycles: int, think_s: float) -> Reviewed:
    """A reviewer's cycles of next, think, decide. Raises what the door raises: nothing may be refused."""
    chance, done = random.Random(reviewer), Reviewed([], [], [])
    time.sleep(chance.random() * think_s)
    for _ in range(cycles):
        start = time.perf_counter()
        held = door.next()
        if held is None:
            break
        done.next_s.append(time.perf_counter() - start)
        time.sleep(chance.expovariate(1 / think_s) if think_s else 0.0)
        start = time.perf_counter()
        door.decide(held)
        done.decide_s.append(time.perf_counter() - start)
        done.decided.append((held.item, held.turn))
    return done


def together(
    open_door: Callable[[str], Door], reviewers: Sequence[str], cycles: int, think_s: float
) -> dict[str, Reviewed]:
    """All reviewers at once, a thread each. Raises AssertionError with the first failure of any."""
    found: dict[str, Reviewed] = {}
    failures: list[BaseException] = []

    def run(reviewer: str) -> None:
        try:
            found[reviewer] = work(open_door(reviewer), reviewer, cycles, think_s)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(reviewer,)) for reviewer in reviewers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, f"{len(failures)} reviewers were stopped, the first by: {failures[0]!r}"
    return found


def check_log(store: Store, found: dict[str, Reviewed], before: int) -> int:
    """Decisions acknowledged. Raises AssertionError unless the log holds each once, and no item more than it wants."""
    log = review_log(store)
    told = Counter((reviewer, *one) for reviewer, done in found.items() for one in done.decided)
    kept = Counter((entry.reviewer, entry.item, entry.turn) for entry in log[before:])
    assert told == kept, f"{sum((told - kept).values())} decisions are lost, {sum((kept - told).values())} are strange"
    answers = Counter(key.item for key in replay(log))
    wanted = {item.name: item.wanted for item in review_items(store)}
    over = [name for name, number in answers.items() if number > wanted[name]]
    assert not over, f"{len(over)} items have more answers than they want"
    return len(told)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """One queue, filled and worked."""
    reviewers = [f"reviewer {number}" for number in range(options.reviewers)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "desk"
        store = create_project(folder, Settings()).store
        add_files(store, Settings(), [write_rows(Path(place) / "rows.jsonl")], Silence(), skip_bad=False)
        start = time.perf_counter()
        fill(store, options.items, reviewers)
        filled_s, before = time.perf_counter() - start, len(review_log(store))
        with doors(folder, over_http=options.http) as open_door:
            together(open_door, reviewers, 1, 0.0)  # statements are compiled and connections are made once
            before += options.reviewers
            start = time.perf_counter()
            found = together(open_door, reviewers, options.cycles, options.think)
            seconds = time.perf_counter() - start
        kept, fsync = check_log(store, found, before), fsync_ms(folder)
        store.db.engine.dispose()
    return {
        "next_ms": _spread([one for done in found.values() for one in done.next_s]),
        "decide_ms": _spread([one for done in found.values() for one in done.decide_s]),
        "decisions": kept,
        "decisions_per_s": kept / seconds,
        "fill_s": filled_s,
        "fsync_ms": fsync,
    }


def fsync_ms(folder: Path) -> float:
    """What this disk takes to keep 4 kB, the median of 50 times: the limit of every commit."""
    seconds = []
    with (folder / "probe").open("wb") as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


@contextmanager
def database(kind: str) -> Iterator[None]:
    """Runs the block with projects in files, or on a server of its own."""
    if kind == "sqlite":
        yield
        return
    with started() as place:
        os.environ[VARIABLE] = make_database(place, "desk")
        try:
            yield
        finally:
            del os.environ[VARIABLE]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All places in turn; one that cannot be had is named with the reason."""
    found: dict[str, Any] = {}
    for kind in options.places.split(","):
        try:
            with database(kind):
                found[kind] = measured(options)
        except Unavailable as error:
            found[kind] = {"absent": str(error)}
        progress(f"{kind}: {found[kind]}")
    asked = {name: getattr(options, name) for name in ("items", "reviewers", "cycles", "think", "http")}
    return {"name": "ui", **asked, "places": found}


def shown(found: dict[str, Any]) -> str:
    """The findings as a Markdown table."""
    lines = [
        f"{found['items']:,} items, {found['reviewers']} reviewers at once, {found['think']} s of thought, "
        f"{'over HTTP' if found['http'] else 'without HTTP'}\n",
        "| database | next p50 | p95 | longest ms | decide p50 | p95 | longest ms | fsync | decisions kept |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, one in found["places"].items():
        if "absent" in one:
            lines.append(f"| {kind} | absent: {one['absent']} | | | | | | | |")
            continue
        cells = [f"{one[name][key]:.1f}" for name in ("next_ms", "decide_ms") for key in ("p50", "p95", "longest")]
        lines.append(f"| {kind} | {' | '.join(cells)} | {one['fsync_ms']:.1f} | all {one['decisions']:,} |")
    return "\n".join(lines)


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=20)
    return {"p50": 1000 * statistics.median(seconds), "p95": 1000 * cuts[-1], "longest": 1000 * max(seconds)}


def main() -> None:
    """Prints a table, or a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--reviewers", type=int, default=20)
    parser.add_argument("--cycles", type=int, default=30, help="decisions of each reviewer")
    parser.add_argument(
        "--think", type=float, default=1.0, help="mean seconds between an item and its decision; 0: none"
    )
    parser.add_argument("--places", default="sqlite,postgresql")
    parser.add_argument("--http", action="store_true", help="through the review page of a running server")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = run(options)
    tell(found, as_json=options.json, text=shown(found))


if __name__ == "__main__":
    main()
