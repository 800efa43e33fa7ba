"""Evaluations made of given outputs, for the tests of measures."""

from collections.abc import Sequence

from burnish.evaluate.scorers import score
from burnish.evaluate.summary import summarise
from burnish.records import Evaluation, Example, Message, RowResult, Task


def example(prompt: str, answer: str, name: str = "r0", *, group: str = "", **slices: str) -> Example:
    turns = (Message(role="user", content=prompt), Message(role="assistant", content=answer))
    return Example(id=name, messages=turns, group=group or name, slices=slices)


def evaluation(task: Task, examples: Sequence[Example], outputs: Sequence[str], model: str = "m") -> Evaluation:
    """What a model with these outputs is given by the scorers, all columns kept."""
    rows = tuple(
        RowResult(
            example=one.id,
            prompt=one.prompt[-1].content,
            output=output,
            expected=one.answer,
            score=(scored := score(task, one, output)).value,
            why_missing=scored.why_missing,
            group=one.group,
            slices=one.slices,
        )
        for one, output in zip(examples, outputs, strict=True)
    )
    columns = tuple(dict.fromkeys(column for one in examples for column in one.slices))
    overall, slices = summarise(rows, columns)
    return Evaluation(
        model=model, model_hash=model, template_hash="t", metric=task.metric, rows=rows, overall=overall, slices=slices
    )
