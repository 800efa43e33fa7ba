"""Where the time of training goes: the operators of torch with the most processor time of their own.

    python -m benchmarks.where [--model smollm-135m] [--rows 32] [--slots 1] [--prefix] [--threads 1]

A run as in `train` (with --prefix as in `prefix`) after one on a batch that warms up. One thread tells more than two on
a machine that others use: an operator that waits for a late thread looks slow.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Prints a Markdown table."""
    from benchmarks.shapes import CONFIGS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="english-10m", choices=sorted(CONFIGS))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--prefix", action="store_true", help="rows that share a long system message")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--top", type=int, default=12, help="operators to show")
    options = parser.parse_args()
    spent, seconds = profiled(options)
    total = sum(spent.values())
    print(f"{seconds:.2f} s, {options.threads} threads\n\n| operator | share | seconds |\n|---|--:|--:|")
    for name, own_s in sorted(spent.items(), key=lambda item: -item[1])[: options.top]:
        print(f"| {name.removeprefix('aten::')} | {own_s / total:.0%} | {own_s:.3f} |")


def profiled(options: argparse.Namespace) -> tuple[dict[str, float], float]:
    """Seconds of each operator's own, and of the whole run."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from benchmarks.bank import adapters
    from benchmarks.engine import run
    from benchmarks.prefix import OWN, SHARED
    from benchmarks.shapes import folder_of, mixed_rows, prefixed_rows

    torch.set_num_threads(options.threads)
    rows = prefixed_rows(options.rows, shared=SHARED, own=OWN) if options.prefix else mixed_rows(options.rows)
    spec: dict[str, Any] = {"rows": rows}
    if options.slots > 1:
        spec["candidates"] = adapters(options.slots)
    with tempfile.TemporaryDirectory() as scratch:
        spec["base"] = folder_of(options.model, Path(scratch))
        run({**spec, "rows": rows[:16]})
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            found = run(spec)
    return {event.key: event.self_cpu_time_total / 1e6 for event in seen.key_averages()}, found["seconds"]


if __name__ == "__main__":
    main()
