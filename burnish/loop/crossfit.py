"""Adapters that vote on made rows by cross-fitting: each is trained on people's rows without one part of them.

Half of the rows are kept from each of two adapters, so a row that was made from one half is judged by the adapter that
never saw it. The champion saw all of people's rows, and would praise what is close to them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from burnish.evaluate.run import evaluate
from burnish.fingerprint import fingerprint
from burnish.loop.project import settings_with
from burnish.loop.stages import Shop, job_of
from burnish.records import Example, Trial
from burnish.synthesize.votes import FEWEST, folds
from burnish.train.job import TrainJob
from burnish.train.run import train
from burnish.tune.search import candidates

NUM_FOLDS = 2
"""Each further one costs a training more and shows its adapter more rows."""
FOLDER = "cross_fit"
ALIKE = {"train.method": "lora", "train.objective": "sft", "train.search": [1.0]}
"""What is set otherwise than in the project: adapters that learn examples, all by one recipe."""


class CrossFit:
    """The adapters, trained in the folder when they are first asked; a killed training goes on there.

    Deterministic in the project's base, settings, task and people's rows.
    """

    def __init__(self, shop: Shop, folder: Path) -> None:
        self.shop, self.folder = shop, folder / FOLDER
        self.seeds = shop.seeds.of("train")
        self.fold_of = folds(self.seeds, NUM_FOLDS)
        self.trials: tuple[Trial, ...] = ()
        self.num_tokens = 0

    def answers(self, rows: Sequence[Example], parents: Mapping[str, Collection[str]]) -> dict[str, str]:
        """What an adapter that saw neither a row nor a parent of it answers, by id, for people's rows and for these.

        A row with parents in both halves has no such adapter; one whose label its adapter hardly saw gets no answer,
        and none does where an adapter diverged.
        """
        if not self.trials:
            self.trials = self._train()
        if any(trial.stopped == "diverged" for trial in self.trials):
            return {}
        unseen = {row.id: {self.fold_of[name] for name in parents.get(row.id, ())} or {0} for row in rows}
        found: dict[str, str] = {}
        for fold, trial in enumerate(self.trials):
            own = [row for row in self.seeds if self.fold_of[row.id] == fold]
            own += [row for row in rows if unseen[row.id] == {fold}]
            seen = Counter(row.answer for row in self.seeds if self.fold_of[row.id] != fold)
            found |= self._asked(trial, [row for row in own if seen[row.answer] >= FEWEST])
        return found

    def note(self) -> str:
        """What was trained, for the record; empty while nothing was asked."""
        if not self.trials:
            return ""
        left = [trial.candidate.name for trial in self.trials if trial.stopped == "diverged"]
        told = f"{len(self.trials)} adapters voted, each on what it had not seen"
        return f"no adapter voted: {', '.join(left)} diverged" if left else told

    def _train(self) -> tuple[Trial, ...]:
        job = replace(job_of_folds(self.shop, self.fold_of), folder=self.folder)
        trials = train(job, talk=self.shop.talk, should_stop=self.shop.should_stop)
        lengths = {row.id: len(row.tokens) for row in job.rows}
        for trial in trials:
            epochs = max((point.epoch for point in trial.curve), default=0.0)
            self.num_tokens += round(epochs * sum(lengths[name] for name in job.subsets[trial.candidate.subset]))
        return tuple(trials)

    def _asked(self, trial: Trial, rows: Sequence[Example]) -> dict[str, str]:
        shop = self.shop
        with shop.bench.wearing_adapter(self.folder / trial.folder) as base:
            told = evaluate(
                base,
                shop.seeds.task,
                rows,
                model_name=trial.candidate.name,
                model_hash=trial.adapter_hash,
                talk=shop.talk,
            )
        return {row.example: row.output for row in told.rows}


def job_of_folds(shop: Shop, fold_of: Mapping[str, int]) -> TrainJob:
    """One candidate a fold by one recipe, none of which leaves because another is better; no folder is set yet."""
    settings, base, seeds = settings_with(shop.project.settings, ALIKE), shop.bench.base, shop.seeds
    (recipe,) = candidates(settings, base)
    tried = [replace(recipe, name=_name(fold), subset=_name(fold)) for fold in range(NUM_FOLDS)]
    job = job_of(settings, base, seeds, tried, seeds.of("train"))
    return replace(
        job,
        subsets={
            _name(fold): [row.id for row in job.rows if fold_of.get(row.id, fold + 1) != fold]
            for fold in range(NUM_FOLDS)
        },
        train=job.train.model_copy(update={"finalists": NUM_FOLDS}),
    )


def cross_fit_key(shop: Shop) -> str:
    """Hash of everything that decides the adapters, for the key of a stage."""
    return fingerprint(job_of_folds(shop, folds(shop.seeds.of("train"), NUM_FOLDS)).identity())


def forecast_tokens(shop: Shop) -> int:
    """Tokens that the adapters may take: together they see each row once less than there are folds, every epoch."""
    count: Callable[[Example], tuple[int, int, int]] = shop.bench.token_counter(shop.seeds.task)
    rows = shop.seeds.of("train")
    epochs = shop.project.settings.train.passes(len(rows), len(shop.seeds.task.labels))
    return (NUM_FOLDS - 1) * epochs * sum(count(row)[0] for row in rows)


def _name(fold: int) -> str:
    return f"without{fold}"
