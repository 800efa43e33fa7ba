"""LoRA against full fine-tuning: how good it is through our loop, and what it costs to come as far as TRL's full one.

    python -m benchmarks.full --trl-python .venv-bench/bin/python [--data FOLDER --sets claims,clinc_banking]
                              [--seeds 0,1,2] [--forms fp32,bf16] [--ours] [--quick] [--json]

The set `claims` is the demonstration's task; the others are those of real_data.py, without their official test rows.
Each seed draws its own roles. Quality: `train.method` lora and full, all else as it comes, on rows that neither saw,
paired. Cost: TRL trains every weight for as many epochs as our loop may; counted is what our LoRA spent until its dev
loss first was as low as the peer's at its end (and at its best epoch). Ours counts the looks on dev rows, the peer's
are off its meter. The peer comes as it is, and tuned: the form and learning rate with the lowest dev loss of a grid.
With --ours quality alone is asked, and no peer runs.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.full_run import FORMS, opened
from benchmarks.line import Timed, by_cpu, line, ratios, tell
from benchmarks.machine import call, progress
from benchmarks.options import parser_of

POINT = 0.01
HEADLINE = 0.8
"""Share of the cost that the seed of this project says LoRA saves."""
MEASURES = {
    "seconds": "seconds",
    "cpu_seconds": "CPU seconds",
    "peak_mb": "peak MB",
    "added_mb": "MB added",
    "joules": "joules",
}
"""What a run costs, and its name in tables. Added: the peak less what was there before training, model loaded."""
GOALS = ("final", "best")
TIMES = (1.0, 2.0, 4.0)
"""Learning rates tried for the tuned peer, as multiples of our own prior for full fine-tuning."""
SAME_START = {"float32": 1e-3, "bfloat16": 2e-2}
"""Relative difference of the untuned dev losses: the same sums in another order; or weights and states of 8 bits."""
LORA, FULL, DEFAULT, TUNED = "burnish LoRA", "burnish full", "trl full default", "trl full tuned"
QUICK: dict[str, Any] = {"most": 64, "epochs": 2, "seeds": "0", "forms": "fp32"}

Run = dict[str, Any]


class Reached(NamedTuple):
    """What had been spent when a dev loss was first reached."""

    step: int
    spent: dict[str, float | None]


def reached(looks: Sequence[Mapping[str, Any]], goal: float) -> Reached | None:
    """The first look with a dev loss of at most `goal`; None when there is none."""
    for look in looks:
        if look["loss"] <= goal:
            return Reached(look["step"], {key: look.get(key) for key in MEASURES})
    return None


def goal_of(peer: Run, which: str) -> tuple[float, dict[str, float | None]]:
    """The dev loss to reach, and what the peer spent on it: `final` its whole run, `best` up to its best epoch."""
    looks = peer["looks"]
    if which == "final":
        return looks[-1]["loss"], {key: peer[key] for key in MEASURES}
    best = min(looks, key=lambda look: look["loss"])
    return best["loss"], {key: best.get(key) for key in MEASURES}


def saved(ours: Mapping[str, float | None] | None, theirs: Mapping[str, float | None]) -> dict[str, float | None]:
    """Share of each cost that is saved; None where a counter cannot be read or the goal was not reached."""
    shares: dict[str, float | None] = {}
    for key in MEASURES:
        mine, other = (ours or {}).get(key), theirs.get(key)
        shares[key] = None if mine is None or not other else 1 - mine / other
    return shares


def against(ours: Run, peer: Run) -> dict[str, Any]:
    """One run of ours against one of the peer, for both goals."""
    found: dict[str, Any] = {}
    for which in GOALS:
        goal, theirs = goal_of(peer, which)
        mine = reached(ours["looks"], goal)
        shares = saved(mine and mine.spent, theirs)
        found[which] = {
            "goal": goal,
            "reached_at_step": mine and mine.step,
            "ours": mine and mine.spent,
            "theirs": theirs,
            "saved": shares,
            "saves_80_percent": {key: None if share is None else share >= HEADLINE for key, share in shares.items()},
        }
    return found


def quality(lora: Sequence[Run], full: Sequence[Run]) -> dict[str, Any]:
    """Accuracy of both on the same rows over all seeds, and their gap; rows of a group count as one, across seeds."""
    from burnish.stats.pairs import paired_interval

    pairs = [pair for a, b in zip(lora, full, strict=True) for pair in zip(a["scores"], b["scores"], strict=True)]
    gaps = [mine[1] - other[1] for mine, other in pairs]
    gap = paired_interval(gaps, [mine[0] for mine, _ in pairs])
    mean = [sum(pair[side][1] for pair in pairs) / len(pairs) for side in (0, 1)]
    told = {"lora": mean[0], "full": mean[1], "gap": gap.value, "low": gap.low, "high": gap.high, "n": gap.n}
    return {**told, "within_one_point": within_one_point(gap.low, gap.high)}


def within_one_point(low: float | None, high: float | None) -> str:
    """Whether LoRA is at most one point below full fine-tuning, as far as the interval of the gap tells."""
    if low is None or high is None:
        return "too few rows to tell"
    if low >= -POINT:
        return "yes"
    return "no" if high < -POINT else "not shown either way"


def same_start(ours: Run, peers: Mapping[str, Run]) -> list[str]:
    """The untuned base must have the same dev loss everywhere. Raises SystemExit where it has not."""
    findings = []
    for name, peer in peers.items():
        mine, other = ours["looks"][0]["loss"], peer["looks"][0]["loss"]
        allowed = SAME_START["bfloat16" if "bfloat16" in (ours["precision"], peer.get("dtype")) else "float32"]
        if not abs(mine - other) <= allowed * other:
            raise SystemExit(f"the dev loss before training is not the same: {mine} here, {other} in {name}")
        told = f"dev loss before training within {abs(mine - other) / other:.1g} of that in {name}, relative"
        findings.append(f"{told} (allowed: {allowed:g})")
    return findings


def main() -> None:
    """Prints a line, or words, for each set."""
    options = _options()
    for name in options.sets.split(","):
        tell_set(name, options)


def tell_set(name: str, options: argparse.Namespace) -> None:
    """Runs all engines on a set, seed by seed, and prints what came out."""
    runs: dict[str, list[Run]] = {LORA: [], FULL: [], DEFAULT: [], TUNED: []}
    form: dict[str, Any] = {}
    grid: list[Run] = []
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as place:
            spec = made(name, seed, Path(place), options)
            if not form and not options.ours:
                form, grid = best_form(spec, options)
            for engine, kept in runs.items():
                is_left_out = options.ours and engine in (DEFAULT, TUNED)
                kept.append({"absent": "not asked for"} if is_left_out else _run(engine, spec, form, options))
                progress(f"{name} seed {seed}: {engine}: {kept[-1].get('seconds', kept[-1].get('absent'))}")
    found = findings(name, runs, options, form=form, grid=grid)
    tell(found, as_json=options.json, text=shown(found))


def made(name: str, seed: int, place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A project with the set's rows in `place`, and what every engine is told of it."""
    from benchmarks.real_data import SOURCES, prepare
    from burnish.config import Settings
    from burnish.loop.attempt import add_once
    from burnish.loop.project import create_project, open_project
    from burnish.model.base import find_folder
    from burnish.talk import Silence
    from burnish.train.job import rows_of

    changes = [*(SOURCES[name].settings if name in SOURCES else ()), *options.options, f"seed={seed}"]
    create_project(place / "project", Settings())
    project = open_project(place / "project", changes)
    file = prepare(SOURCES[name], Path(options.data), place)[0] if name in SOURCES else example_rows(place)
    add_once(project, file, Silence(), skip_bad=True)
    spec = {"project": str(project.folder), "options": changes, "most": options.most}
    bench, seeds = opened(spec)
    rows = {
        key: [{"tokens": list(row.tokens), "learned": list(map(bool, row.learned))} for row in some[: options.most]]
        for key, role in (("rows", "train"), ("dev", "dev_b"))
        for some in (rows_of(bench.base, seeds.task, seeds.of(role)),)
    }
    base = str(find_folder(project.settings.base, project.settings.revision))
    train = project.settings.train
    return {
        **spec,
        **rows,
        "base": base,
        "batch": train.batch_size,
        "epochs": train.passes(len(rows["rows"]), len(seeds.task.labels)),
        "lr": prior(bench),
    }


def example_rows(place: Path) -> Path:
    """The demonstration's messages with what the desk does about each as their label."""
    from burnish.loop.demo import example_file

    rows = [json.loads(text) for text in example_file().read_text(encoding="utf-8").splitlines()]
    file = place / "claims.jsonl"
    kept = [
        {"label": row["action"], **{key: row[key] for key in ("id", "text", "intent", "channel", "group")}}
        for row in rows
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return file


def prior(bench: Any) -> float:
    """The learning rate of full fine-tuning from which our own search would start."""
    from burnish.tune.search import prior_lr

    return prior_lr(bench.base.model.config.model_type, bench.base.hidden_size, method="full")


def best_form(spec: Mapping[str, Any], options: argparse.Namespace) -> tuple[dict[str, Any], list[Run]]:
    """The peer's form and rate with the lowest dev loss at any epoch, and all that was tried.

    Rates are tried with the form of float32 weights that is fastest in one epoch, and with bfloat16 weights, which are
    faster but may lose small updates.
    """
    forms = options.forms.split(",")
    tried: list[Run] = []

    def one(**changes: Any) -> Run:
        tried.append({**changes, **_trl({**spec, **changes}, options)})
        progress(f"trl {changes}: {tried[-1].get('seconds', tried[-1].get('absent'))}")
        return tried[-1]

    speeds = [one(form=form, epochs=1) for form in forms]
    exact = [run for run in speeds if FORMS[run["form"]].get("dtype") is None]
    fastest = min(exact, key=lambda run: run.get("seconds", float("inf")))["form"]
    rates = [spec["lr"] * times for times in (TIMES[:1] if options.quick else TIMES)]
    learned = [one(form=form, lr=lr) for form in dict.fromkeys([fastest, forms[-1]]) for lr in rates]
    best = min(learned, key=lambda run: min((look["loss"] for look in run.get("looks", ())), default=float("inf")))
    return {"form": best["form"], "lr": best["lr"]}, tried


def _run(engine: str, spec: Mapping[str, Any], form: Mapping[str, Any], options: argparse.Namespace) -> Run:
    """One engine; the peer's saved weights are asked about the rows held out, as ours are."""
    if engine in (LORA, FULL):
        method = "lora" if engine == LORA else "full"
        told = {key: value for key, value in spec.items() if key not in ("rows", "dev")}
        changes = {"engine": method, "options": [*spec["options"], f"train.method={method}"]}
        return call("benchmarks.full_run", {**told, **changes}, threads=options.threads)
    return _trl({**spec, **({"form": "default"} if engine == DEFAULT else form)}, options, is_scored=True)


def _trl(spec: Mapping[str, Any], options: argparse.Namespace, *, is_scored: bool = False) -> Run:
    told = {**spec, "engine": "trl", "keep": f"{spec['project']}/trl-{spec['form']}"}
    run = call("benchmarks.full_run", told, python=options.trl_python, threads=options.threads, timeout_s=7200)
    if is_scored and "absent" not in run:
        run |= call("benchmarks.full_run", {**told, "engine": "score", "rows": (), "dev": ()}, threads=options.threads)
    return {**run, "dtype": FORMS[spec["form"]].get("dtype", "float32")}


def findings(name: str, runs: Mapping[str, Sequence[Run]], options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """The line of one set. Medians are seconds until the tuned peer's final dev loss, over the seeds."""
    ran = {engine: kept for engine, kept in runs.items() if not any("absent" in run for run in kept)}
    if LORA not in ran or FULL not in ran:
        raise SystemExit(f"our own run failed: {[run for kept in runs.values() for run in kept if 'absent' in run]}")
    peers = [engine for engine in (DEFAULT, TUNED) if engine in ran]
    found = line(
        "full",
        {engine: to_goal(runs, engine, TUNED, "final") for engine in (LORA, FULL, TUNED)},
        unit="goals",
        tuned=TUNED,
        checks=[
            text for at, mine in enumerate(ran[LORA]) for text in same_start(mine, {one: ran[one][at] for one in peers})
        ],
        limit_share_reason="a time until a score has no machine limit",
        set=name,
        quality=quality(ran[LORA], ran[FULL]),
        quality_against_trl={peer: quality(ran[LORA], ran[peer]) for peer in peers},
        whole_runs={engine: whole(kept) for engine, kept in ran.items()},
        cost={peer: [against(*pair) for pair in zip(ran[LORA], ran[peer], strict=True)] for peer in peers},
        seeds=options.seeds,
        rows=options.most or "all",
        threads=options.threads,
        **more,
    )
    return {**found, **against_default(runs), "ratio_to_best": to_best(runs)}


def against_default(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """The fields of the line against the default peer, whose goal is another; and why a ratio is missing."""
    mine, other = (to_goal(runs, engine, DEFAULT, "final") for engine in (LORA, DEFAULT))
    found = ratios(mine, other)
    absent = {peer: to_goal(runs, LORA, peer, "final").absent for peer in (DEFAULT, TUNED)}
    return {
        "default": DEFAULT,
        "ratio_default": found and found[0],
        "ratio_default_range": found and found[1:],
        "ratio_default_cpu": by_cpu(mine, other),
        "ratio_reason": {peer: why for peer, why in absent.items() if why},
    }


def to_best(runs: Mapping[str, Sequence[Run]]) -> dict[str, list[float] | None]:
    """Ratios as the line's, until the peer's best dev loss in place of its last."""
    return {
        peer: ratios(*(to_goal(runs, engine, peer, "best") for engine in (LORA, peer))) for peer in (DEFAULT, TUNED)
    }


def to_goal(runs: Mapping[str, Sequence[Run]], engine: str, peer: str, which: str) -> Timed:
    """Seconds of an engine, by seed, until the peer's dev loss; absent when one seed did not come so far."""
    spent: list[Mapping[str, float | None]] = []
    for run, other in zip(runs[engine], runs[peer], strict=True):
        if "absent" in other:
            return Timed(seconds=(), work=1, absent=f"{peer}: {other['absent']}")
        goal, theirs = goal_of(other, which)
        mine = Reached(0, theirs) if engine == peer else reached(run["looks"], goal)
        if mine is None:
            lowest = min(look["loss"] for look in run["looks"])
            return Timed(seconds=(), work=1, absent=f"lowest dev loss {lowest:.4f}, to reach: {goal:.4f}")
        spent.append(mine.spent)
    return _timed(spent)


def _timed(spent: Sequence[Mapping[str, float | None]]) -> Timed:
    seconds, cpu_seconds, peaks = ([one[key] or 0.0 for one in spent] for key in ("seconds", "cpu_seconds", "peak_mb"))
    if not all(seconds):
        return Timed(seconds=(), work=1, absent="the goal was no better than the untuned base")
    return Timed(seconds=seconds, work=1, cpu_seconds=cpu_seconds, peak_mb=max(peaks))


def whole(runs: Sequence[Run]) -> dict[str, float | None]:
    """Medians of whole runs; joules None where the machine does not tell."""
    known = {key: [run[key] for run in runs if run.get(key) is not None] for key in MEASURES}
    return {key: statistics.median(values) if values else None for key, values in known.items()}


def shown(found: Mapping[str, Any]) -> str:
    """The line as Markdown to read."""
    said, names = found["quality"], list(MEASURES.values())
    rows = [f"## {found['set']}", "", *(f"check: {check}" for check in found["checks"]), ""]
    rows += [f"| engine | accuracy | {' | '.join(names)} |", "|---|" + "--:|" * (1 + len(names))]
    scored = {LORA: said["lora"], FULL: said["full"]}
    scored |= {peer: one["full"] for peer, one in found["quality_against_trl"].items()}
    for engine, spent in found["whole_runs"].items():
        cells = ["-" if spent[key] is None else f"{spent[key]:,.1f}" for key in MEASURES]
        rows.append(f"| {engine} | {scored[engine]:.1%} | {' | '.join(cells)} |")
    gap = ", ".join("-" if said[key] is None else f"{100 * said[key]:+.1f}" for key in ("gap", "low", "high"))
    rows += [
        "",
        f"LoRA minus full, same loop: {gap} points, n {said['n']}; within one point: {said['within_one_point']}",
    ]
    rows += [f"{peer}: no ratio, {why}" for peer, why in found["ratio_reason"].items()]
    rows += ["", f"| against | goal | dev loss | seconds | theirs | saved: {' | '.join(names)} | 80% saved in |"]
    rows.append("|---|---|" + "--:|" * (3 + len(names)) + "---|")
    for peer, runs in found["cost"].items():
        rows += [f"| {peer} | {which} | {_cost(one[which])} |" for one in runs for which in GOALS]
    return "\n".join(rows)


def _cost(one: Mapping[str, Any]) -> str:
    mine = "not reached" if one["ours"] is None else f"{one['ours']['seconds']:.1f}"
    shares = ["-" if one["saved"][key] is None else f"{one['saved'][key]:.0%}" for key in MEASURES]
    there = ", ".join(word for key, word in MEASURES.items() if one["saves_80_percent"][key]) or "nothing"
    return " | ".join([f"{one['goal']:.4f}", mine, f"{one['theirs']['seconds']:.1f}", *shares, there])


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__, sets="claims", seeds="0,1,2")
    parser.add_argument("--trl-python", default=sys.executable, help="a Python that has trl")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    tuned = [name for name in FORMS if name != "default"]
    parser.add_argument("--forms", default=",".join(tuned), help=f"the peer's forms to tune over, of {tuned}")
    parser.add_argument("--most", type=int, help="rows of a role at most")
    parser.add_argument("--ours", action="store_true", help="quality of our two methods alone, no peer")
    parser.add_argument("--quick", action="store_true", help="64 rows, 2 epochs, one seed, one form of the peer")
    parser.add_argument("--set", action="append", default=[], dest="options", metavar="A.B=C")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.most, options.seeds, options.forms = QUICK["most"], QUICK["seeds"], QUICK["forms"]
        options.options.append(f"train.epochs={QUICK['epochs']}")
    return options


if __name__ == "__main__":
    main()
