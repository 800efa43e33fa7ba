"""What needs no model: the commonest answer given to everything. A model that does no better has learned nothing."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from burnish.evaluate.scorers import score
from burnish.evaluate.summary import summarise
from burnish.fingerprint import fingerprint
from burnish.records import Evaluation, Example, Task

NAME = "the commonest answer"


def commonest_answer(task: Task, examples: Sequence[Example]) -> str:
    """The answer that occurs most often; for fields, the commonest value of each field. Ties go to the first."""
    if task.kind != "fields":
        return Counter(example.answer for example in examples).most_common(1)[0][0]
    answers = [json.loads(example.answer) for example in examples]
    values = {name: Counter(json.dumps(answer.get(name, "")) for answer in answers) for name in task.fields}
    return json.dumps({name: json.loads(count.most_common(1)[0][0]) for name, count in values.items()})


def commonest_evaluation(
    task: Task, learned_from: Sequence[Example], like: Evaluation, rows: Sequence[Example]
) -> Evaluation:
    """The commonest answer of `learned_from` given to `rows`, in the shape of a model's evaluation of the same rows.

    A row that the model could not be asked has no score here either.
    """
    answer = commonest_answer(task, learned_from)
    by_id = {example.id: example for example in rows}
    given = []
    for row in like.rows:
        scored = score(task, by_id[row.example], answer)
        value = None if row.score is None else scored.value
        given.append(
            replace(row, output=answer, score=value, logprob=None, stop_reason="choice", parts=dict(scored.parts))
        )
    columns = tuple(dict.fromkeys(name.partition("=")[0] for name in like.slices))
    overall, slices = summarise(given, columns)
    return replace(
        like,
        model=NAME,
        model_hash=fingerprint({"answer": answer}),
        rows=tuple(given),
        overall=overall,
        slices=slices,
        shots=0,
        warnings=(),
        seconds=0.0,
        num_tokens=0,
    )
