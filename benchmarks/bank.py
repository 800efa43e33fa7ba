"""Eight adapters in one pass over one frozen base against eight runs of one adapter each, both by our engine.

    python -m benchmarks.bank [--slots 8] [--quick] [--json]

Ranks, learning rates and seeds differ. First each adapter of the bank has the losses of its solo run, step by step, in
float32. Then the bank and the solo runs, one after another, take turns; each run is a process of its own. Memory is
compared with as many solo processes side by side, which is what training them at the same time without a bank takes.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.arithmetic import shape_of, step_flops
from benchmarks.duel import BATCH, work
from benchmarks.line import line, shown, tell, timed
from benchmarks.machine import call, progress
from benchmarks.shapes import CONFIGS, folder_of, mixed_rows

RANKS, RATES = (4, 8, 16, 16, 32, 8, 16, 4), (1e-3, 2e-3, 5e-4, 1e-3, 1e-3, 4e-3, 2e-3, 5e-4)
SAME_LOSS = 1e-4
"""Relative, in float32, every row in a pass of its own, alone and in company. Left to itself the engine takes a batch
in more portions the more adapters there are; that changes the order of sums, and AdamW, which divides by gradients near
zero, makes 8e-8 at the first step 1.3e-4 at the fourth, at the highest of these rates and far less at the others."""


def adapters(count: int) -> list[dict[str, Any]]:
    """So many candidates, each of its own rank, rate or seed."""
    kinds = zip(RANKS, RATES, strict=True)
    known = [{"rank": rank, "alpha": 32, "lr": lr} for rank, lr in kinds]
    return [{"name": f"a{at}", "seed": at, **known[at % len(known)]} for at in range(count)]


def same_as_solo(asked: dict[str, Any], wanted: list[dict[str, Any]], threads: int) -> str:
    """The largest relative difference of a step's loss in company and alone; raises SystemExit above SAME_LOSS."""
    exact = {**asked, "precision": "float32", "tokens_at_once": 1}
    together = call("benchmarks.engine", {**exact, "candidates": wanted}, threads=threads)
    off = 0.0
    for company, one in zip(together["losses"], wanted, strict=True):
        (alone,) = call("benchmarks.engine", {**exact, "candidates": [one]}, threads=threads)["losses"]
        off = max(off, *(abs(a - b) / b for a, b in zip(company, alone, strict=True)))
    if not off <= SAME_LOSS:
        raise SystemExit(f"an adapter in company is not what it is alone: losses differ by {off:.2g}, relative")
    steps = len(together["losses"][0])
    return f"float32: losses of {steps} steps within {off:.1g} of the solo runs', relative (allowed: {SAME_LOSS:g})"


def measured(options: argparse.Namespace, base: str) -> dict[str, Any]:
    """Everything that is reported."""
    rows, wanted = mixed_rows(options.rows), adapters(options.slots)
    asked = {"base": base, "rows": rows, "batch": BATCH}
    few = {**asked, "rows": rows[: (2 if options.quick else 4) * BATCH]}
    checks = [same_as_solo(few, wanted, options.threads)]
    progress(checks[0])
    together, alone, rate = [], [], 0.0
    for turn in range(options.runs):
        together.append(call("benchmarks.engine", {**asked, "candidates": wanted}, threads=options.threads))
        each = [call("benchmarks.engine", {**asked, "candidates": [one]}, threads=options.threads) for one in wanted]
        peaks = [run["peak_mb"] for run in each]
        alone.append({key: sum(run[key] for run in each) for key in ("seconds", "cpu_seconds", "peak_mb")})
        rate = max(rate, call("benchmarks.machine", {}, threads=options.threads)["bfloat16"])
        progress(f"round {turn + 1}: bank {together[-1]['seconds']:.1f} s, alone {alone[-1]['seconds']:.1f} s")
    shape, found = shape_of(CONFIGS[options.model]()), work(rows)
    flops = sum(step_flops(shape, found, one["rank"]) for one in wanted)
    tokens = options.slots * sum(len(row["tokens"]) for row in rows)
    engines = {"bank": timed(together, tokens), "solo runs": timed(alone, tokens)}
    return line(
        "bank",
        engines,
        unit="tokens",
        default="solo runs",
        tuned="solo runs",
        limit_share=flops / statistics.median(engines["bank"].seconds) / rate,
        checks=checks,
        ratio_memory=engines["bank"].peak_mb / engines["solo runs"].peak_mb,
        peak_mb_of_one_alone=max(peaks),
        precision=together[0]["precision"],
        matrix_rate=rate,
        slots=options.slots,
        ranks=[one["rank"] for one in wanted],
        rows=options.rows,
        model=options.model,
        threads=options.threads,
        gflop=flops / 1e9,
    )


def main() -> None:
    """Prints the findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="english-10m", choices=sorted(CONFIGS))
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--runs", type=int, default=5, help="rounds in which bank and solo runs take turns")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="32 rows, one round, two steps checked")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.runs = 32, 1
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(options, folder_of(options.model, Path(scratch)))
    memory = f"the bank's peak is {found['ratio_memory']:.2f} of {options.slots} processes side by side"
    tell(found, as_json=options.json, text=f"{shown(found)}\n{memory}")


if __name__ == "__main__":
    main()
