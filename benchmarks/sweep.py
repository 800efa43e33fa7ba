"""A sweep of 5 learning rates and 4 ranks: burnish's bank with rungs, a TRL grid, and Optuna + TRL with pruning.

    python -m benchmarks.sweep --trl-python .venv-bench/bin/python [--quick] [--solo N] [--json]

All train the same rendered rows for the same steps with the same schedule, on the built-in base, and measure the same
dev rows after each epoch. The goal is a dev loss within 0.3% of the grid's best, the grid being the 20 full runs of our
own engine (one bank, nobody leaves). `--solo N` trains N evenly spaced runs of the TRL grids and multiplies: the output
says so. Optuna + TRL, in the form that was fastest in the grids, proposes 20 times from the same 20 points and prunes
by the median; `ratio_tuned` is against all of it, as nobody knows the goal beforehand. `ratio_told` is against its
first trial within the goal: how soon that comes is luck, so Optuna may have several seeds.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.arithmetic import shape_of, step_flops, work_of
from benchmarks.line import Timed, line, tell, timed
from benchmarks.machine import matrix_rate, peak_mb
from benchmarks.shapes import CONFIGS
from benchmarks.sweep_trl import ALPHA, BATCH, TRL, WARMUP_SHARE, grid, optuna_run, trl

WITHIN = 0.003
SAME_START = 0.03
"""Relative: TRL's eval loss is the mean over batches, ours over tokens, and one may compute in bfloat16."""


def main() -> None:
    """Runs all engines and prints a table, or one JSON line; with --engine, one engine alone as a JSON line."""
    options = _options()
    if options.engine:
        print(json.dumps(_engine(options)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.json"
        rows.write_text(json.dumps(_rendered(options.train, options.dev)))
        results = _run_all(rows, options)
    report = _report(results, options)
    tell(report, as_json=options.json, text=_table(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="120 rows, 2 epochs, 3 runs of each TRL grid")
    parser.add_argument("--train", type=int, help="train rows")
    parser.add_argument("--dev", type=int, default=100, help="dev rows")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--repeats", type=int, help="runs of our sweep")
    parser.add_argument("--optuna", type=int, default=1, help="runs of Optuna, each with its own seed")
    parser.add_argument("--solo", type=int, help="runs of each TRL grid that are made, of 20")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--trl-python", default=sys.executable, help="a Python with trl, peft and optuna")
    parser.add_argument("--json", action="store_true")
    for hidden in ("--engine", "--rendered", "--goal", "--points", "--seed", "--form"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    usual = {"train": 120, "epochs": 2, "repeats": 1, "solo": 3} if options.quick else {}
    for name, value in {"train": 300, "epochs": 4, "repeats": 3, "solo": 20, **usual}.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _rendered(num_train: int, num_dev: int) -> dict[str, list[dict]]:
    """Train and dev rows of the example messages, in an order that only a seed decides."""
    import numpy as np

    from burnish.loop.demo import example_file
    from burnish.model.base import load_base
    from burnish.records import Message

    chat = load_base("builtin:english-10m", precision="float32").chat
    rows = []
    lines = example_file().read_text(encoding="utf-8").splitlines()
    for index in np.random.default_rng(0).permutation(len(lines))[: num_train + num_dev]:
        row = json.loads(lines[index])
        turns = [Message(role="user", content=row["text"]), Message(role="assistant", content=row["intent"])]
        rendered = chat.render(turns)
        rows.append({"tokens": list(rendered.tokens), "learned": list(rendered.learned)})
    return {"train": rows[:num_train], "dev": rows[num_train:]}


def _run_all(rows: Path, options: argparse.Namespace) -> dict[str, list[dict]]:
    """Results by engine. Our sweep and single TRL runs take turns, so that a slow minute hits them all."""
    results: dict[str, list[dict]] = {"grid": [_call(sys.executable, "grid", rows, options)]}
    goal = min(results["grid"][0]["losses"]) * (1 + WITHIN)
    points = [at * len(grid()) // options.solo for at in range(options.solo)]
    for turn in range(max(options.repeats, options.solo)):
        if turn < options.repeats:
            results.setdefault("burnish", []).append(_call(sys.executable, "burnish", rows, options))
        if turn < options.solo:
            for name in TRL:
                more = {"--points": str(points[turn])}
                results.setdefault(name, []).append(_call(options.trl_python, name, rows, options, **more))
    for seed in range(options.optuna):
        told = {"--goal": str(goal), "--seed": str(seed), "--form": _fastest(results)}
        results.setdefault("optuna", []).append(_call(options.trl_python, "optuna", rows, options, **told))
    return results


def _fastest(results: dict[str, list[dict]]) -> str:
    """The TRL form whose runs took the least time; one that could not run is out."""
    times = {name: [run.get("seconds", math.inf) for run in results[name]] for name in TRL}
    return min(times, key=lambda name: sum(times[name]))


def _call(python: str, engine: str, rows: Path, options: argparse.Namespace, **more: str) -> dict:
    command = [python, "-m", "benchmarks.sweep", "--engine", engine, "--rendered", str(rows)]
    command += ["--epochs", str(options.epochs), *[word for pair in more.items() for word in pair]]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    print(f"{engine} {' '.join(more.values())}: {'done' if not done.returncode else 'failed'}", file=sys.stderr)
    if done.returncode:
        return {"absent": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def _engine(options: argparse.Namespace) -> dict:
    rows = json.loads(Path(options.rendered).read_text())
    if options.engine in ("grid", "burnish"):
        return _ours(rows, options, has_rungs=options.engine == "burnish")
    if options.engine == "optuna":
        return optuna_run(rows, options, float(options.goal))
    lr, rank = grid()[int(options.points)]
    return trl(rows, options, options.engine, lr, rank)


def _ours(data: dict, options: argparse.Namespace, *, has_rungs: bool) -> dict:
    """All 20 points as one bank; with rungs, or all to the end."""
    from burnish.config import LoraSettings, TrainSettings
    from burnish.model.base import load_base
    from burnish.records import Candidate
    from burnish.train.batch import Row
    from burnish.train.job import TrainJob
    from burnish.train.run import train
    from burnish.tune.rungs import Rungs

    base = load_base("builtin:english-10m")
    rate = matrix_rate("bfloat16")
    rows, dev = ([Row(id=str(n), **row) for n, row in enumerate(data[part])] for part in ("train", "dev"))
    points = [Candidate(name=f"p{at:02d}", rank=r, alpha=ALPHA, lr=lr, seed=0) for at, (lr, r) in enumerate(grid())]
    settings = TrainSettings(epochs=options.epochs, batch_size=BATCH, patience=1000, warmup_share=WARMUP_SHARE)
    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            base=base,
            rows=rows,
            dev=dev,
            candidates=points,
            train=settings.model_copy(update={"finalists": len(points), "checkpoint_every_s": 1e9}),
            lora=LoraSettings(),
            seed=0,
            folder=Path(folder),
            referee=Rungs() if has_rungs else None,
        )
        start, cpu_start = time.perf_counter(), time.process_time()
        trials = train(job)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    steps = sum(trial.curve[-1].step for trial in trials)
    flops = _flops(data["train"], trials)
    finished = [trial for trial in trials if trial.stopped != "outrun" and trial.dev_loss is not None]
    best = min(finished, key=lambda trial: trial.dev_loss)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "losses": [trial.dev_loss for trial in finished],
        "at": [best.candidate.lr, best.candidate.rank],
        "start": next(point.dev_loss for point in trials[0].curve if point.dev_loss is not None),
        "steps_share": steps / (len(points) * max(trial.curve[-1].step for trial in trials)),
        "share_of_rate": flops / seconds / rate,
        "peak_mb": peak_mb(),
        "note": base.reason,
    }


def _flops(rows: list[dict], trials: Sequence) -> float:
    """Products of the training steps that were taken; looks at dev rows are not counted."""
    from burnish.train.batch import epoch_order

    order = epoch_order([len(row["tokens"]) for row in rows], batch_size=BATCH, seed=0, epoch=0)
    epoch, shape = work_of([[rows[at] for at in batch] for batch in order]), shape_of(CONFIGS["english-10m"]())
    return sum(step_flops(shape, epoch, t.candidate.rank) * t.curve[-1].step / len(order) for t in trials)


def _report(results: dict[str, list[dict]], options: argparse.Namespace) -> dict:
    """The JSON line: ratios against our median, by the wall clock and by CPU time, and who reached the goal."""
    goal = min(results["grid"][0]["losses"]) * (1 + WITHIN)
    wall, cpu = (_medians(results, options.solo, clock) for clock in ("seconds", "cpu_seconds"))
    by_wall, by_cpu = _ratios(wall), _ratios(cpu)
    engines = {name: _engine_of(name, results[name], options.solo) for name in sorted(results, key=_ours_first)}
    found = line(
        "sweep",
        engines,
        unit="sweeps",
        limit_share=results["burnish"][0]["share_of_rate"],
        checks=_same_start(results),
        by_cpu_time=by_cpu,
        goal_loss=goal,
        reached={name: _has_reached(runs, goal) for name, runs in results.items()},
        solo_runs_made=options.solo,
        rows=options.train,
        epochs=options.epochs,
        runs=results,
    )
    # the grids are sums over few runs, multiplied, and Optuna is one run a seed: there are no rounds to take ratios by
    cpu_ratios = {f"{name}_cpu": value for name, value in by_cpu.items()}
    told_s = [run["told_s"] for run in results["optuna"] if run.get("told_s")]
    told = {"ratio_told": statistics.median(told_s) / wall["burnish"] if told_s and wall["burnish"] else None}
    return found | by_wall | told | cpu_ratios | {"medians_s": wall, "cpu_medians_s": cpu, "default": "trl default"}


def _same_start(results: dict[str, list[dict]]) -> list[str]:
    """The untuned base's dev loss in both engines; raises SystemExit when they differ by more than SAME_START."""
    ours, said = results["burnish"][0]["start"], []
    for name in TRL:
        for run in (run for run in results[name] if "start" in run):
            off = abs(ours - run["start"]) / run["start"]
            if not off <= SAME_START:
                raise SystemExit(f"not the same data: untuned, {name} loses {run['start']:.4f}, burnish {ours:.4f}")
            said.append(f"untuned dev loss within {off:.1g} of {name}'s, relative (allowed: {SAME_START:g})")
    return sorted(set(said))


def _ours_first(name: str) -> bool:
    return name != "burnish"


def _engine_of(name: str, runs: Sequence[dict], solo: int) -> Timed:
    """Seconds of whole sweeps: a TRL grid's one is the sum of its runs, multiplied to 20."""
    if name not in TRL or any("absent" in run for run in runs):
        return timed(runs, 1)
    sums = {key: [sum(run[key] for run in runs) * len(grid()) / solo] for key in ("seconds", "cpu_seconds")}
    return Timed(
        seconds=sums["seconds"],
        work=1,
        peak_mb=max(run["peak_mb"] for run in runs),
        cpu_seconds=sums["cpu_seconds"],
    )


def _medians(results: dict[str, list[dict]], solo: int, clock: str) -> dict[str, float | None]:
    """Seconds of each engine for the whole sweep; TRL grids are their runs' sum, multiplied to 20; None: absent."""
    medians: dict[str, float | None] = {}
    for name, runs in results.items():
        times = [run[clock] for run in runs if clock in run]
        if len(times) < len(runs):
            medians[name] = None
        else:
            medians[name] = sum(times) * len(grid()) / solo if name in TRL else statistics.median(times)
    return medians


def _ratios(medians: dict[str, float | None]) -> dict[str, float | None]:
    """How many times our seconds the TRL grids (default, best tuned) and Optuna + TRL take."""
    ours = medians["burnish"]
    tuned = [medians[name] for name in TRL if "tuned" in name and medians[name] is not None]
    wanted = {"default": medians["trl default"], "tuned": medians["optuna"], "grid": min(tuned, default=None)}
    return {f"ratio_{name}": None if seconds is None else seconds / ours for name, seconds in wanted.items()}


def _has_reached(runs: list[dict], goal: float) -> bool | None:
    """Whether the best of the runs made is within the goal; None when there is none."""
    losses = [loss for run in runs if "losses" in run for loss in run["losses"]]
    return min(losses) <= goal if losses else None


def _table(report: dict) -> str:
    made = report["solo_runs_made"]
    lines = [
        f"{report['rows']} train rows, {report['epochs']} epochs, 5 rates x 4 ranks; "
        f"goal: dev loss {report['goal_loss']:.4f}; TRL grids: {made} of 20 runs made"
        + (", multiplied to 20" if made < len(grid()) else ""),
        "",
        "| engine | seconds | CPU seconds | best dev loss | at (lr, rank) | within 0.3% | peak GB |",
        "|---|--:|--:|--:|---|---|--:|",
    ]
    for name, seconds in report["medians_s"].items():
        if seconds is None:
            lines.append(f"| {name} | absent: {report['absent'][name]} | | | | | |")
            continue
        runs = report["runs"][name]
        best = min(runs, key=lambda run: min(run["losses"]))
        reached = "yes" if report["reached"][name] else "no"
        cells = [name, f"{seconds:.1f}", f"{report['cpu_medians_s'][name]:.1f}", f"{min(best['losses']):.4f}"]
        cells += [f"{best['at'][0]:g}, {best['at'][1]}", reached, f"{max(run['peak_mb'] for run in runs) / 1e3:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    ours = report["runs"]["burnish"][0]
    share, rate = ours["steps_share"], ours["share_of_rate"]
    lines += ["", f"burnish took {share:.0%} of the grid's steps, at {rate:.0%} of the matrix rate ({ours['note']})."]
    for name in ("ratio_default", "ratio_grid", "ratio_tuned"):
        wall, cpu = report[name], report["by_cpu_time"][name]
        lines.append(f"{name}: " + ("-" if wall is None or cpu is None else f"{wall:.1f}, by CPU time {cpu:.1f}"))
    told = report["ratio_told"]
    lines.append(f"ratio_told: {'Optuna never came within the goal' if told is None else f'{told:.1f}'}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
