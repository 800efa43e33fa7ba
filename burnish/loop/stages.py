"""The stages of a round: each a function from frozen inputs to one sealed artifact, paid for before it is made.

A finished stage is never redone: its key holds everything that it depends on. Raise a stage's version when its code
starts to give other results.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burnish.budget import Budget, open_budget
from burnish.config import Settings, TrainSettings
from burnish.data.dataset import set_hash
from burnish.data.provenance import SYNTHETIC, provenance
from burnish.evaluate.files import load_evaluation, save_evaluation
from burnish.fingerprint import fingerprint
from burnish.loop.project import Project, settings_with
from burnish.loop.seeds import Seeds, checked, gather
from burnish.loop.workbench import Workbench
from burnish.model.adapter import adapter_shape, is_adapter
from burnish.model.base import Base
from burnish.records import Candidate, Cost, Evaluation, Example, ModelVersion, Trial, as_json, from_json
from burnish.store.manifest import Sealed
from burnish.store.stage import run_stage
from burnish.talk import Talk
from burnish.train.batch import Row, hash_rows
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train
from burnish.tune.rows import with_recipe
from burnish.tune.search import PEOPLE_ONLY, candidates, on_people_only, token_dropout

EVALUATE_VERSION = 3
TRAIN_VERSION = 4
WIDE_EVERY = 3
OUTSIDE_ROUNDS = 0
"""Number under which work that belongs to no round is kept in the ledger of costs."""
GUESSED_TOKENS_PER_S = 2_000.0
"""Used for the first forecast of a project; later ones come from its own ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What every stage of one round needs: the project, its examples, the bench, and who pays."""

    project: Project
    seeds: Seeds
    bench: Workbench
    budget: Budget
    talk: Talk
    number: int
    should_stop: Callable[[], bool] = lambda: False

    def run(
        self,
        stage: str,
        version: int,
        settings: Any,
        inputs: Mapping[str, str],
        tokens: int,
        work: Callable[[Path], Any],
    ) -> Sealed:
        """The sealed artifact of a stage: found, or made by `work` inside the budget."""

        def paid(folder: Path) -> dict[str, Any]:
            with self.budget.measured(f"{self.number:03d}/{stage}", self._forecast(stage, tokens)) as meter:
                record: dict[str, Any] = work(folder)
                meter.add(tokens=int(record.get("num_tokens", 0)))
            return record

        return run_stage(
            self.project.store,
            stage=stage,
            version=version,
            settings=settings,
            inputs=inputs,
            seed=self.project.settings.seed,
            work=paid,
            talk=self.talk,
        )

    def _forecast(self, stage: str, tokens: int) -> Cost:
        known = [cost for name, cost in self.budget.by_stage().items() if name.endswith(f"/{stage}")]
        done, seconds = sum(cost.tokens for cost in known), sum(cost.seconds for cost in known)
        rate = done / seconds if done and seconds else GUESSED_TOKENS_PER_S
        return Cost(seconds=tokens / rate, tokens=tokens)


def shop_outside_rounds(project: Project, talk: Talk, should_stop: Callable[[], bool]) -> Shop:
    """A shop for work between rounds. Raises DataError on data that cannot be believed."""
    seeds = gather(project)
    bench = Workbench(project.settings, project.store.root, talk)
    checked(seeds, project, bench.token_counter(seeds.task), talk, bench.base.max_tokens)
    budget = open_budget(project.store, project.settings.budget, talk)
    return Shop(
        project=project,
        seeds=seeds,
        bench=bench,
        budget=budget,
        talk=talk,
        number=OUTSIDE_ROUNDS,
        should_stop=should_stop,
    )


def stage_costs(shop: Shop) -> dict[str, Cost]:
    """What each stage of this round used, over all its attempts."""
    prefix = f"{shop.number:03d}/"
    return {name.removeprefix(prefix): cost for name, cost in shop.budget.by_stage().items() if name.startswith(prefix)}


def total_cost(shop: Shop) -> Cost:
    """Everything that this round used."""
    costs = stage_costs(shop).values()
    joules = [cost.joules for cost in costs if cost.joules is not None]
    return Cost(
        usd=sum(cost.usd for cost in costs),
        seconds=sum(cost.seconds for cost in costs),
        tokens=sum(cost.tokens for cost in costs),
        joules=sum(joules) if joules else None,
        reviewer_minutes=sum(cost.reviewer_minutes for cost in costs),
    )


def score_stage(
    shop: Shop,
    model: ModelVersion,
    role: str,
    *,
    shots: Sequence[Example] = (),
    examples: Sequence[Example] | None = None,
) -> Evaluation:
    """The evaluation of a model on the examples of a role."""
    rows = shop.seeds.of(role) if examples is None else examples
    columns = shop.seeds.columns
    task = shop.seeds.task

    def work(folder: Path) -> dict[str, Any]:
        evaluation = shop.bench.score(model, task, rows, columns=columns, shots=shots)
        save_evaluation(folder, evaluation)
        return {"num_tokens": evaluation.num_tokens, "model": model.name}

    inputs = {
        "model": model.adapter_hash,
        "base": shop.bench.base.base_hash,
        "template": shop.bench.base.chat.template_hash,
        "examples": set_hash(rows),
        "shots": set_hash(shots),
    }
    settings = {"task": as_json(task), "columns": list(columns), "name": model.name}
    sealed = shop.run("evaluate", EVALUATE_VERSION, settings, inputs, 60 * len(rows), work)
    return load_evaluation(sealed.path)


def train_stage(shop: Shop, champion: ModelVersion) -> tuple[Sealed, tuple[Trial, ...]]:
    """All candidates of the search, trained as one bank on train and stopped early on dev_b.

    Where synthetic rows may train, each candidate is there once more without them, so that dev_b chooses.
    A round after a promotion starts from the champion's recipe; every third one searches widely again.
    """
    settings, base = on_examples(shop.project.settings), shop.bench.base
    is_known = champion.lr is not None and settings.train.lr == "auto" and shop.number % WIDE_EVERY
    tried = candidates(as_champion(shop.project.store.root, settings, champion) if is_known else settings, base)
    tried = (*tried, *on_people_only(tried)) if is_compared(settings, shop.seeds) else tried
    job = job_of(settings, base, shop.seeds, tried)
    inputs = {
        "base": base.base_hash,
        "template": base.chat.template_hash,
        "train": hash_rows(job.rows),
        "dev_b": hash_rows(job.dev),
    }
    asked = settings.train.model_dump(mode="json", exclude={"checkpoint_every_s"})
    key = {
        "train": asked,
        "lora": settings.lora.model_dump(mode="json"),
        "candidates": [as_json(candidate) for candidate in tried],
        "task": as_json(shop.seeds.task),
        "precision": base.precision,
        "token_dropout": job.token_dropout,
    }
    return train_sealed(shop, "train", TRAIN_VERSION, key, inputs, job)


def as_champion(root: Path, settings: Settings, champion: ModelVersion | None) -> Settings:
    """Settings of one candidate at the champion's learning rate and alpha, each where the settings leave it open.

    `root` is the store's, in which the champion's adapter lies.
    """
    changes: dict[str, object] = {"train.search": [1.0]}
    if champion is not None and champion.lr is not None and settings.train.lr == "auto":
        changes["train.lr"] = champion.lr
        folder = root / champion.artifact
        if settings.lora.alpha == "auto" and is_adapter(folder):
            changes["lora.alpha"] = adapter_shape(folder).alpha
    return settings_with(settings, changes)


def on_examples(settings: Settings) -> Settings:
    """The settings with which a round trains on examples: whatever preferences are learned comes after that."""
    plain = TrainSettings()
    changes = {"objective": plain.objective, "beta": plain.beta, "sft_weight": plain.sft_weight}
    if settings.train.objective == plain.objective:
        return settings
    return settings_with(settings, {f"train.{name}": value for name, value in changes.items()})


def is_compared(settings: Settings, seeds: Seeds) -> bool:
    """Whether each candidate trains without synthetic rows, too."""
    return settings.synthesize.compare and bool(seeds.trusted.weighed)


def job_of(
    settings: Settings,
    base: Base,
    seeds: Seeds,
    tried: Sequence[Candidate],
    examples: Sequence[Example] | None = None,
) -> TrainJob:
    """Training of these candidates on train and trusted synthetic rows, or on `examples` instead, with dev_b beside it.

    No folder is set yet. The subset PEOPLE_ONLY is there where some rows are synthetic. Which of the
    rows are used, and with which weight, is what `with_recipe` says under the settings.
    """
    settings = on_examples(settings)
    mixed = with_recipe(
        seeds.learned if examples is None else examples,
        human_weight=settings.train.human_weight,
        replay_share=settings.train.replay_share,
        seed=settings.seed,
    )
    people = [row.id for row in mixed if provenance(row) != SYNTHETIC]
    passes = settings.train.passes(len(mixed), len(seeds.task.labels))
    return TrainJob(
        base=base,
        rows=rows_of(base, seeds.task, mixed),
        subsets={PEOPLE_ONLY: people} if 0 < len(people) < len(mixed) else {},
        dev=rows_of(base, seeds.task, seeds.of("dev_b")),
        candidates=tried,
        train=settings.train.model_copy(update={"epochs": passes}),
        lora=settings.lora,
        seed=settings.seed,
        folder=Path(),
        token_dropout=token_dropout(settings, seeds.task, base),
    )


def train_sealed(
    shop: Shop, stage: str, version: int, key: Mapping[str, Any], inputs: Mapping[str, str], job: TrainJob
) -> tuple[Sealed, tuple[Trial, ...]]:
    """A training as a stage: found, or run in the stage's own folder; with the trial of each candidate."""

    def work(folder: Path) -> dict[str, Any]:
        trials = train(replace(job, folder=folder), talk=shop.talk, should_stop=shop.should_stop)
        return {"trials": [as_json(trial) for trial in trials], "num_tokens": _tokens_seen(job.rows, trials)}

    num_tokens = sum(len(row.tokens) for row in job.rows) * job.train.passes(len(job.rows)) * len(job.candidates)
    sealed = shop.run(stage, version, key, inputs, num_tokens, work)
    return sealed, tuple(from_json(Trial, trial) for trial in sealed.record["trials"])


def _tokens_seen(rows: Sequence[Row], trials: Sequence[Trial]) -> int:
    """Tokens that all candidates together were trained on; one that stopped early saw fewer."""
    epochs = sum(max((point.epoch for point in trial.curve), default=0.0) for trial in trials)
    return round(epochs * sum(len(row.tokens) for row in rows))


def version_of(shop: Shop, sealed: Sealed, trial: Trial, champion: ModelVersion) -> ModelVersion:
    """A trial as an entry for the registry: named by its round and the hash of its weights."""
    base = shop.bench.base
    folder = sealed.path / trial.folder
    return ModelVersion(
        name=f"r{shop.number}-{trial.candidate.name}-{trial.adapter_hash[:6]}",
        round=shop.number,
        adapter_hash=trial.adapter_hash,
        artifact=str(folder.relative_to(shop.project.store.root)),
        base=shop.project.settings.base,
        base_hash=base.base_hash,
        template_hash=base.chat.template_hash,
        parents=(champion.name,),
        data=shop.seeds.data,
        lr=trial.candidate.lr,
        settings_hash=fingerprint(shop.project.settings.model_dump(mode="json")),
    )
