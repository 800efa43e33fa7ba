"""Do merged adapters tell what leaving a batch out would: Shapley values of a screen against true leave-one-out.

    python -m benchmarks.attribute [--seed 0] [--batches 5] [--rows 30] [--epochs 8] [--json]

Two intents of the example help desk give rows of people, and batches of a known kind: clean, of one intent only, wrong
in half or all answers, or the people's own rows again. True worth: two trainings with all rows and two without each
batch. Screen: one training a batch, all averages of their updates. One run is one draw of rows.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.recipe import version_in
from benchmarks.screen import (
    Screening,
    load_parts,
    loss_gains,
    screen_candidates,
    screen_subsets,
    screening,
    shapley,
    value_of_mixes,
)
from burnish.config import Settings
from burnish.loop.demo import example_file
from burnish.loop.workbench import Workbench
from burnish.model.base import Base
from burnish.records import Candidate, Evaluation, Example, Message, Task, Trial, as_json
from burnish.talk import Silence
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train
from burnish.tune.ablation import Ablation, ablation_job, ablation_of
from burnish.tune.attribute import attribute
from burnish.tune.attribution import Attribution
from burnish.tune.search import prior_lr

INTENTS = ("payment_status", "login_help")
KINDS = ("clean", "wrong", "half wrong", "one intent", "again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Training rows with their batches, and rows to measure on, no two groups in both."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    task: Task


def drawn(options: argparse.Namespace) -> Drawn:
    """Rows of people, batches in turn of each kind, and dev rows, by seed."""
    lines = [json.loads(line) for line in example_file().read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line["intent"] in INTENTS]
    generator = np.random.default_rng(options.seed)
    groups = sorted({line["group"] for line in lines})
    place = dict(zip(groups, generator.permutation(len(groups)).tolist(), strict=True))
    examples = [_example(line) for line in sorted(lines, key=lambda line: (place[line["group"]], line["id"]))]
    dev, pool = _cut(examples, options.dev)
    people, pool = pool[: options.people], pool[options.people :]
    train = list(people)
    labels = sorted({one.answer for one in examples})
    for number in range(options.batches):
        kind = KINDS[number % len(KINDS)]
        rows = (
            list(people) if kind == "again" else [one for one in pool if kind != "one intent" or _is_one(one, number)]
        )
        rows = rows[: options.rows]
        taken = {one.id for one in rows}
        pool = [one for one in pool if one.id not in taken]
        train += [_damaged(one, kind, at, number, labels) for at, one in enumerate(rows)]
    return Drawn(train=tuple(train), dev=tuple(dev), task=Task(labels=tuple(labels)))


def _cut(examples: Sequence[Example], count: int) -> tuple[list[Example], list[Example]]:
    """The first rows, and the rest without their groups."""
    first = list(examples[:count])
    seen = {one.group for one in first}
    return first, [one for one in examples[count:] if one.group not in seen]


def _example(line: dict[str, Any]) -> Example:
    turns = (Message(role="user", content=line["text"]), Message(role="assistant", content=line["intent"]))
    return Example(id=line["id"], messages=turns, group=line["group"], slices={"channel": line["channel"]})


def _is_one(example: Example, number: int) -> bool:
    """Whether a row has the intent that this batch is about."""
    return example.answer == INTENTS[number // len(KINDS) % len(INTENTS)]


def _damaged(example: Example, kind: str, at: int, number: int, labels: Sequence[str]) -> Example:
    """A row of a batch, with a wrong answer where its kind says so."""
    is_wrong = kind == "wrong" or (kind == "half wrong" and at % 2 == 0)
    answer = labels[(labels.index(example.answer) + 1 + at % (len(labels) - 1)) % len(labels)]
    turns = (*example.prompt, Message(role="assistant", content=answer)) if is_wrong else example.messages
    slices = {**example.slices, "provenance": "synthetic", "batch": f"{number} {kind}"}
    return replace(example, id=f"b{number}-{example.id}", messages=turns, slices=slices)


class Compared(NamedTuple):
    """A screen beside the truth that it was compared with."""

    screening: Screening
    truth: dict[str, float]


class Found(NamedTuple):
    """One draw."""

    attribution: Attribution
    screens: dict[str, Compared]
    """Against leave-one-out on loss and on accuracy."""
    seconds: dict[str, float]


def measured(options: argparse.Namespace) -> Found:
    """The attribution by leave-one-out, the screen against it, and what both took."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bench = Workbench(Settings(), folder, Silence())
        found, base = drawn(options), bench.base
        recipe = _recipe(base)
        plan = ablation_of(found.train, recipe)
        job = _job(base, found, recipe, options, folder)
        began = time.perf_counter()
        trials = train(ablation_job(job, plan))
        trained = time.perf_counter()
        evaluations = {trial.candidate.name: _graded(bench, trial, found) for trial in trials}
        told = attribute(plan, evaluations)
        scored = time.perf_counter()
        values = _screened(base, plan, job, recipe, options)
        ended = time.perf_counter()
        truths = {
            "loss": loss_gains(plan, trials),
            "accuracy": {one.name: one.gain.value or 0.0 for one in told.batches},
        }
        seconds = {"leave-one-out": trained - began, "scores": scored - trained, "screen": ended - scored}
        compared = {name: Compared(screening(values, truth), truth) for name, truth in truths.items()}
        return Found(told, compared, seconds)


def _recipe(base: Base) -> Candidate:
    config: Any = base.model.config
    lr = prior_lr(config.model_type, base.hidden_size)
    return Candidate(name="a", rank=Settings().lora.rank, alpha=Settings().lora.alpha, lr=lr, seed=0)


def _job(base: Base, found: Drawn, recipe: Candidate, options: argparse.Namespace, folder: Path) -> TrainJob:
    return TrainJob(
        base=base,
        rows=rows_of(base, found.task, found.train),
        dev=rows_of(base, found.task, found.dev),
        candidates=[recipe],
        train=Settings().train.model_copy(update={"epochs": options.epochs}),
        lora=Settings().lora,
        seed=0,
        folder=folder / "trained",
    )


def _graded(bench: Workbench, trial: Trial, found: Drawn) -> Evaluation:
    return bench.score(version_in(bench, trial), found.task, found.dev, columns=("channel",))


def _screened(
    base: Base, plan: Ablation, job: TrainJob, recipe: Candidate, options: argparse.Namespace
) -> dict[str, float]:
    few = screen_candidates(plan, recipe, options.epochs)
    finalists = job.train.model_copy(update={"finalists": len(few)})
    folder = job.folder.parent / "screened"
    asked = replace(job, candidates=few, subsets=screen_subsets(plan), train=finalists, folder=folder)
    adapters = load_parts(base, train(asked), folder)
    return shapley([part.name for part in plan.parts], value_of_mixes(base, plan, adapters, job.dev))


def shown(found: Found) -> str:
    """The waterfall, what each batch takes off the dev loss in truth and by the screen, and whether to believe that."""
    told, screens, seconds = found
    lines = [told.as_text(), "", "fall of the dev loss, thousandths of a nat a token: leave-one-out, screen"]
    for name, value in screens["loss"].screening.values.items():
        lines.append(f"{name:<14} {1000 * screens['loss'].truth[name]:+7.1f} {1000 * value:+7.1f}")
    lines += [f"against {name}: {one.screening.note}" for name, one in screens.items()]
    return "\n".join([*lines, ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())])


def main() -> None:
    """Prints one draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("seed", 0), ("batches", 5), ("rows", 30), ("people", 30), ("dev", 100), ("epochs", 8)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(options)
    if options.json:
        screens = {name: {**as_json(one.screening), "truth": one.truth} for name, one in found.screens.items()}
        told = {"attribution": found.attribution.as_json(), "screens": screens, "seconds": found.seconds}
        print(json.dumps(told))
    else:
        print(shown(found))


if __name__ == "__main__":
    main()
