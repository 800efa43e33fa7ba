"""What training takes on this machine, from a few real steps on the real rows: seconds by step and look, memory.

A probe is an ordinary run of `train` on few rows, so it goes the way of the run it is about. Memory needs more steps
than time: libraries keep something for each shape of batch they have met, and let go of nothing.
"""

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from burnish.errors import DataError, UsageError
from burnish.records import Candidate
from burnish.talk import Advance, Silence
from burnish.train.batch import Row, batch_of, epoch_order
from burnish.train.job import TrainJob
from burnish.train.run import train

TIMED_STEPS = 8
"""Steps that tell the time, after one that warms up: a window of batches, from short to long."""
MEMORY_STEPS = 24
"""Steps that tell the memory, in three equal parts."""
DEV_ROWS = 32
COUNTED_BATCHES = 64
"""Batches of an epoch whose histories are counted; the others are like them."""
SAMPLE_S = 0.004
"""Seconds between two looks at the memory of the process."""
CHECKPOINT_S = 1.0
"""A probe that takes longer writes a checkpoint on the way, as a long run does."""
ODD_TIMES = 3.0
"""A step that takes this many times the usual is not counted: a checkpoint, or another program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a bank of `slots` candidates takes."""

    slots: int
    step_s: float
    """Seconds of one optimiser step on a batch of the run, on average."""
    look_s_per_row: float
    """Seconds of measuring all slots on one dev row."""
    peak_bytes: int
    """Most memory of the process over a whole run, as far as the steps taken tell."""


def probe(job: TrainJob, slots: int, *, steps: int = TIMED_STEPS + 1) -> Probe:
    """Runs `steps` steps of a bank of `slots` of the job's candidates on rows drawn as an epoch draws them.

    Raises DataError for a job without rows, UsageError for no slots.
    """
    if not job.rows:
        raise DataError("there is no row to probe with", hint="add data: burnish data add FILE")
    if slots < 1 or not job.candidates:
        raise UsageError(f"a bank of {slots} slots can hold no candidate", hint="ask for one slot or more")
    small, clock = _few_steps(job, slots, steps), _Clock()
    with tempfile.TemporaryDirectory() as folder, watching_memory() as peak:
        train(replace(small, folder=Path(folder)), talk=clock)
        highest = peak()
    nodes = [_nodes([small.rows[index] for index in batch]) for batch in _epoch(small)]
    look_s = max(0.0, clock.said - clock.moves[-1]) if small.dev else 0.0
    return Probe(
        slots=slots,
        step_s=_s_per_node(clock.moves, nodes) * _mean_nodes(job),
        look_s_per_row=look_s / max(1, len(small.dev)),
        peak_bytes=highest + _still_to_come(clock.held),
    )


@contextmanager
def watching_memory() -> Iterator[Callable[[], int]]:
    """Gives a function that tells the most memory the process held since the beginning of the block, in bytes."""
    process, stop = psutil.Process(), threading.Event()
    highest = [process.memory_info().rss]

    def look() -> None:
        while not stop.wait(SAMPLE_S):
            highest[0] = max(highest[0], process.memory_info().rss)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: highest[0]
    finally:
        stop.set()
        thread.join()


class _Clock(Silence):
    """Notes when the training bar moved, what memory was held then, and when the first word came after it."""

    def __init__(self) -> None:
        self.moves: list[float] = []
        self.held: list[int] = []
        self.said = 0.0
        self.process = psutil.Process()

    def say(self, text: str) -> None:
        """The first line after the last step ends the look at dev."""
        if self.moves and not self.said:
            self.said = time.perf_counter()

    @contextmanager
    def track(self, name: str, total: int, unit: str = "") -> Iterator[Advance]:
        """Gives a function that notes time and memory."""

        def advance(done: int, note: str) -> None:
            self.moves.append(time.perf_counter())
            self.held.append(self.process.memory_info().rss)

        yield advance


def _few_steps(job: TrainJob, slots: int, steps: int) -> TrainJob:
    """The job on few rows for one epoch, the longest among them; copies of its candidates fill up the slots."""
    batches = _epoch(job)
    longest = max(range(len(job.rows)), key=lambda index: len(job.rows[index].tokens))
    batches.sort(key=lambda batch: longest not in batch)
    rows = [job.rows[index] for batch in batches[:steps] for index in batch]
    dev = sorted(job.dev, key=lambda row: -len(row.tokens))[:: max(1, len(job.dev) // DEV_ROWS)][:DEV_ROWS]
    known = list(job.candidates)
    tried: list[Candidate] = [replace(known[slot % len(known)], name=f"p{slot}") for slot in range(slots)]
    changes = {"epochs": 1, "checkpoint_every_s": CHECKPOINT_S, "finalists": slots}
    return replace(job, rows=rows, dev=dev, candidates=tried, train=job.train.model_copy(update=changes), referee=None)


def _s_per_node(moves: Sequence[float], nodes: Sequence[int]) -> float:
    """Seconds of a step for each distinct history in its batch, odd steps left out, and the first, which warms up."""
    seconds = [after - before for before, after in itertools.pairwise(moves)]
    timed = range(1, len(seconds)) if len(seconds) > 1 else range(len(seconds))
    usual = statistics.median(seconds[at] / nodes[at] for at in timed)
    kept = [at for at in timed if seconds[at] / nodes[at] <= ODD_TIMES * usual]
    return sum(seconds[at] for at in kept) / sum(nodes[at] for at in kept)


def _still_to_come(held: Sequence[int]) -> int:
    """Bytes that memory still grows by if each part of the steps adds the same share of what the last one added."""
    if len(held) <= MEMORY_STEPS:
        return 0
    third = (len(held) - 1) // 3
    start, middle, end = held[-1 - 2 * third], held[-1 - third], held[-1]
    first, last = middle - start, end - middle
    if last <= 0 or first <= 0:
        return 0
    share = min(0.8, last / first)
    return round(last * share / (1 - share))


def _epoch(job: TrainJob) -> list[list[int]]:
    return epoch_order([len(row.tokens) for row in job.rows], batch_size=job.train.batch_size, seed=job.seed, epoch=0)


def _nodes(rows: Sequence[Row]) -> int:
    """Distinct histories in a batch: what its cost is proportional to."""
    return len(batch_of(rows).histories.tokens_N)


def _mean_nodes(job: TrainJob) -> float:
    counted = _epoch(job)[:COUNTED_BATCHES]
    return sum(_nodes([job.rows[index] for index in batch]) for batch in counted) / len(counted)
