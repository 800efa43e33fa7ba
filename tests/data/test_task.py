"""The kind of task is guessed from the answers, and what the settings leave open is found in the data."""

import pytest

from burnish.config import DataSettings, Settings, TaskSettings
from burnish.data.slices import slice_columns, slices_of
from burnish.data.task import guess_kind, task_of
from burnish.errors import DataError
from burnish.records import Example, Message


def examples(answers, **slices):
    return [
        Example(
            id=str(n),
            group=str(n),
            messages=(Message(role="user", content=f"q{n}"), Message(role="assistant", content=answer)),
            slices={name: values[n % len(values)] for name, values in slices.items()},
        )
        for n, answer in enumerate(answers)
    ]


def asked(**task):
    return Settings(task=TaskSettings(**task))


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (["yes", "no"] * 30, "label"),
        ([f"intent_{n % 150}" for n in range(2000)], "label"),
        (["spam"], "label"),
        (["ham"] * 50 + ["spam"], "label"),
        ([f"Take the {n}th form and send it to the office in time." for n in range(40)], "text"),
        ([f"word{n}" for n in range(40)], "text"),
        ([str(n % 300) for n in range(3000)], "text"),
        (["A long sentence which stands here again and again, as a reply."] * 40 + ["no", "yes"] * 9, "text"),
        (['{"a": "1", "b": null}', '{"b": "2", "a": "x"}'] * 5, "fields"),
        (['{"a": "1"}', '{"b": "2"}', '{"a": {"c": 1}}'] * 5, "label"),
        (['{"a": {"b": 1}}'] * 3, "label"),
        (['{"a": "1", "b": 2}', '{"b": "2"}', "{}"] * 3, "fields"),
        (["{}"] * 30, "label"),
        ([f'{{"key{n}": 1}}' for n in range(21)], "text"),
        ([], "text"),
    ],
)
def test_the_kind_is_what_the_answers_look_like(answers, kind):
    assert guess_kind(examples(answers)) == kind


def test_labels_are_found_most_frequent_first_then_by_name():
    task = task_of(examples(["b", "a", "c", "c", "b", "a", "c"]), asked(kind="label"))
    assert (task.kind, task.labels, task.metric, dict(task.fields)) == ("label", ("c", "a", "b"), "accuracy", {})


def test_named_labels_keep_their_order_and_others_are_refused():
    assert task_of(examples(["a", "b"]), asked(labels=("b", "x", "a"))).labels == ("b", "x", "a")
    with pytest.raises(DataError, match=r"3 examples .* 'c' \(2\), 'd' \(1\)"):
        task_of(examples(["a", "c", "c", "d"]), asked(labels=("a",)))
    with pytest.raises(DataError, match="twice"):
        task_of(examples(["a"]), asked(labels=("a", "a")))


@pytest.mark.parametrize(
    "answers", [[f"answer {n}" for n in range(30)], [f"l{n % 1001}" for n in range(5000)], ["x" * 201]]
)
def test_free_text_is_no_label_task(answers):
    with pytest.raises(DataError, match="look like free text") as caught:
        task_of(examples(answers), asked(kind="label"))
    assert "task.kind: text" in caught.value.hint


def test_fields_are_those_of_the_commonest_answer_then_the_rarer_ones():
    answers = ['{"b":1,"a":2}'] * 3 + ['{"a":1,"z":2}'] + ["no JSON"]
    task = task_of(examples(answers), asked(kind="fields"))
    assert (list(task.fields), set(task.fields.values()), task.metric) == (["b", "a", "z"], {"exact"}, "field_accuracy")
    assert dict(task_of(examples(answers), asked(kind="fields", fields={"a": "number"})).fields) == {"a": "number"}
    with pytest.raises(DataError, match="no answer is a flat JSON object with a field"):
        task_of(examples(["x"]), asked(kind="fields"))


def test_a_text_task_takes_its_settings():
    task = task_of(examples(["anything"]), asked(kind="text", instruction="be brief", max_new_tokens=9))
    assert (task.metric, task.instruction, task.max_new_tokens, task.labels) == ("token_f1", "be brief", 9, ())
    with pytest.raises(DataError, match="no example"):
        task_of([], asked(kind="text"))


def test_columns_with_two_to_twenty_values_are_reported_by():
    rows = examples(
        ["a"] * 60, two=["x", "y"], one=["x"], many=[str(n) for n in range(21)], twenty=[str(n) for n in range(20)]
    )
    assert slice_columns(rows, Settings()) == ("twenty", "two")
    assert slice_columns(rows, Settings(data=DataSettings(slices=("many",)))) == ("many",)
    with pytest.raises(DataError, match="'chanel'") as caught:
        slice_columns(rows, Settings(data=DataSettings(slices=("chanel",))))
    assert "twenty" in caught.value.hint


def test_an_example_is_in_the_slices_of_its_columns_and_of_its_label():
    row = examples(["pay"], channel=["web"])[0]
    label = task_of([row], asked(kind="label"))
    assert slices_of(row, ["channel", "other"], label) == ("channel=web", "answer=pay")
    assert slices_of(row, ["channel"], task_of([row], asked(kind="text"))) == ("channel=web",)
