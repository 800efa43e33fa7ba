"""The untuned base with its taste for some labels taken away: the fairest score that it has without training.

A base likes some labels whatever the message, most of all short ones. Contextual calibration (Zhao et al. 2021, arXiv
2102.09690) takes away what each label gets after a message that says nothing. It is a yardstick, not a model to serve.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from burnish.data.conversation import conversation
from burnish.model.base import Base
from burnish.model.choose import score
from burnish.records import Example, Interval, Task
from burnish.stats.rates import mean_interval

SAYS_NOTHING = ("", "?", "N/A")


def calibrated_score(base: Base, task: Task, examples: Sequence[Example], shots: Sequence[Example]) -> Interval:
    """Accuracy of the base on a label task, each label's score less its mean score after messages that say nothing.

    Rows that the base has no room for are left out.
    """
    choices = [base.chat.answer_tokens(label) for label in task.labels]
    room = base.max_tokens - max(map(len, choices))
    prompts = [base.chat.render_prompt(conversation(task, example, shots)[:-1]) for example in examples]
    asked = [at for at, prompt in enumerate(prompts) if len(prompt) <= room]
    if not asked:
        return Interval(**mean_interval([], [])._asdict())
    empty = [conversation(task, _saying(examples[asked[0]], text), shots)[:-1] for text in SAYS_NOTHING]
    free_L = np.mean(score(base, [base.chat.render_prompt(turns) for turns in empty], choices), axis=0)
    said_N = (np.array(score(base, [prompts[at] for at in asked], choices)) - free_L).argmax(1)
    right = [float(task.labels[said] == examples[at].answer) for at, said in zip(asked, said_N, strict=True)]
    return Interval(**mean_interval(right, [examples[at].group or examples[at].id for at in asked])._asdict())


def _saying(example: Example, text: str) -> Example:
    """The example with another message of its user."""
    turns = (replace(turn, content=text) if turn.role == "user" else turn for turn in example.messages)
    return replace(example, messages=tuple(turns))
