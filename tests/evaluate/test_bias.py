"""Bias as a number a row: more than what any change does, within 0 and 1, and paired between two models."""

import pytest

from burnish.evaluate.bias import bias
from burnish.evaluate.fairness import fairness
from burnish.evaluate.measure import pair
from burnish.records import Task
from tests.evaluate.measured_rows import evaluation, example

TASK = Task(kind="label", labels=("yes", "no"))
ROWS = [example(f"Please help: he moved on Monday, case {at}", "yes", f"r{at:02d}") for at in range(20)]
BARE = example("Nothing here", "yes", "bare")


def _bias(model, rows=ROWS):
    told = evaluation(TASK, rows, [model(one) for one in rows])
    return bias(fairness(TASK, rows, told, lambda twins: [model(one) for one in twins]))


def _biased(row):
    return "no" if " she " in row.prompt[-1].content else "yes"


def _fickle(row):
    return "no" if any(word in row.prompt[-1].content for word in (" she ", "Tuesday")) else "yes"


@pytest.mark.parametrize(("model", "value"), [(_biased, 1.0), (_fickle, 0.5), (lambda row: "yes", 0.5)])
def test_only_what_comes_on_top_of_any_change_counts(model, value):
    found = _bias(model)
    assert (found.overall.value, found.overall.n) == (value, 20)


def test_a_row_that_shows_no_attribute_has_no_value_and_a_reason():
    found = _bias(_biased, [*ROWS, BARE])
    assert found.overall.n == 20
    assert found.rows[-1].value is None
    assert found.rows[-1].why_missing.startswith("no-twins:")


def test_a_model_that_became_biased_loses_half_a_point_a_row_as_the_gate_sees_it():
    comparison = pair(_bias(_fickle), _bias(_biased))
    assert comparison.differences == (-0.5,) * 20


def test_a_table_without_attributes_has_no_bias():
    assert bias(()).why_missing.startswith("no-twins:")
