"""The yardstick without a model: the commonest answer of what was learned from, given to everything."""

import json

import pytest

from burnish.evaluate.commonest import commonest_answer, commonest_evaluation
from burnish.evaluate.compare import compare
from burnish.evaluate.summary import interval_of
from burnish.records import Evaluation, Example, Message, RowResult, Task


def examples(*answers):
    return [
        Example(
            id=str(at),
            messages=(Message(role="user", content=f"q{at}"), Message(role="assistant", content=answer)),
            group=str(at),
        )
        for at, answer in enumerate(answers)
    ]


def asked(task, rows, *scores):
    """A model's evaluation of the rows, of which only the scores matter here."""
    results = tuple(
        RowResult(example=row.id, prompt="", output="?", expected=row.answer, score=score, slices={"channel": "web"})
        for row, score in zip(rows, scores, strict=True)
    )
    overall = interval_of(results)
    return Evaluation(
        model="m",
        model_hash="h",
        template_hash="t",
        metric=task.metric,
        rows=results,
        overall=overall,
        slices={"channel=web": overall},
    )


def test_a_label_task_gets_its_most_frequent_label():
    task, rows = Task(labels=("a", "b")), examples("a", "b", "b", "b")
    found = commonest_evaluation(task, examples("b", "a", "b"), asked(task, rows, 1.0, 0.0, 0.0, 1.0), rows)
    assert {row.output for row in found.rows} == {"b"}
    assert (found.overall.value, found.overall.n) == (0.75, 4)
    assert found.slices["channel=web"].value == 0.75


def test_it_compares_with_the_model_row_by_row_and_leaves_out_what_the_model_could_not_be_asked():
    task, rows = Task(labels=("a", "b")), examples("a", "b", "b", "b")
    after = asked(task, rows, 1.0, 0.0, None, 1.0)
    found = commonest_evaluation(task, examples("b"), after, rows)
    assert found.overall.n == 3
    assert compare(found, after).differences == (1.0, -1.0, 0.0)


def test_each_field_gets_its_own_commonest_value():
    task = Task(kind="fields", fields={"amount": "number", "form": "exact"}, metric="field_accuracy")
    rows = [json.dumps({"amount": amount, "form": form}) for amount, form in (("", "A"), ("", "B"), ("$5", "A"))]
    assert json.loads(commonest_answer(task, examples(*rows))) == {"amount": "", "form": "A"}
    found = commonest_evaluation(task, examples(*rows), asked(task, examples(*rows), 0.0, 0.0, 0.0), examples(*rows))
    assert found.overall.value == pytest.approx(4 / 6)
    assert found.rows[2].parts == {"amount": 0.0, "form": 1.0, "all_fields": 0.0}


def test_ties_go_to_the_answer_that_came_first():
    assert commonest_answer(Task(labels=("x", "y")), examples("y", "x")) == "y"
