"""The review page at size: how long a reviewer waits for the next item, 20 of them at once, and whether all is kept.

    python -m benchmarks.ui [--items 100000] [--crowds 1:0.5,20:8] [--decisions 160] [--places sqlite,postgresql]
                            [--direct] [--json]

A queue of so many items, a tenth of it answered before, is worked by crowds in turn: so many reviewers at once, who
think for so many seconds on the mean (exponential). `burnish ui` runs in a process of its own, and each reviewer is a
thread that asks for the whole page (next), makes a connection for it as a browser does after a long thought, and sends
the page's form until the decision is on disk (decide). With --direct the threads ask the server's own code, no HTTP.
Afterwards the log must hold each acknowledged decision once, no item more answers than it wants, and nothing else.
Then one reviewer loads the page 50 times without a thought: the server's processor time of a page, which a machine that
others use does not change much, and what it waited for a core beside it. PostgreSQL is started from the system's
package with its own defaults, so a commit is on disk there too; its processes are not in the server's time.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchmarks.line import tell
from benchmarks.machine import progress
from benchmarks.postgres import Unavailable, make_database, started
from benchmarks.review_page import Server, Visitor, serving
from benchmarks.review_queue import KINDS, LABELS, fill, queue_of, write_rows
from burnish.config import Settings
from burnish.data.intake import add_files
from burnish.loop.project import create_project, open_project
from burnish.loop.reviewing import claim, decide
from burnish.records import Task, as_json
from burnish.review.decisions import replay
from burnish.store.claims import Wish
from burnish.store.reviews import Queue, answered_items, review_log
from burnish.store.server import VARIABLE
from burnish.store.store import Store
from burnish.talk import Silence

PAGES_ALONE = 50


class Crowd(NamedTuple):
    """Reviewers who work at once."""

    reviewers: int
    think_s: float


class Reviewed(NamedTuple):
    """One reviewer's work."""

    next_s: list[float]
    decide_s: list[float]
    decided: list[tuple[str, int]]
    """(item, turn) of each decision that was acknowledged."""


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
        return None if self.shown is None else Held(self.shown.item, self.shown.turn, queue_of(self.shown.item))

    def decide(self, held: Held) -> None:
        """The form, until the server sends the browser on."""
        assert self.shown is not None
        act = KINDS[held.queue]
        self.visitor.decide(self.shown, f"{act}:{LABELS[0]}" if held.queue == "blind" else act)


class Entrance(NamedTuple):
    """How reviewers come in: each name has one door."""

    open: Callable[[str], Door]
    server: Server | None
    """None: there is no server between."""


@contextmanager
def entrance(folder: Path, *, is_direct: bool) -> Iterator[Entrance]:
    """Lets reviewers in while the block runs."""
    if is_direct:
        yield Entrance(partial(Direct, folder), None)
        return
    with serving(folder) as server:
        known: dict[str, Door] = {}
        yield Entrance(lambda name: known.setdefault(name, OverHttp(server.address, name)), server)


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


def together(doors: Mapping[str, Door], cycles: int, think_s: float) -> dict[str, Reviewed]:
    """All reviewers at once, a thread each. Raises AssertionError with the first failure of any."""
    found: dict[str, Reviewed] = {}
    failures: list[BaseException] = []

    def run(reviewer: str, door: Door) -> None:
        try:
            found[reviewer] = work(door, reviewer, cycles, think_s)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=one) for one in doors.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, f"{len(failures)} reviewers were stopped, the first by: {failures[0]!r}"
    return found


def check_log(store: Store, found: Sequence[tuple[str, Reviewed]], before: int) -> int:
    """Decisions acknowledged. Raises AssertionError unless the log holds each once, and no item more than it wants."""
    log = review_log(store)
    told = Counter((reviewer, *one) for reviewer, done in found for one in done.decided)
    kept = Counter((entry.reviewer, entry.item, entry.turn) for entry in log[before:])
    assert told == kept, f"{sum((told - kept).values())} decisions are lost, {sum((kept - told).values())} are strange"
    answers = Counter(key.item for key in replay(log))
    wanted = {item.name: item.wanted for item in answered_items(store)}
    over = [name for name, number in answers.items() if number > wanted[name]]
    assert not over, f"{len(over)} items have more answers than they want"
    return len(told)


def measured(items: int, crowds: Sequence[Crowd], decisions: int, *, is_direct: bool = False) -> dict[str, Any]:
    """One queue, filled, and worked by the crowds in turn, each with about so many decisions."""
    reviewers = [f"reviewer {number}" for number in range(max(crowd.reviewers for crowd in crowds))]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "desk"
        store = create_project(folder, Settings()).store
        add_files(store, Settings(), [write_rows(Path(place) / "rows.jsonl")], Silence(), skip_bad=False)
        fill(store, items, reviewers)
        before, told, found = len(review_log(store)), list[tuple[str, Reviewed]](), []
        with entrance(folder, is_direct=is_direct) as way:
            doors = {name: way.open(name) for name in reviewers}
            told += together(doors, 1, 0.0).items()  # statements are compiled and connections are made once
            for crowd in crowds:
                own = {name: doors[name] for name in reviewers[: crowd.reviewers]}
                load, start = os.getloadavg()[0], time.perf_counter()
                done = together(own, max(1, decisions // crowd.reviewers), crowd.think_s)
                told += done.items()
                found.append(_of_crowd(crowd, done, load, time.perf_counter() - start))
            alone = _alone(doors[reviewers[0]], way.server) if way.server else {}
        kept, fsync = check_log(store, told, before), fsync_ms(folder)
        store.db.engine.dispose()
    return {"crowds": found, "alone": alone, "kept": kept, "fsync_ms": fsync}


def _of_crowd(crowd: Crowd, done: Mapping[str, Reviewed], load: float, seconds: float) -> dict[str, Any]:
    num = sum(len(one.decided) for one in done.values())
    return {
        **crowd._asdict(),
        "decisions": num,
        "decisions_per_s": num / seconds,
        "load": load,
        "next_ms": _spread([one for own in done.values() for one in own.next_s]),
        "decide_ms": _spread([one for own in done.values() for one in own.decide_s]),
    }


def _alone(door: Door, server: Server) -> dict[str, float]:
    """Milliseconds of a page with nobody beside: what it took, the server's processor time, its waits for a core."""
    door.next()
    seconds, before = [], server.times()
    for _ in range(PAGES_ALONE):
        start = time.perf_counter()
        door.next()
        seconds.append(time.perf_counter() - start)
    after = server.times()
    cpu, waited = (1000 * (late - early) / PAGES_ALONE for early, late in zip(before, after, strict=True))
    return {**_spread(seconds), "cpu": cpu, "waited": waited}


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
    crowds = [
        Crowd(int(number), float(think)) for number, think in (one.split(":") for one in options.crowds.split(","))
    ]
    for kind in options.places.split(","):
        try:
            with database(kind):
                found[kind] = measured(options.items, crowds, options.decisions, is_direct=options.direct)
        except Unavailable as error:
            found[kind] = {"absent": str(error)}
        progress(f"{kind}: {found[kind]}")
    return {"name": "ui", "items": options.items, "direct": options.direct, "places": found}


def shown(found: dict[str, Any]) -> str:
    """The findings as Markdown tables."""
    way = "without HTTP" if found["direct"] else "over HTTP"
    lines = [f"{found['items']:,} items, {way}\n"]
    lines += [
        "| database | reviewers | thought s | load | next p50 | p95 | longest ms | decide p50 | p95 | longest ms |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    there = {kind: one for kind, one in found["places"].items() if "absent" not in one}
    for kind, one in there.items():
        for crowd in one["crowds"]:
            cells = [kind, crowd["reviewers"], crowd["think_s"], f"{crowd['load']:.1f}"]
            cells += [f"{crowd[act][key]:.1f}" for act in ("next_ms", "decide_ms") for key in ("p50", "p95", "longest")]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    for kind, one in there.items():
        alone = one["alone"]
        if alone:
            lines.append(
                f"\n{kind}: a page alone {alone['p50']:.1f} ms (p95 {alone['p95']:.1f}), the server's processor time "
                f"of it {alone['cpu']:.1f} ms, its waits for a core {alone['waited']:.1f} ms"
            )
        lines.append(f"\n{kind}: all {one['kept']:,} decisions kept, each once; fsync {one['fsync_ms']:.1f} ms")
    lines += [f"\n{kind}: absent, {one['absent']}" for kind, one in found["places"].items() if "absent" in one]
    return "\n".join(lines)


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50": 1000 * statistics.median(seconds), "p95": 1000 * cuts[-1], "longest": 1000 * max(seconds)}


def main() -> None:
    """Prints tables, or a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--crowds", default="1:0.5,20:8", help="reviewers at once : mean seconds of thought, ...")
    parser.add_argument("--decisions", type=int, default=160, help="of each crowd")
    parser.add_argument("--places", default="sqlite,postgresql")
    parser.add_argument("--direct", action="store_true", help="the server's own code, no HTTP")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = run(options)
    tell(found, as_json=options.json, text=shown(found))


if __name__ == "__main__":
    main()
