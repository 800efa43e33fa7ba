"""Stored answers of an evaluation, asked again before an adapter serves: what is served is what was measured.

No row of a vault or of the audit is among them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from burnish.data.conversation import conversation
from burnish.data.dataset import load_examples
from burnish.data.task import task_of
from burnish.errors import ModelError
from burnish.evaluate.files import stored_evaluations
from burnish.evaluate.run import LEAK, LOGPROB_TOLERANCE, NUM_ALONE, answer
from burnish.loop.project import Project
from burnish.model.base import Base
from burnish.model.generate import target_logprobs
from burnish.model.rendered import Rendered
from burnish.records import Example, Message, ModelVersion, RowResult, Task
from burnish.store.roles import current_roles
from burnish.talk import unheard

MOST_CHANGED = 1
"""Texts that may differ among the probes of a task whose answers are written token by token: where two tokens are
equally likely, rounding decides, and all that follows is another text."""
UNPROVEN = "no stored evaluation of this version, so no answer was compared"


Asked = tuple[Task, list[RowResult], list[list[Message]]]
"""A task, rows of an evaluation, and their prompts."""


class Agreement(NamedTuple):
    """Stored answers that came out again."""

    compared: int
    largest: float
    """Largest difference of a log-probability, relative."""
    allowed: float


def prober(project: Project) -> Callable[[Base, ModelVersion], Callable[[], str]]:
    """What reads the stored answers of a version and gives the probe that asks for them again.

    The probe needs the adapter in use around the call; it says what was compared, and raises ModelError. At most 8
    answers of the version's latest stored evaluation are asked again. A label's log-probability must be the stored one
    within LEAK times LOGPROB_TOLERANCE (0.1% in float32, 10% in bfloat16, relative), and so must that of a written
    answer, whose text must be the stored one, too; of texts one of 8 may differ.
    """

    return lambda base, version: _probe(project, base, version)


def _probe(project: Project, base: Base, version: ModelVersion) -> Callable[[], str]:
    asked = _asked(project, base, version)
    return lambda: _in_words(_compared(base, version, asked))


def _in_words(found: Agreement | None) -> str:
    return UNPROVEN if found is None else f"{found.compared} stored answers came out again within {found.allowed:.1%}"


def agreement(project: Project, base: Base, version: ModelVersion) -> Agreement | None:
    """How stored answers of a version come out of this base, with all that is in use around the call; None: no answers.

    Raises ModelError as `prober` does.
    """
    return _compared(base, version, _asked(project, base, version))


def _compared(base: Base, version: ModelVersion, asked: Asked) -> Agreement | None:
    task, rows, prompts = asked
    if not rows:
        return None
    allowed = LEAK * LOGPROB_TOLERANCE[base.precision]
    again = _labels(base, prompts, rows) if task.kind == "label" else _texts(base, task, prompts, rows)
    differences = [_difference(row.logprob, logprob) for row, logprob in zip(rows, again, strict=True)]
    moved = sum(one is None or one > allowed for one in differences)
    if moved > (0 if task.kind == "label" else MOST_CHANGED):
        raise ModelError(
            f"{version.name} does not answer as it was measured: {moved} of {len(rows)} answers differ from its "
            "stored evaluation",
            hint="Something between training and serving has changed: the base, a library, or the task's settings.",
        )
    return Agreement(len(rows), max((one for one in differences if one is not None), default=0.0), allowed)


def stored_answers(project: Project, base: Base, version: ModelVersion) -> list[Rendered]:
    """The same prompts with their stored answers, so that another reader can be asked how likely it finds them."""
    _, rows, prompts = _asked(project, base, version)
    return [_answered(base, prompt, row.output) for prompt, row in zip(prompts, rows, strict=True)]


def likelihoods(base: Base, rows: Sequence[Rendered]) -> list[float]:
    """The summed log-probability that the base gives to what each row has to learn, in nats."""
    return [float(found.sum()) for found in target_logprobs(base, rows)]


def _asked(project: Project, base: Base, version: ModelVersion) -> Asked:
    """The task, rows of the version's evaluation, and their prompts."""
    examples = {example.id: example for example in load_examples(project.store)}
    task = task_of(list(examples.values()), project.settings)
    rows = _probes(project, base, task, version, examples)
    return task, rows, [list(conversation(task, examples[row.example])[:-1]) for row in rows]


def _probes(
    project: Project, base: Base, task: Task, version: ModelVersion, examples: Mapping[str, Example]
) -> list[RowResult]:
    """Rows of the version's evaluation whose prompts are today's."""
    roles = current_roles(project.store)
    wanted = {"model_hash": version.adapter_hash, "template_hash": base.chat.template_hash, "shots": 0}
    for evaluation in stored_evaluations(project.store.root, wanted):
        rows = [
            row
            for row in evaluation.rows
            if row.logprob is not None
            and roles.get(row.example, "vault") in ("dev_a", "dev_b", "train")
            and row.example in examples
            and row.prompt == base.chat.prompt_text(conversation(task, examples[row.example])[:-1])
        ]
        if rows:
            step = max(1, len(rows) // NUM_ALONE)
            return rows[::step][:NUM_ALONE]
    return []


def _labels(base: Base, prompts: Sequence[list[Message]], rows: Sequence[RowResult]) -> list[float]:
    """The log-probability of each stored answer behind its prompt, its end included."""
    return likelihoods(base, [_answered(base, prompt, row.output) for prompt, row in zip(prompts, rows, strict=True)])


def _answered(base: Base, prompt: Sequence[Message], text: str) -> Rendered:
    """The prompt with this answer, which alone counts."""
    opening, tokens = base.chat.render_prompt(prompt), base.chat.answer_tokens(text)
    learned = (False,) * len(opening) + (True,) * len(tokens)
    return Rendered(tokens=(*opening, *tokens), learned=learned, pieces=())


def _texts(base: Base, task: Task, prompts: Sequence[list[Message]], rows: Sequence[RowResult]) -> list[float | None]:
    """The log-probability of what is said now, None where another text is said."""
    said = answer(base, task, [base.chat.render_prompt(prompt) for prompt in prompts], unheard)
    return [one.logprob if one.text == row.output else None for one, row in zip(said, rows, strict=True)]


def _difference(stored: float | None, now: float | None) -> float | None:
    """Relative to the larger of both and at least one nat; None where one of them is missing or no number."""
    if stored is None or now is None or not math.isfinite(now):
        return None
    return abs(stored - now) / max(1.0, abs(stored), abs(now))
