"""Drift on real sets: false alarms while nothing changes, and how soon foreign texts are told, beside Evidently.

    python -m benchmarks.drift --data FOLDER [--evidently PYTHON] [--windows 200] [--json]

FOLDER holds one folder a set with SPLIT.jsonl.gz files. A world is a set whose training rows fit the space and whose
other rows are dealt out anew for each run: some as the reference, the rest as traffic. Windows of 200 take foreign
texts at the share named, in random places. PYTHON is an interpreter of an environment of its own that holds Evidently;
it sees the same reference and windows. Without it that column is left out.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from burnish.monitor.alarms import Budget
from burnish.monitor.space import Space, place, space_of
from burnish.monitor.window import Reference, Window, first_bets, look_at
from burnish.stats.rates import clopper_pearson

SIZE = 200
SHARES = (0.05, 0.1, 0.2, 0.5)
LONGEST = 6
"""Windows after which a drift that was not told counts as missed."""
RUNS = 6
"""Runs for each strength."""
BUDGET = Budget(alpha=0.05, windows=50)
FLOOR = 0.55


class World(NamedTuple):
    """A set as traffic, and others as what comes in."""

    name: str
    train: str
    traffic: tuple[str, ...]
    reference: int
    """Rows held out as the reference."""
    foreign: dict[str, str]
    """Name to file."""


WORLDS = (
    World(
        "clinc150",
        "clinc150/train",
        ("clinc150/val", "clinc150/test"),
        1000,
        {"its out-of-scope": "clinc150/oos_test", "hwu64": "hwu64/train", "sms_spam": "sms_spam/train"},
    ),
    World(
        "clinc_banking",
        "clinc_banking_oos/train",
        ("clinc_banking_oos/valid", "clinc_banking_oos/test"),
        300,
        {"near out-of-scope": "clinc_banking_oos/id_oos_test", "far out-of-scope": "clinc_banking_oos/ood_oos_test"},
    ),
)
MOST_TRAIN = 3000

Run = tuple[list[str], list[list[str]]]
"""Texts of the reference, and of each window."""


class Told(NamedTuple):
    """What a detector said of a window."""

    signals: frozenset[str]
    input_p: float
    wealth: float


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BURNISH_REAL_DATA", ""))
    parser.add_argument("--evidently", default="", help="Python of an environment with evidently")
    parser.add_argument("--windows", type=int, default=200, help="windows without drift, in each world")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = [measure(world, asked.data, asked.windows, asked.evidently) for world in WORLDS]
    print(json.dumps(found) if asked.json else "\n".join(line for one in found for line in shown(one)))


def measure(world: World, data: Path, windows: int, python: str) -> dict[str, object]:
    """Everything about one world, as plain data."""
    rng = random.Random(0)
    train, traffic = read(data, world.train), [text for file in world.traffic for text in read(data, file)]
    space = space_of(rng.sample(train, min(MOST_TRAIN, len(train))), 0)
    calm = list(without_drift(world, traffic, windows, rng))
    told = [windows_of(space, run, seed) for seed, run in enumerate(calm)]
    lines: dict[str, object] = {"world": world.name, "calm": calmness(told)}
    print(world.name, lines["calm"], file=sys.stderr, flush=True)
    asked = {"calm": [(held, [window]) for held, some in calm for window in some]}
    for name, file in world.foreign.items():
        others = read(data, file)
        for share in SHARES:
            runs = [drifting(world, traffic, others, share, rng) for _ in range(RUNS)]
            told = [windows_of(space, run, seed, until_alarm=True) for seed, run in enumerate(runs)]
            asked[f"{name} {share}"] = [(held, some[:1]) for held, some in runs]
            lines[f"{name} {share}"] = {"delays": [delay(one) for one in told]}
            print(world.name, name, share, lines[f"{name} {share}"], file=sys.stderr, flush=True)
    return {**lines, "evidently": ask(python, asked)}


def read(data: Path, file: str) -> list[str]:
    """The texts of a split, each once."""
    with gzip.open(data / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return list(dict.fromkeys(json.loads(line)["text"] for line in lines))


def without_drift(world: World, traffic: Sequence[str], windows: int, rng: random.Random) -> Iterator[Run]:
    """Runs of windows that share no row with one another nor with the reference, until there are so many windows."""
    a_run = min(10, (len(traffic) - world.reference) // SIZE)
    while windows > 0:
        mixed = rng.sample(traffic, len(traffic))
        count = min(a_run, windows)
        starts = range(world.reference, world.reference + count * SIZE, SIZE)
        yield mixed[: world.reference], [mixed[start : start + SIZE] for start in starts]
        windows -= count


def drifting(world: World, traffic: Sequence[str], others: Sequence[str], share: float, rng: random.Random) -> Run:
    """A run in which every window holds so many foreign texts; own rows come again where there are too few."""
    mixed = rng.sample(traffic, len(traffic))
    pool, foreign = mixed[world.reference :], round(share * SIZE)
    windows = []
    for _ in range(LONGEST):
        window = rng.sample(pool, SIZE - foreign) + rng.sample(others, foreign)
        windows.append(rng.sample(window, SIZE))
    return mixed[: world.reference], windows


def windows_of(space: Space, run: Run, seed: int, *, until_alarm: bool = False) -> list[Told]:
    """What the monitor says of each window of a run, as `burnish watch` would; on demand up to the first alarm."""
    held, windows = run
    reference = Reference(space=space, placed=place(space, held))
    bets, told = first_bets(reference), []
    for number, texts in enumerate(windows):
        look = look_at(
            reference, Window(texts=tuple(texts)), bets, BUDGET, effect_floor=FLOOR, seed=1000 * seed + number
        )
        bets = look.bets
        by_signal = {reading.signal: reading for reading in look.readings}
        alarms = frozenset(reading.signal for reading in look.readings if reading.is_alarm)
        told.append(Told(alarms, by_signal["input"].p or 0.0, by_signal["outsiders"].e_value or 0.0))
        if alarms and until_alarm:
            break
    return told


def calmness(runs: Sequence[Sequence[Told]]) -> dict[str, object]:
    """False alarms: of the p-values at 5%, of the wealth at 20, and of the budget, whose level is 5% a stretch."""
    told = [one for run in runs for one in run]
    return {
        "windows": len(told),
        "runs": len(runs),
        "input_at_5": sum(one.input_p <= 0.05 for one in told),
        "wealth_at_20": sum(max(one.wealth for one in run) >= 20 for run in runs),
        "alarms": sum(bool(one.signals) for one in told),
    }


def delay(told: Sequence[Told]) -> int | None:
    """Windows until the first alarm, from 1; None: it was missed."""
    return next((number for number, one in enumerate(told, start=1) if one.signals), None)


def ask(python: str, asked: dict[str, list[Run]]) -> dict[str, list[bool]]:
    """Evidently's verdict on the first window of each run, by the same names; empty without it."""
    if not python:
        return {}
    script, runs = Path(__file__).with_name("drift_evidently.py"), [run for some in asked.values() for run in some]
    done = subprocess.run([python, str(script)], input=json.dumps(runs), stdout=subprocess.PIPE, text=True, check=True)
    said = iter(json.loads(done.stdout.splitlines()[-1]))
    return {name: [bool(next(said)) for _ in some] for name, some in asked.items()}


def shown(found: dict[str, object]) -> list[str]:
    """The two tables of a world as Markdown."""
    calm = found["calm"]
    assert isinstance(calm, dict)
    peer = found["evidently"]
    assert isinstance(peer, dict)
    lines = ["", f"### {found['world']}", "", "| without drift | of | alarms | share [95%] |", "|---|--:|--:|--:|"]
    lines += [
        _line("input, p <= 5%, of windows", calm["input_at_5"], calm["windows"]),
        _line("outsiders, e >= 20 ever, of runs", calm["wealth_at_20"], calm["runs"]),
        _line("any alarm by the budget, of windows", calm["alarms"], calm["windows"]),
    ]
    if peer:
        lines.append(_line("Evidently, of windows", sum(peer["calm"]), len(peer["calm"])))
    lines += ["", "| foreign texts | share | told in window 1 | median delay | missed | Evidently, window 1 |"]
    lines += ["|---|--:|--:|--:|--:|--:|"]
    for name, one in found.items():
        if isinstance(one, dict) and "delays" in one:
            lines.append(_delays(name, one["delays"], peer.get(name)))
    return lines


def _line(name: str, hits: int, n: int) -> str:
    rate = clopper_pearson(hits, n)
    return f"| {name} | {n} | {hits} | {rate.value or 0:.1%} [{rate.low or 0:.1%}, {rate.high or 0:.1%}] |"


def _delays(name: str, delays: Sequence[int | None], peer: Sequence[bool] | None) -> str:
    kind, share = name.rsplit(" ", 1)
    middle = float(np.median([LONGEST + 1 if one is None else one for one in delays]))
    median = f"over {LONGEST}" if middle > LONGEST else f"{middle:g}"
    first = sum(one == 1 for one in delays)
    other = "" if peer is None else f"{sum(peer)} of {len(peer)}"
    missed = sum(one is None for one in delays)
    return f"| {kind} | {float(share):.0%} | {first} of {len(delays)} | {median} | {missed} | {other} |"


if __name__ == "__main__":
    main()
