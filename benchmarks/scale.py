"""Time and memory by size: rows that stream, adapters of a bank, tokens of a row; with slopes, and a plot.

    python -m benchmarks.scale [--quick] [--plot scale.svg] [--json]

A slope of log time against log size of 1 is linear, of 0 flat. Every size is a process of its own; of each the memory
added after loading counts, in MB. Rows: reading and checking a JSONL file, the whole of `burnish data add`, and the
order of an epoch with the batches of its first 64 steps. Adapters: the same 32 rows for a bank of 1 to 32. Length: 8
rows of 64 to 2,048 tokens. The quick form stops at 10,000 rows, 4 adapters and 256 tokens.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.line import Timed, line, tell
from benchmarks.machine import call, peak_mb, progress
from benchmarks.plot import Panel, slope, write_plot

SIZES = {
    "read": (1_000, 10_000, 100_000, 1_000_000),
    "add": (1_000, 10_000, 100_000, 1_000_000),
    "batches": (1_000, 10_000, 100_000, 1_000_000),
    "adapters": (1, 2, 4, 8, 16, 32),
    "length": (64, 128, 256, 512, 1024, 2048),
}
QUICK = {
    "read": (1_000, 10_000),
    "add": (1_000, 10_000),
    "batches": (1_000, 10_000),
    "adapters": (1, 4),
    "length": (64, 256),
}
UNITS = {"read": "rows", "add": "rows", "batches": "rows", "adapters": "adapters", "length": "tokens of a row"}
LEAST = {"seconds": 1e-3, "cpu_seconds": 1e-3, "added_mb": 1.0}
"""What is drawn and counted as this much where it is less: a logarithm of nothing says nothing."""
TRAINED_ROWS, LONG_ROWS = 32, 8


def main() -> None:
    """Measures every size, prints slopes and writes the plot; with a spec file, one size as a line of JSON."""
    if len(sys.argv) == 2 and sys.argv[1].endswith(".json"):
        print(json.dumps(_one(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
        return
    options = _options()
    found = measured(QUICK if options.quick else SIZES, options.threads)
    if options.plot:
        write_plot(Path(options.plot), panels(found["points"]))
    tell(found, as_json=options.json, text=_table(found))


def measured(sizes: dict[str, Sequence[int]], threads: int) -> dict[str, Any]:
    """Every size in a process of its own, and the slopes."""
    points: dict[str, list[dict[str, Any]]] = {part: [] for part in sizes}
    for part, some in sizes.items():
        for size in some:
            spec = {"part": part, "size": size}
            run = call("benchmarks.engine" if part in TRAINING else "benchmarks.scale", _spec(spec), threads=threads)
            points[part].append({**spec, **run})
            progress(f"{part} {size:,}: {run.get('seconds', run.get('absent'))}")
    ran = {part: [point for point in some if "absent" not in point] for part, some in points.items()}
    engines = {
        part: Timed(seconds=[some[-1]["seconds"]], work=some[-1]["size"], peak_mb=some[-1]["peak_mb"])
        for part, some in ran.items()
        if some
    }
    slopes = {
        key: {part: slope([(one["size"], max(one[key], LEAST[key])) for one in some]) for part, some in ran.items()}
        for key in LEAST
    }
    lost = {f"{part} {one['size']}": one["absent"] for part, some in points.items() for one in some if "absent" in one}
    return line("scale", engines, unit="size", slopes=slopes, points=ran, lost=lost, threads=threads)


def _spec(spec: dict[str, Any]) -> dict[str, Any]:
    return TRAINING[spec["part"]](spec["size"]) if spec["part"] in TRAINING else spec


def _bank(count: int) -> dict[str, Any]:
    from benchmarks.bank import adapters
    from benchmarks.shapes import mixed_rows

    return {"rows": mixed_rows(TRAINED_ROWS), "candidates": adapters(count)}


def _long(tokens: int) -> dict[str, Any]:
    """Rows of exactly so many tokens, cut or repeated, every third a target."""
    from benchmarks.shapes import mixed_rows

    long = [token for row in mixed_rows(64) for token in row["tokens"]]
    rows = [[*long[at * 37 :], *long][:tokens] for at in range(LONG_ROWS)]
    marks = [place % 3 == 0 for place in range(tokens)]
    return {"rows": [{"tokens": row, "learned": [*marks[:-1], True]} for row in rows], "batch": LONG_ROWS}


TRAINING: dict[str, Callable[[int], dict[str, Any]]] = {"adapters": _bank, "length": _long}


def _one(spec: dict[str, Any]) -> dict[str, Any]:
    """One size of a part that streams."""
    from benchmarks.ingest import add, read, write_rows

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        if spec["part"] != "batches":
            write_rows(path, spec["size"])
        work = {"read": lambda: read(path), "add": lambda: add(path), "batches": lambda: _batches(spec["size"])}
        if spec["part"] == "batches":
            import burnish.train.batch  # noqa: F401  torch is not what is measured
        before_mb, start, cpu_start = peak_mb(), time.perf_counter(), time.process_time()
        work[spec["part"]]()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb(), "added_mb": peak_mb() - before_mb}


def _batches(count: int) -> None:
    """The order of an epoch over so many rows, and the first batches, laid into trees."""
    from burnish.train.batch import Row, batch_of, epoch_order

    lengths = [16 + at * 7919 % 100 for at in range(count)]
    for batch in epoch_order(lengths, batch_size=8, seed=0, epoch=0)[:64]:
        rows = [[at * 31 % 8000, *range(lengths[at])] for at in batch]
        batch_of([Row(id=str(at), tokens=row, learned=[True] * len(row)) for at, row in zip(batch, rows, strict=True)])


def panels(points: dict[str, list[dict[str, Any]]]) -> list[Panel]:
    """Seconds and memory of the parts that stream, of banks, and of lengths."""
    groups = {"Rows": ("read", "add", "batches"), "Adapters in one bank": ("adapters",), "Length": ("length",)}
    drawn = []
    for title, parts in groups.items():
        for key, up in (("seconds", "seconds"), ("added_mb", "MB added")):
            series = {part: [(one["size"], max(one[key], LEAST[key])) for one in points[part]] for part in parts}
            drawn.append(Panel(title, UNITS[parts[0]], up, {name: some for name, some in series.items() if some}))
    return drawn


def _table(found: dict[str, Any]) -> str:
    rows = ["| part | size | seconds | CPU s | MB added | peak MB |", "|---|--:|--:|--:|--:|--:|"]
    for part, points in found["points"].items():
        for one in points:
            cells = [f"{part}, {UNITS[part]}", f"{one['size']:,}", f"{one['seconds']:.3g}", f"{one['cpu_seconds']:.3g}"]
            cells += [f"{one['added_mb']:,.0f}", f"{one['peak_mb']:,.0f}"]
            rows.append(f"| {' | '.join(cells)} |")
    rows += ["", "| slope of the logarithm of | time | CPU time | memory added |", "|---|--:|--:|--:|"]
    slopes = found["slopes"]
    rows += [f"| {part} | {' | '.join(f'{slopes[key][part]:.2f}' for key in LEAST)} |" for part in found["points"]]
    return "\n".join([*rows, *(f"absent: {name}: {why}" for name, why in found["lost"].items())])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two sizes of each, within two minutes")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plot", help="an SVG file to write")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
