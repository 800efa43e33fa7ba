"""Declining to answer exactly where there is no answer, counted by hand."""

import pytest

from burnish.evaluate.abstention import abstention, declines
from burnish.evaluate.measure import pair
from burnish.records import Task
from tests.evaluate.measured_rows import evaluation, example

TEXT = Task(kind="text", metric="token_f1")


def test_precision_recall_and_needless_refusals_are_counted():
    rows = [
        example("q", "Not stated.", "r0"),
        example("q", "not stated", "r1"),
        example("q", "On Monday", "r2"),
        example("q", "On Friday", "r3"),
        example("q", "$5", "r4"),
    ]
    said = ["The text does not say when.", "On Sunday", "Unknown", "On Friday", "$5"]
    recall, precision, needless = abstention(TEXT, rows, evaluation(TEXT, rows, said))
    assert (recall.overall.value, recall.overall.n) == (0.5, 2)
    assert (precision.overall.value, precision.overall.n) == (0.5, 2)
    assert (needless.overall.value, needless.overall.n) == (pytest.approx(1 / 3), 3)
    assert recall.value_of()["r2"] is None
    assert recall.is_pairable
    assert not precision.is_pairable


def test_a_column_declares_rows_unanswerable_whatever_their_answer():
    rows = [example("q", "x", "r0", kind="unanswerable"), example("q", "x", "r1", kind="plain")]
    recall, _, needless = abstention(TEXT, rows, evaluation(TEXT, rows, ["n/a", "n/a"]), column="kind")
    assert (recall.overall.value, needless.overall.value) == (1.0, 1.0)
    assert recall.slices["kind=unanswerable"].value == 1.0


def test_fields_count_one_by_one_and_broken_json_declines_nothing():
    task = Task(kind="fields", fields={"a": "exact", "b": "exact", "c": "exact"}, metric="field_accuracy")
    gold = '{"a":"","b":null,"c":"5"}'
    rows = [example("q", gold, f"r{at}") for at in range(3)]
    said = ['{"a":"","b":"x","c":""}', '{"a":"not stated","b":null,"c":"5"}', "{"]
    recall, precision, needless = abstention(task, rows, evaluation(task, rows, said))
    assert recall.value_of() == {"r0": 0.5, "r1": 1.0, "r2": 0.0}
    assert precision.value_of() == {"r0": 0.5, "r1": 1.0, "r2": None}
    assert needless.value_of() == {"r0": 1.0, "r1": 0.0, "r2": 0.0}


def test_a_label_task_needs_a_label_that_declines():
    rows = [example("q", "unknown", "r0"), example("q", "a", "r1")]
    without, with_it = Task(labels=("a", "b")), Task(labels=("a", "unknown"))
    found = abstention(without, rows, evaluation(without, rows, ["a", "a"]))
    assert all(one.overall.value is None and one.why_missing.startswith("label:") for one in found)
    recall, _, needless = abstention(with_it, rows, evaluation(with_it, rows, ["unknown", "a"]))
    assert (recall.overall.value, needless.overall.value) == (1.0, 0.0)


def test_without_unanswerable_rows_there_is_no_measure():
    rows = [example("q", "x", "r0")]
    found = abstention(TEXT, rows, evaluation(TEXT, rows, ["unknown"]))
    assert [one.why_missing.split(":")[0] for one in found] == ["no-unanswerable"] * 3


def test_a_challenger_that_declines_more_often_where_it_should_not_is_seen_in_pairs():
    rows = [example("q", "not stated", "r0"), *(example("q", "x", f"r{at}") for at in range(1, 5))]
    _, _, before = abstention(TEXT, rows, evaluation(TEXT, rows, ["x"] * 5))
    _, _, after = abstention(TEXT, rows, evaluation(TEXT, rows, ["x", "unknown", "x", "x", "x"]))
    found = pair(before, after)
    assert found is not None
    assert found.differences == (-1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("text", ["", " null ", "Not-Stated.", "NOT_STATED", "I'm sorry, I don't know.", "N/A", "none"])
def test_these_decline(text):
    assert declines(text)


@pytest.mark.parametrize("text", ["Nonetheless yes", "none of the above fees apply to you", "The unknown soldier"])
def test_these_do_not_decline(text):
    assert not declines(text)
    assert declines(text, [text])
