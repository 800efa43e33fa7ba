"""What a model answers to one prompt, for people who look: on the path that scores, in the form of the task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp
from pathlib import Path

from burnish.config import Settings
from burnish.data.conversation import conversation
from burnish.errors import DataError, ModelError
from burnish.loop.project import Project, open_project
from burnish.loop.task import task_of_project
from burnish.loop.workbench import Workbench
from burnish.model.base import Base
from burnish.model.choose import score
from burnish.model.generate import generate_fields
from burnish.model.generator import Generated, Generator, Request
from burnish.model.sample import GREEDY, Sampling
from burnish.records import Example, Message, ModelVersion, Task
from burnish.registry import folder_of, get
from burnish.store.batches import batches
from burnish.talk import Silence

TEMPERATURE = 0.8
"""Of a text that is drawn by a seed; without one it is the likeliest, as in rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one model says."""

    text: str
    labels: tuple[tuple[str, float], ...] = ()
    """Of a label task: every label with its share among them, likeliest first; together they are 1."""
    is_cut: bool = False
    """It ended at the limit of tokens and not by itself."""


class Answering:
    """A base that is loaded once and answers with any model of its project; opens the project anew for each prompt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._settings: Settings | None = None
        self._bench: Workbench | None = None
        self._task: tuple[int, Task] | None = None

    def answers(
        self, models: Sequence[str], prompt: Sequence[Message], *, max_new_tokens: int, seed: int | None = None
    ) -> list[Reply]:
        """What each of the named models says to the prompt, at most `max_new_tokens` of text.

        One adapter is in use at a time. `seed` draws a text at temperature 0.8; labels and fields are never drawn.
        Raises UsageError for an unknown model, DataError when the prompt has no room, ModelError when a model does not
        stand on the project's base, DamagedError when its bytes differ from what was sealed.
        """
        project = open_project(self.folder)
        bench = self._bench_of(project)
        task = replace(self._task_of(project), max_new_tokens=max_new_tokens)
        given = Example(id="", messages=(*prompt, Message(role="assistant", content="")), group="")
        tokens = bench.base.chat.render_prompt(conversation(task, given)[:-1])
        room = bench.base.max_tokens - max(
            (len(bench.base.chat.answer_tokens(label)) for label in task.labels), default=1
        )
        if len(tokens) > room:
            raise DataError(
                f"the prompt has {len(tokens)} tokens, and the base has room for {room} beside an answer",
                hint="shorten it, or take a base with a longer context",
            )
        return [self._reply(project, bench, get(project.store, name), task, tokens, seed) for name in models]

    def _reply(
        self,
        project: Project,
        bench: Workbench,
        model: ModelVersion,
        task: Task,
        tokens: Sequence[int],
        seed: int | None,
    ) -> Reply:
        if model.base_hash and model.base_hash != bench.base.base_hash:
            raise ModelError(
                f"the model {model.name} stands on another base than the one that the project's settings name",
                hint="set base in burnish.yaml back to the one that it was made on",
            )
        folder_of(project.store, model)
        with bench.wearing(model) as base:
            return reply(base, task, tokens, seed)

    def _bench_of(self, project: Project) -> Workbench:
        """The base in use; another one when the settings have changed."""
        if self._bench is None or project.settings != self._settings:
            self._bench = self._task = None
            self._bench = Workbench(project.settings, project.store.root, Silence())
            self._settings = project.settings
        return self._bench

    def _task_of(self, project: Project) -> Task:
        """The task, found again when data was added: reading all of it takes longer than an answer."""
        num_batches = len(batches(project.store))
        if self._task is None or self._task[0] != num_batches:
            self._task = num_batches, task_of_project(project)
        return self._task[1]


def reply(base: Base, task: Task, tokens: Sequence[int], seed: int | None) -> Reply:
    """What the base says to a rendered prompt, with whatever adapter is in use around the call."""
    if task.kind == "label":
        choices = [base.chat.answer_tokens(label) for label in task.labels]
        shares = _shares(score(base, [tokens], choices)[0])
        ranked = sorted(zip(task.labels, shares, strict=True), key=lambda pair: -pair[1])
        return Reply(text=ranked[0][0], labels=tuple(ranked))
    if task.kind == "fields":
        return _told(generate_fields(base, [tokens], list(task.fields), max_new_tokens=task.max_new_tokens)[0])
    sampling = GREEDY if seed is None else Sampling(temperature=TEMPERATURE, seed=seed)
    request = Request(prompt=tuple(tokens), max_new_tokens=task.max_new_tokens, sampling=sampling)
    return _told(next(event.answer for event in Generator(base).run([request]) if event.answer))


def _told(said: Generated) -> Reply:
    return Reply(text=said.text, is_cut=said.stop_reason == "length")


def _shares(logprobs: Sequence[float]) -> list[float]:
    """Probabilities that sum to 1, of choices with these log-probabilities."""
    most = max(logprobs)
    sizes = [exp(logprob - most) for logprob in logprobs]
    return [size / sum(sizes) for size in sizes]
