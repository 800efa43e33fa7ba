"""What `train` and `prefix` share: equal losses first, then the peer's forms once, then engines in turn.

The specs are those of engine.py and trl_run.py; every run is a process of its own.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.arithmetic import Work, work_of
from benchmarks.line import line, timed
from benchmarks.machine import call, progress
from benchmarks.trl_run import TUNED_FORMS

OURS, DEFAULT = "burnish", "trl default"
QUICK_FORMS = ("trl bf16", "trl bf16 micro 2")
CANDIDATE = {"name": "a", "rank": 16, "alpha": 32, "lr": 1e-3, "seed": 0}
BATCH = 16
TIMEOUT_S = 900
"""For one run of a peer, its compilation included; one that takes longer is absent, and said to be."""
SAME_LOSS = {"float32": 1e-3, "bfloat16": 2e-2}
"""Relative difference that losses may have, step by step. In float32 both sum the same numbers in another order, so
1e-3 is generous; one target in a hundred left out would show. bfloat16 keeps 8 bits: each of many operations is off by
up to 0.4%, in the two engines at different places."""


class Setting(NamedTuple):
    """Where engines run, and on what."""

    base: str
    rows: Sequence[Mapping[str, Any]]
    trl_python: str
    threads: int

    def ours(self, **changes: Any) -> dict[str, Any]:
        """One run of our engine."""
        return call("benchmarks.engine", self._spec(changes), threads=self.threads)

    def theirs(self, form: str, **changes: Any) -> dict[str, Any]:
        """One run of the peer."""
        spec = {**self._spec(changes), "form": form}
        return call("benchmarks.trl_run", spec, python=self.trl_python, threads=self.threads, timeout_s=TIMEOUT_S)

    def _spec(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        return {"base": self.base, "rows": list(self.rows), "batch": BATCH, "candidates": [CANDIDATE], **changes}


class Duel(NamedTuple):
    """What came out, by engine: the runs of every round, and the best rates of the machine seen between them."""

    runs: dict[str, list[dict[str, Any]]]
    rates: dict[str, float]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that both commands have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="rounds in which the engines take turns")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--trl-python", default=sys.executable, help="a Python that has trl and peft")
    parser.add_argument("--peer", help='the peer\'s best form as an earlier run found it, such as "trl bf16"')
    parser.add_argument(
        "--quick", action="store_true", help="32 rows, one round, two forms of the peer, two steps checked"
    )
    parser.add_argument("--json", action="store_true")
    return parser


def batches_of(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The batches of our engine's first epoch."""
    from burnish.train.batch import epoch_order

    lengths = [len(row["tokens"]) for row in rows]
    return [[rows[at] for at in batch] for batch in epoch_order(lengths, batch_size=BATCH, seed=0, epoch=0)]


def work(rows: Sequence[Mapping[str, Any]]) -> Work:
    """What an epoch asks for."""
    return work_of(batches_of(rows))


def same_losses(setting: Setting, steps: int) -> list[str]:
    """Both engines over the first rows, from one first adapter and in one order; the findings in words.

    Raises SystemExit when the losses of a step differ by more than SAME_LOSS.
    """
    rows = list(setting.rows[: steps * BATCH])
    in_order = [row for batch in batches_of(rows) for row in batch]
    findings = []
    for precision, form in (("float32", "trl fp32"), ("bfloat16", "trl bf16")):
        ours = setting.ours(precision=precision, rows=rows, warmup_share=0.0)
        theirs = setting.theirs(form, rows=in_order, same=True, warmup_share=0.0)
        missing = [f"{name}: {run['absent']}" for name, run in ((OURS, ours), (form, theirs)) if "absent" in run]
        if missing:
            findings.append(f"{precision}: NOT CHECKED, absent is {missing[0]}")
            continue
        off = [abs(a - b) / b for a, b in zip(ours["losses"][0], theirs["losses"][0], strict=True)]
        if not max(off) <= SAME_LOSS[precision]:
            raise SystemExit(f"{precision}: losses are not the same: {ours['losses'][0]} and {theirs['losses'][0]}")
        told = f"losses of the first {len(off)} steps within {max(off):.1g} of the peer's, relative"
        findings.append(f"{precision}: {told} (allowed: {SAME_LOSS[precision]:g})")
    return findings


def best_form(setting: Setting, forms: Sequence[str]) -> tuple[str, dict[str, float | str]]:
    """The peer's fastest form in one run each, and tokens per second (or why not) of all."""
    found: dict[str, float | str] = {}
    for form in forms:
        run = setting.theirs(form)
        found[form] = run["absent"] if "absent" in run else run["tokens"] / run["seconds"]
        progress(f"{form}, once: {found[form]}")
    ran = [form for form in forms if isinstance(found[form], float)]
    return max(ran, key=lambda form: found[form]) if ran else forms[0], found


def duel(setting: Setting, runs: int, best: str) -> Duel:
    """Our engine, the peer as it comes and the peer at its best in turn, the machine's rates measured in each round."""
    found: dict[str, list[dict[str, Any]]] = {OURS: [], DEFAULT: [], best: []}
    rates: dict[str, float] = {}
    for turn in range(runs):
        for name, kept in found.items():
            kept.append(setting.ours() if name == OURS else setting.theirs(name))
            progress(f"round {turn + 1}: {name}: {kept[-1].get('seconds', 'absent')}")
        seen = call("benchmarks.machine", {}, threads=setting.threads)
        rates = {kind: max(rate, rates.get(kind, 0.0)) for kind, rate in seen.items()}
    return Duel(found, rates)


def findings(name: str, setting: Setting, options: argparse.Namespace, flops: float, **more: Any) -> dict[str, Any]:
    """The whole comparison as the line that it prints. `flops`: products counted for one run of ours."""
    checks = same_losses(setting, 2 if options.quick else 4)
    forms = QUICK_FORMS if options.quick else TUNED_FORMS
    best, grid = (options.peer, {}) if options.peer else best_form(setting, forms)
    runs, rates = duel(setting, options.runs, best)
    tokens = sum(len(row["tokens"]) for row in setting.rows)
    engines = {key: timed(kept, tokens) for key, kept in runs.items()}
    precision = runs[OURS][0].get("precision", "bfloat16")
    middle = sorted(engines[OURS].seconds)[len(engines[OURS].seconds) // 2] if engines[OURS].seconds else None
    return line(
        name,
        engines,
        unit="tokens",
        default=DEFAULT,
        tuned=best,
        limit_share=flops / middle / rates["bfloat16"] if middle else None,
        checks=checks,
        grid_tokens_per_s=grid,
        forms_not_tried=[form for form in TUNED_FORMS if form not in forms],
        precision=precision,
        threads=setting.threads,
        rates=rates,
        rows=len(setting.rows),
        target_share=sum(sum(row["learned"]) for row in setting.rows) / tokens,
        tokens=tokens,
        **more,
    )
