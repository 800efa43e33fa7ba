"""The learning of a generator: an adapter on people's rows, held to rows that it has not seen; else the base itself.

With few rows, or where the adapter remembers instead of learning, the base writes on from rows that it is shown (Zhu et
al. 2025, BARE, arXiv 2502.01697, on why an untuned base writes more variedly).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from burnish.config import Settings
from burnish.fingerprint import fingerprint
from burnish.loop.documents import Documents
from burnish.loop.project import settings_with
from burnish.loop.sampler import Learned, Sampler, row_from
from burnish.model.base import Base
from burnish.model.generate import target_logprobs
from burnish.model.rendered import Rendered
from burnish.records import Example, as_json
from burnish.synthesize.generator import MOST_MEMORISED, MOVE, Kin, memorised_share, split_held_out
from burnish.train.batch import Row
from burnish.train.job import NO_EFFECT, TrainJob
from burnish.train.run import train
from burnish.tune.search import candidates

GENERATOR_VERSION = 1
FEWEST_ROWS = 60
"""People's rows below which nothing is trained."""
NUM_PROBES = 100
"""Samples by which memory is judged: two of them may be copies."""
LONGER = 1.5
"""A sample may have so many times the tokens of the longest row of people."""
PATIENCE = 1
"""Epochs without a lower loss on held-out rows: what comes later is memory."""
TOKENS_A_DOCUMENT = 120
"""For the forecast of a first batch."""


class Learner:
    """Trains in a folder; a killed training goes on from its checkpoint where folder/scratch survives."""

    def __init__(self, documents: Documents, sampler: Sampler, folder: Path) -> None:
        self.documents, self.sampler, self.folder = documents, sampler, folder
        self.num_tokens = 0

    def learn(self, rows: Sequence[Example], seed: int) -> Learned:
        """The adapter where there are rows enough and it does not remember too much; else the base."""
        documents, task = self.documents, self.documents.task
        most_tokens = round(LONGER * documents.longest(rows)) + 2
        plain = Learned(folder=None, name=documents.base.base_hash, real=(), most_tokens=most_tokens, note="")
        if len(rows) < FEWEST_ROWS:
            return self._untrained(plain, rows, seed, f"{len(rows)} rows of people are too few to train on")
        split = split_held_out(rows, seed=seed)
        if not split.learned:
            return self._untrained(plain, rows, seed, "all rows of people are of one group, so none can be held out")
        train_rows = documents.marked(documents.of(split.learned, split.learned, seed), whole=True)
        dev_rows = documents.marked(documents.of(split.held, split.learned, seed), whole=False)
        job = self._job(train_rows, dev_rows, seed)
        (trial,) = train(job, talk=self.sampler.talk, should_stop=self.sampler.should_stop)
        epochs = max((point.epoch for point in trial.curve), default=0.0)
        self.num_tokens += round(epochs * sum(len(row.tokens) for row in train_rows))
        if trial.stopped == "diverged" or not trial.learned:
            return self._untrained(plain, rows, seed, "its training taught it nothing")
        losses = [point.dev_loss for point in trial.curve if point.dev_loss is not None]
        trained = replace(plain, folder=self.folder / trial.folder, name=trial.adapter_hash)
        share = self._memorised(trained, split.learned, seed)
        usual = memorised_share(split.held, split.learned, task)
        told = f"{share:.1%} of {NUM_PROBES} probes are copies of rows it learned"
        if share > max(MOST_MEMORISED, usual.value or 0.0):
            return self._untrained(plain, rows, seed, f"its adapter is not used: {told}")
        note = f"held-out loss {losses[0]:.2f} before training, {min(losses):.2f} after; {told}"
        return replace(trained, real=self._real(trained, dev_rows), note=note)

    def _untrained(self, plain: Learned, rows: Sequence[Example], seed: int, why: str) -> Learned:
        """The base itself: it has seen no row, so all of them tell what is likely."""
        documents = self.documents.marked(self.documents.of(rows, rows, seed), whole=False)
        self.sampler.talk.say(f"generator: {why}; the base writes from shots alone")
        return replace(plain, real=self._real(plain, documents), note=f"{why}; the base wrote from shots alone")

    def _job(self, rows: Sequence[Row], dev: Sequence[Row], seed: int) -> TrainJob:
        """One adapter of the project's shape at the learning rate that its base suggests."""
        settings = generator_settings(self.documents.bench.settings)
        (candidate,) = candidates(settings, self.documents.base)
        return TrainJob(
            base=self.documents.base,
            rows=rows,
            dev=dev,
            candidates=[replace(candidate, name=MOVE)],
            train=settings.train,
            lora=settings.lora,
            seed=seed,
            folder=self.folder,
        )

    def _real(self, learned: Learned, rows: Sequence[Row]) -> tuple[float, ...]:
        """The loss per token of each row's own line."""
        rendered = [Rendered(tokens=tuple(row.tokens), learned=tuple(row.learned), pieces=()) for row in rows]
        with self.sampler.wearing(learned) as base:
            return tuple(-float(one.mean()) for one in target_logprobs(base, rendered))

    def _memorised(self, learned: Learned, seen: Sequence[Example], seed: int) -> float:
        """The share of copies among samples that are not used otherwise."""
        order = Random(fingerprint(["probe", seed])).sample(seen, len(seen))
        kin = Kin(seen, self.documents.task, self.documents.columns)
        drafts = [self.sampler.draft([order[at % len(order)]], kin, ["probe", seed, at]) for at in range(NUM_PROBES)]
        rows = [row_from(sample, self.documents.task, "") for sample in self.sampler.samples(learned, drafts)]
        return memorised_share([one.example for one in rows if one], seen, self.documents.task).value or 0.0


def generator_settings(settings: Settings) -> Settings:
    """The settings of a project as its generator is trained: one adapter, one learning rate, early stopping."""
    return settings_with(
        settings,
        {
            "train.method": "lora",
            "train.objective": "sft",
            "train.search": [1.0],
            "train.patience": PATIENCE,
            "train.token_dropout": 0.0,
        },
    )


def generator_key(settings: Settings, base: Base) -> dict[str, Any]:
    """What decides an adapter of a generator beside the rows and the base's weights, for the key of a stage."""
    own = generator_settings(settings)
    (candidate,) = candidates(own, base)
    return {
        "version": GENERATOR_VERSION,
        "train": own.train.model_dump(mode="json", exclude=NO_EFFECT),
        "lora": own.lora.model_dump(mode="json"),
        "candidate": as_json(candidate),
        "precision": base.precision,
    }


def forecast_tokens(num_rows: int, settings: Settings) -> int:
    """Tokens that the training on so many rows of people may take."""
    return 0 if num_rows < FEWEST_ROWS else num_rows * TOKENS_A_DOCUMENT * settings.train.passes(num_rows)
