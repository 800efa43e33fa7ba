"""The yardstick without a model: the commonest answer of what was learned from, given to everything."""

import json

import pytest

from burnish.evaluate.commonest import commonest_answer, commonest_score
from burnish.records import Example, Message, Task


def examples(*answers):
    return [
        Example(
            id=str(at),
            messages=(Message(role="user", content=f"q{at}"), Message(role="assistant", content=answer)),
            group=str(at),
        )
        for at, answer in enumerate(answers)
    ]


def test_a_label_task_gets_its_most_frequent_label():
    task = Task(labels=("a", "b"))
    score = commonest_score(task, examples("b", "a", "b"), examples("a", "b", "b", "b"))
    assert score.value == pytest.approx(0.75)
    assert score.n == 4


def test_each_field_gets_its_own_commonest_value():
    task = Task(kind="fields", fields={"amount": "number", "form": "exact"}, metric="field_accuracy")
    rows = [json.dumps({"amount": amount, "form": form}) for amount, form in (("", "A"), ("", "B"), ("$5", "A"))]
    assert json.loads(commonest_answer(task, examples(*rows))) == {"amount": "", "form": "A"}
    assert commonest_score(task, examples(*rows), examples(*rows)).value == pytest.approx(4 / 6)


def test_ties_go_to_the_answer_that_came_first():
    assert commonest_answer(Task(labels=("x", "y")), examples("y", "x")) == "y"
