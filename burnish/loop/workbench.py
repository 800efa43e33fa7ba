"""The base model on the bench: loaded once, with one adapter attached at a time, and the same scoring path for all."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from burnish.config import Settings
from burnish.data.conversation import conversation
from burnish.evaluate.run import evaluate
from burnish.model.adapter import is_adapter, load_adapter
from burnish.model.base import Base, describe_base, load_base
from burnish.model.generate import loss_of
from burnish.model.lora import attach
from burnish.model.rendered import Rendered
from burnish.records import Evaluation, Example, ModelVersion, Task
from burnish.store.files import write_atomic
from burnish.talk import Talk

PRECISION_FILE = "precision"
"""Holds what auto came to, and why: a busy machine could measure otherwise later, and a killed round goes on as is."""
BASE_NAME = "base"
"""Registry name of the untuned base, the first champion of every project."""


class Workbench:
    """A base model, loaded when first needed."""

    def __init__(self, settings: Settings, root: Path, talk: Talk) -> None:
        self.settings = settings
        self.root = root
        self.talk = talk
        self._base: Base | None = None

    @property
    def base(self) -> Base:
        """The project's base model."""
        if self._base is None:
            known = self._remembered()
            base = load_base(self.base_place, revision=self.settings.revision, precision=self.precision)
            self._base = replace(base, reason=known or base.reason)
            self._remember(self._base)
            self.talk.say(f"base: {self.settings.base} ({self._base.reason})")
        return self._base

    @property
    def outline(self) -> Base:
        """The project's base without its weights, for whoever has another engine run it."""
        base = describe_base(self.base_place, revision=self.settings.revision, precision=self.precision)
        known = self._remembered()
        self._remember(base)
        return replace(base, reason=known or base.reason)

    @property
    def precision(self) -> str:
        """The precision in which the base is loaded; auto while nothing was measured."""
        return self._remembered().partition(":")[0] or self.settings.train.precision

    @property
    def base_place(self) -> str:
        """The base as it can be loaded: a folder named from the project is looked for there first."""
        inside = self.root.parent / self.settings.base
        return str(inside) if inside.is_dir() else self.settings.base

    def _remembered(self) -> str:
        """For auto the precision that this project measured first, with its reason, since it decides the weights."""
        asked, file = self.settings.train.precision, self.root / PRECISION_FILE
        return file.read_text(encoding="utf-8").strip() if asked == "auto" and file.exists() else ""

    def _remember(self, base: Base) -> None:
        file = self.root / PRECISION_FILE
        if self.settings.train.precision == "auto" and self.root.is_dir() and not file.exists():
            write_atomic(file, base.reason.encode())

    @property
    def guessing_loss(self) -> float:
        """Loss of guessing uniformly over the vocabulary, in nats per token."""
        return math.log(self.base.vocab_size)

    def score(
        self,
        model: ModelVersion,
        task: Task,
        examples: Sequence[Example],
        *,
        columns: Sequence[str] = (),
        shots: Sequence[Example] = (),
    ) -> Evaluation:
        """The model's answers to the examples and what they score; the one path for every number that is shown."""
        with self.wearing(model) as base:
            return evaluate(
                base,
                task,
                examples,
                model_name=model.name,
                model_hash=model.adapter_hash,
                shots=shots,
                slice_columns=columns,
                talk=self.talk,
            )

    def loss_of(self, rendered: Rendered) -> float:
        """The base's mean loss on the learned tokens of one rendered conversation, in nats."""
        return loss_of(self.base, [rendered])[0]

    def token_counter(self, task: Task) -> Callable[[Example], tuple[int, int, int]]:
        """A function that gives an example's tokens, learned tokens, and control tokens made harmless."""

        def count(example: Example) -> tuple[int, int, int]:
            rendered = self.base.chat.render(conversation(task, example))
            return len(rendered.tokens), sum(rendered.learned), rendered.forged

        return count

    @contextmanager
    def wearing(self, model: ModelVersion) -> Iterator[Base]:
        """The base with the model's adapter in use; a fully tuned model replaces the base for the time being."""
        folder = self.root / model.artifact
        if not model.artifact:
            yield self.base
        elif is_adapter(folder):
            with self.wearing_adapter(folder) as base:
                yield base
        else:
            yield load_base(str(folder), precision=self.base.precision)

    @contextmanager
    def wearing_adapter(self, folder: Path) -> Iterator[Base]:
        """The base with the adapter in a folder in use."""
        spec, state = load_adapter(folder, self.base)
        bank = attach(self.base.model, [spec], self.settings.lora.targets)
        try:
            bank.load(0, state)
            with bank.use(0):
                yield self.base
        finally:
            bank.detach()
