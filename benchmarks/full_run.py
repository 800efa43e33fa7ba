"""One training run of `full` in a process of its own: `python -m benchmarks.full_run SPEC.json` prints a line of JSON.

The spec names an engine: `lora` and `full` are our loop on a project's rows, `trl` is full fine-tuning by TRL's
SFTTrainer on the same rows as tokens (it needs a Python with trl), `score` asks a saved model about the rows held out.
A run tells its looks: dev loss, and what had been spent, at the start and after each epoch.
"""

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import peak_mb
from burnish.energy import energy_counters, joules_between

HELD_OUT = 500
"""Rows at most on which accuracy is measured."""
GROUPED = {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"}
FORMS: dict[str, dict[str, Any]] = {
    "default": {"what": "SFTConfig as it comes: bf16 autocast, gradient checkpointing, its own learning rate"},
    "fp32": {"what": "float32, no checkpointing, grouped by length, 2 rows at once", "bf16": False},
    "autocast": {"what": "as fp32, bfloat16 autocast", "bf16": True},
    "bf16": {"what": "as fp32, weights and moments in bfloat16", "bf16": False, "dtype": "bfloat16"},
}
MICRO = 2
"""Rows at once of the tuned forms, gradients accumulated: fastest for LoRA in benchmarks/train.md."""


class Meter:
    """Seconds, processor seconds and joules from `start` to `pause`, and again; peak memory, and how much was added."""

    def __init__(self) -> None:
        self.before_mb = resident_mb()
        self.seconds = self.cpu_seconds = 0.0
        self.joules: float | None = 0.0
        self.start()

    def start(self) -> None:
        """Counts from now on."""
        self._since = (time.perf_counter(), time.process_time(), energy_counters())

    def pause(self) -> None:
        """Takes in what was spent since `start`."""
        wall, cpu, counters = self._since
        self.seconds += time.perf_counter() - wall
        self.cpu_seconds += time.process_time() - cpu
        spent = joules_between(counters, energy_counters())
        self.joules = None if spent is None or self.joules is None else self.joules + spent

    def read(self) -> dict[str, float | None]:
        """What was spent up to now; goes on counting."""
        self.pause()
        self.start()
        return self.told()

    def told(self) -> dict[str, float | None]:
        """What was spent up to the last pause."""
        spent = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "joules": self.joules}
        return {**spent, "peak_mb": peak_mb(), "added_mb": peak_mb() - self.before_mb}


def resident_mb() -> float:
    """Memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def ours(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Trains as a round does, picks on dev_b, and scores the chosen one on rows that nobody has seen.

    An epoch's look comes right after its last update; what earlier looks cost is in the reading, for they decide early
    stopping.
    """
    from burnish.train.run import train

    bench, seeds = opened(spec)
    job = job_of(spec, bench, seeds)
    steps_per_epoch = -(-len(job.rows) // job.train.batch_size)
    spent: dict[int, dict[str, float | None]] = {0: dict.fromkeys(("seconds", "cpu_seconds"), 0.0)}
    meter, steps = Meter(), 0

    def after_step() -> bool:
        nonlocal steps
        steps += 1
        if steps % steps_per_epoch == 0:
            spent[steps] = meter.read()
        return False

    trials = train(job, should_stop=after_step)
    meter.pause()
    total = meter.told()
    by_step: dict[int, float] = {}
    for point in (point for trial in trials for point in trial.curve if point.dev_loss is not None):
        by_step[point.step] = min(point.dev_loss, by_step.get(point.step, float("inf")))
    looks = [{"step": step, "loss": loss, **spent[step]} for step, loss in sorted(by_step.items())]
    return {"looks": looks, **total, **_chosen(bench, seeds, spec, trials), "precision": bench.base.precision}


def opened(spec: Mapping[str, Any]) -> tuple[Any, Any]:
    """The project's bench and its examples by role, the same in every process."""
    from burnish.loop.project import open_project
    from burnish.loop.seeds import gather
    from burnish.loop.workbench import Workbench
    from burnish.talk import Silence

    project = open_project(Path(spec["project"]), spec["options"])
    return Workbench(project.settings, project.folder, Silence()), gather(project)


def job_of(spec: Mapping[str, Any], bench: Any, seeds: Any) -> Any:
    """What a round of this project would train."""
    from burnish.train.job import TrainJob, rows_of
    from burnish.tune.search import candidates, token_dropout

    settings, base = bench.settings, bench.base
    return TrainJob(
        base=base,
        rows=rows_of(base, seeds.task, seeds.of("train"))[: spec["most"]],
        dev=rows_of(base, seeds.task, seeds.of("dev_b"))[: spec["most"]],
        candidates=candidates(settings, base),
        train=settings.train,
        lora=settings.lora,
        seed=settings.seed,
        folder=bench.root / spec["engine"],
        token_dropout=token_dropout(settings, seeds.task, base),
    )


def _chosen(bench: Any, seeds: Any, spec: Mapping[str, Any], trials: Sequence[Any]) -> dict[str, Any]:
    """The trial that a round takes, and its answers to the rows held out."""
    from dataclasses import replace

    from burnish.stats.rates import mean_interval
    from burnish.tune.search import pick

    known = []
    for trial in (trial for trial in trials if trial.stopped not in ("outrun", "diverged")):
        place = f"{spec['engine']}/{trial.folder}"
        scores = [score for _, score in _scores(bench, seeds, place, seeds.of("dev_b")[: spec["most"]])]
        known.append(replace(trial, dev_score=mean_interval(scores)))
    chosen = pick(known)
    scores = _scores(bench, seeds, f"{spec['engine']}/{chosen.folder}", held_out(seeds, spec["most"]))
    return {"lr": chosen.candidate.lr, "best_step": chosen.best_step, "stopped": chosen.stopped, "scores": scores}


def held_out(seeds: Any, most: int | None = None) -> list[Any]:
    """Rows of the roles that training and picking do not see, at most HELD_OUT of them, drawn by their content."""
    from burnish.fingerprint import fingerprint

    others = [row for role in seeds.by_role if role not in ("train", "dev_b", "aside") for row in seeds.of(role)]
    return sorted(others, key=lambda row: fingerprint(row.content_hash))[: min(most or HELD_OUT, HELD_OUT)]


def _scores(bench: Any, seeds: Any, place: str, rows: Sequence[Any]) -> list[tuple[str, float]]:
    """Group and score of each row, by an adapter or a whole model that lies in the project."""
    from burnish.records import ModelVersion

    model = ModelVersion(
        name=place,
        round=1,
        adapter_hash="",
        artifact=place,
        base=bench.base.name,
        base_hash=bench.base.base_hash,
        template_hash=bench.base.chat.template_hash,
    )
    return [(row.group, row.score or 0.0) for row in bench.score(model, seeds.task, rows).rows]


def score(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A saved model's answers to the rows held out."""
    bench, seeds = opened(spec)
    return {"scores": _scores(bench, seeds, spec["keep"], held_out(seeds, spec["most"]))}


def trl(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Trains every weight with SFTTrainer. Looks are off the meter; the best weights so far are kept, off it too."""
    from transformers import TrainerCallback

    looks: list[dict[str, Any]] = []
    meter = Meter()

    class Look(TrainerCallback):
        def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            meter.pause()
            loss = dev_loss(model, spec["dev"])
            if loss < min(look["loss"] for look in looks):
                _keep(model, spec)
            looks.append({"step": state.global_step, "loss": loss, **meter.told()})
            meter.start()

    with tempfile.TemporaryDirectory() as scratch:
        trainer = _trainer(spec, scratch, Look())
        looks.append({"step": 0, "loss": dev_loss(trainer.model, spec["dev"]), "seconds": 0.0, "cpu_seconds": 0.0})
        _keep(trainer.model, spec)
        meter = Meter()
        trainer.train()
        meter.pause()
    return {"looks": looks, **meter.told(), "lr": trainer.args.learning_rate}


def _trainer(spec: Mapping[str, Any], scratch: str, look: Any) -> Any:
    import datasets
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    form = {key: value for key, value in FORMS[spec["form"]].items() if key != "what"}
    dtype = getattr(torch, form.pop("dtype", "float32"))
    settings: dict[str, Any] = {"per_device_train_batch_size": spec["batch"], "num_train_epochs": spec["epochs"]}
    if spec["form"] != "default":
        micro = {"per_device_train_batch_size": MICRO, "gradient_accumulation_steps": max(1, spec["batch"] // MICRO)}
        settings |= {**GROUPED, **micro, "learning_rate": spec["lr"], "warmup_steps": 0.05, **form}
    config = SFTConfig(
        output_dir=scratch,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        max_length=None,
        **settings,
    )
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(spec["base"], dtype=dtype),
        args=config,
        train_dataset=datasets.Dataset.from_list([_labelled(row) for row in spec["rows"]]),
        processing_class=PreTrainedTokenizerFast.from_pretrained(spec["base"]),
        callbacks=[look],
    )


def _labelled(row: Mapping[str, Any]) -> dict[str, Any]:
    labels = [token if mark else -100 for token, mark in zip(row["tokens"], row["learned"], strict=True)]
    return {"input_ids": row["tokens"], "labels": labels}


def dev_loss(model: Any, rows: Sequence[Mapping[str, Any]]) -> float:
    """Mean negative log-likelihood of the target tokens in nats, as our loop measures it."""
    import torch

    was_training = model.training
    model.eval()
    total = count = 0.0
    with torch.no_grad():
        for tokens_BT, labels_BT in _padded(rows):
            logits = model(input_ids=tokens_BT).logits[:, :-1].float().flatten(0, 1)
            total += float(torch.nn.functional.cross_entropy(logits, labels_BT[:, 1:].flatten(), reduction="sum"))
            count += int((labels_BT[:, 1:] != -100).sum())
    model.train(was_training)
    return total / count


def _padded(rows: Sequence[Mapping[str, Any]], at_once: int = 8) -> Iterator[tuple[Any, Any]]:
    """Tokens and labels, padded on the right, where nothing before can see it."""
    import torch

    ordered = sorted(map(_labelled, rows), key=lambda row: len(row["input_ids"]))
    for start in range(0, len(ordered), at_once):
        some = ordered[start : start + at_once]
        width = len(some[-1]["input_ids"])
        yield tuple(
            torch.tensor([row[key] + [fill] * (width - len(row[key])) for row in some])
            for key, fill in (("input_ids", 0), ("labels", -100))
        )


def _keep(model: Any, spec: Mapping[str, Any]) -> None:
    model.save_pretrained(spec["keep"])
    for path in Path(spec["base"]).glob("*token*"):
        shutil.copy(path, spec["keep"])


ENGINES = {"lora": ours, "full": ours, "trl": trl, "score": score}

if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps(ENGINES[told["engine"]](told)))
