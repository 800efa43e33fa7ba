"""Tries a training recipe on rows of the real sets that are no official test rows, several seeds in a row.

    python benchmarks/recipe.py --data FOLDER --sets clinc_banking --seeds 0,1,2 --set train.epochs=10

Each project is drawn as in real_data.py, from the official train and validation splits, and its seed decides the roles.
Training and early stopping see train and dev_b as in a round; the score is on the project's other rows. TF-IDF with
logistic regression gets the same rows. The set `claims` is the example that ships with burnish.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from real_data import SOURCES, plain_scores, prepare

from burnish.config import Settings
from burnish.fingerprint import fingerprint
from burnish.loop.attempt import add_once
from burnish.loop.demo import example_file
from burnish.loop.project import Project, create_project, open_project
from burnish.loop.seeds import Seeds, gather
from burnish.loop.workbench import Workbench
from burnish.records import Example, ModelVersion, Trial
from burnish.stats.pairs import paired_interval
from burnish.stats.rates import mean_interval
from burnish.talk import Silence
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train
from burnish.tune.search import candidates, pick, token_dropout

HELD_OUT = 500


class Outcome(NamedTuple):
    """What one recipe did on one set with one seed."""

    chosen: Trial
    scores: list[float]
    """Right and wrong of the chosen adapter on the held-out rows."""
    plain: list[float]
    """The same of TF-IDF with logistic regression."""
    by_lr: dict[float, float]
    """Accuracy of each finalist by its learning rate."""
    num_train: int
    seconds: float


def project_of(name: str, data: Path, options: Sequence[str], folder: Path) -> Project:
    """A project with the rows of a set."""
    create_project(folder / "project", Settings())
    project = open_project(folder / "project", [*(SOURCES[name].settings if name in SOURCES else ()), *options])
    if name in SOURCES:
        file, _ = prepare(SOURCES[name], data, folder)
    else:
        keys = ("id", "text", "intent", "channel", "group")
        rows = [json.loads(line) for line in example_file().read_text(encoding="utf-8").splitlines()]
        file = folder / "claims.jsonl"
        file.write_text("".join(json.dumps({key: row[key] for key in keys}) + "\n" for row in rows), encoding="utf-8")
    add_once(project, file, Silence(), skip_bad=True)
    return project


def held_out(seeds: Seeds) -> list[Example]:
    """Rows of the roles that no training sees, at most HELD_OUT of them."""
    others = [row for role in seeds.by_role if role not in ("train", "dev_b", "aside") for row in seeds.of(role)]
    return sorted(others, key=lambda row: fingerprint(row.content_hash))[:HELD_OUT]


def texts(rows: Sequence[Example]) -> list[tuple[str, str]]:
    """Prompt and answer of each row."""
    return [(row.prompt[-1].content, row.answer) for row in rows]


def tried(name: str, data: Path, options: Sequence[str]) -> Outcome:
    """Trains by the recipe, picks on dev_b as a round does, and scores every finalist on the held-out rows."""
    with tempfile.TemporaryDirectory() as place:
        project = project_of(name, data, options, Path(place))
        seeds, settings = gather(project), project.settings
        bench = Workbench(settings, project.folder, Silence())
        job = TrainJob(
            base=bench.base,
            rows=rows_of(bench.base, seeds.task, seeds.of("train")),
            dev=rows_of(bench.base, seeds.task, seeds.of("dev_b")),
            candidates=candidates(settings, bench.base),
            train=settings.train,
            lora=settings.lora,
            seed=settings.seed,
            folder=project.folder / "trained",
            token_dropout=token_dropout(settings, seeds.task, bench.base),
        )
        began = time.process_time()
        trials = train(job)
        seconds = time.process_time() - began
        finalists = [trial for trial in trials if trial.stopped not in ("outrun", "diverged")]
        known = [
            replace(trial, dev_score=mean_interval(scores_of(bench, trial, seeds, seeds.of("dev_b"))))
            for trial in finalists
        ]
        chosen = pick(known)
        asked = held_out(seeds)
        rest = {trial.candidate.lr: scores_of(bench, trial, seeds, asked) for trial in finalists}
        return Outcome(
            chosen=chosen,
            scores=rest[chosen.candidate.lr],
            plain=plain_scores(texts(seeds.of("train")), texts(seeds.of("dev_b")), texts(asked)),
            by_lr={lr: sum(scores) / len(scores) for lr, scores in rest.items()},
            num_train=len(job.rows),
            seconds=seconds,
        )


def version_in(bench: Workbench, trial: Trial) -> ModelVersion:
    """A trained adapter, in the folder `trained` of the bench, as an entry for a registry."""
    return ModelVersion(
        name=trial.candidate.name,
        round=1,
        adapter_hash=trial.adapter_hash,
        artifact=f"trained/{trial.folder}",
        base=bench.base.name,
        base_hash=bench.base.base_hash,
        template_hash=bench.base.chat.template_hash,
    )


def scores_of(bench: Workbench, trial: Trial, seeds: Seeds, rows: Sequence[Example]) -> list[float]:
    """A trained adapter's right and wrong answers to rows."""
    model = version_in(bench, trial)
    return [row.score or 0.0 for row in bench.score(model, seeds.task, rows).rows]


def shown(name: str, seed: int, found: Outcome) -> str:
    """One seed as a line: accuracies, paired gap with interval, the chosen adapter, CPU seconds of training."""
    gap = paired_interval([a - b for a, b in zip(found.scores, found.plain, strict=True)])
    assert gap.value is not None
    low, high = (math.nan if end is None else 100 * end for end in (gap.low, gap.high))
    by_lr = ", ".join(f"{lr:.2g}: {100 * value:.1f}" for lr, value in found.by_lr.items())
    chosen = found.chosen
    return (
        f"{name} seed {seed}: {found.num_train} rows, tuned {_percent(found.scores)}, TF-IDF {_percent(found.plain)}, "
        f"gap {100 * gap.value:+.1f} [{low:+.1f}, {high:+.1f}], n {len(found.scores)}; "
        f"lr {chosen.candidate.lr:.2g} step {chosen.best_step} {chosen.stopped} ({by_lr}), {found.seconds:.0f} CPU s"
    )


def _percent(scores: Sequence[float]) -> str:
    return f"{100 * sum(scores) / len(scores):.1f}"


def main() -> None:
    """Prints a line for each seed of each set, and the mean over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("BURNISH_REAL_DATA", ""))
    parser.add_argument("--sets", default="claims")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--set", action="append", default=[], dest="options", metavar="A.B=C")
    asked = parser.parse_args()
    for name in asked.sets.split(","):
        gaps, means = [], []
        for seed in map(int, asked.seeds.split(",")):
            found = tried(name, Path(asked.data), [*asked.options, f"seed={seed}"])
            print(shown(name, seed, found), flush=True)
            means.append(100 * sum(found.scores) / len(found.scores))
            gaps.append(means[-1] - 100 * sum(found.plain) / len(found.plain))
        print(f"{name}: mean {sum(means) / len(means):.1f}, gap {sum(gaps) / len(gaps):+.1f}", flush=True)


if __name__ == "__main__":
    main()
