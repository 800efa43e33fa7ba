"""How the untuned base does under other ways to score labels than the one of a round, next to the commonest answer.

    python benchmarks/baselines.py --data FOLDER --sets claims,clinc_banking,snips,sms_spam

Rows are dev_a and dev_b of the projects of recipe.py. `summed` is what a round does: the summed log-probability of the
label. `by token` divides it by the label's tokens. `content-free` takes away what the label gets after messages that
say nothing (Zhao et al. 2021, arXiv 2102.09690). `batch` takes away its mean over all rows asked (Zhou et al. 2024,
arXiv 2309.17249), which looks at the rows to be scored.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from recipe import project_of

from burnish.data.conversation import conversation
from burnish.evaluate.commonest import commonest_answer
from burnish.evaluate.prompt import pick_shots
from burnish.loop.seeds import gather
from burnish.loop.workbench import Workbench
from burnish.model.base import Base
from burnish.model.choose import score
from burnish.records import Example, Task
from burnish.talk import Silence

EMPTY = ("", "?", "N/A")


def scores(base: Base, task: Task, rows: Sequence[Example], shots: Sequence[Example]) -> np.ndarray:
    """Summed log-probability of each label for each row, in nats, [rows, labels]."""
    prompts = [base.chat.render_prompt(conversation(task, row, shots)[:-1]) for row in rows]
    return np.array(score(base, prompts, [base.chat.answer_tokens(label) for label in task.labels]))


def saying(row: Example, text: str) -> Example:
    """The row with another message."""
    messages = (replace(turn, content=text) if turn.role == "user" else turn for turn in row.messages)
    return replace(row, messages=tuple(messages))


def accuracies(base: Base, task: Task, rows: Sequence[Example], shots: Sequence[Example]) -> dict[str, float]:
    """Accuracy by each way to score."""
    summed_NL = scores(base, task, rows, shots)
    free_L = scores(base, task, [saying(rows[0], text) for text in EMPTY], shots).mean(0)
    lengths_L = np.array([len(base.chat.answer_tokens(label)) for label in task.labels])
    wanted_N = np.array([task.labels.index(row.answer) for row in rows])
    ways = {
        "summed": summed_NL,
        "by token": summed_NL / lengths_L,
        "content-free": summed_NL - free_L,
        "batch": summed_NL - summed_NL.mean(0),
    }
    return {name: float((way_NL.argmax(1) == wanted_N).mean()) for name, way_NL in ways.items()}


def main() -> None:
    """Prints a line for each set and number of shots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("BURNISH_REAL_DATA", ""))
    parser.add_argument("--sets", default="claims")
    asked = parser.parse_args()
    for name in asked.sets.split(","):
        with tempfile.TemporaryDirectory() as place:
            project = project_of(name, Path(asked.data), [], Path(place))
            seeds = gather(project)
            base = Workbench(project.settings, project.folder, Silence()).base
            rows, train = [*seeds.of("dev_a"), *seeds.of("dev_b")], seeds.of("train")
            common = commonest_answer(seeds.task, train)
            always = sum(row.answer == common for row in rows) / len(rows)
            for shots in ((), pick_shots(train, project.settings.task.shots, project.settings.seed)):
                found = accuracies(base, seeds.task, rows, shots)
                told = ", ".join(f"{way} {100 * value:.1f}" for way, value in found.items())
                print(f"{name}, {len(rows)} rows, {len(shots)} shots: {told}; commonest {100 * always:.1f}", flush=True)


if __name__ == "__main__":
    main()
