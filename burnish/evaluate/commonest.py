"""What needs no model: the commonest answer given to everything. A model that does no better has learned nothing."""

import json
from collections import Counter
from collections.abc import Sequence

from burnish.evaluate.scorers import score
from burnish.records import Example, Interval, Task
from burnish.stats import mean_interval


def commonest_answer(task: Task, examples: Sequence[Example]) -> str:
    """The answer that occurs most often; for fields, the commonest value of each field. Ties go to the first."""
    if task.kind != "fields":
        return Counter(example.answer for example in examples).most_common(1)[0][0]
    answers = [json.loads(example.answer) for example in examples]
    values = {name: Counter(json.dumps(answer.get(name, "")) for answer in answers) for name in task.fields}
    return json.dumps({name: json.loads(count.most_common(1)[0][0]) for name, count in values.items()})


def commonest_score(task: Task, learned_from: Sequence[Example], rows: Sequence[Example]) -> Interval:
    """What always giving the commonest answer of `learned_from` scores on `rows`, rows without a score left out."""
    answer = commonest_answer(task, learned_from)
    scored = [(score(task, row, answer).value, row.group) for row in rows]
    known = [(value, group) for value, group in scored if value is not None]
    return Interval(**mean_interval([value for value, _ in known], [group for _, group in known])._asdict())
