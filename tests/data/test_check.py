"""The one checker: planted problems are found, named, counted and shown masked; clean data has none."""

import json

import pytest

from burnish.config import DataSettings, Settings, TaskSettings
from burnish.data.check import check
from burnish.data.conversation import conversation
from burnish.data.dedup import similarity
from burnish.data.split import assign_roles
from burnish.data.task import task_of
from burnish.errors import DataError
from burnish.records import Example, Message, Rejection

SETTINGS = Settings()
KEY = "AKIA" + "IOSFODNN7EXAMPLE"


def example(text, answer, *, name="", group="", **slices):
    turns = (Message(role="user", content=text), Message(role="assistant", content=answer))
    name = name or text[:40]
    return Example(id=name, group=group or name, messages=turns, slices=slices, source=f"rows.jsonl:{name}")


def clean(count=60):
    return [example(f"q{n} x{n} y{n} z{n}", ["pay", "appeal"][n % 2], name=str(n)) for n in range(count)]


def run(rows, roles=None, *, settings=SETTINGS, count_tokens=None, rejected=(), room=None):
    task = task_of(rows, settings)
    roles = assign_roles(rows, settings, {}) if roles is None else roles
    return check(rows, roles, settings, task, count_tokens, rejected=rejected, room=room)


def problem(found, name):
    hits = [entry for entry in found.problems if entry.name == name]
    assert len(hits) == 1, f"{name} not once in {[entry.name for entry in found.problems]}"
    return hits[0]


def test_clean_data_has_no_problem_but_small_slices():
    found = run(clean())
    assert {entry.name for entry in found.problems} == {"tiny-slice"}
    assert not found.has_errors
    assert found.num_examples == found.num_groups == 60
    assert found.labels == {"appeal": 30, "pay": 30}
    assert sum(found.roles.values()) == 60
    assert "no problem found" in run(clean(), {}).as_text()


@pytest.mark.parametrize("count", [1, 19])
def test_too_few_examples_are_refused_before_any_work(count):  # D3
    def never(row):
        raise AssertionError("tokens were counted")

    rejected = [Rejection(source="a", row=1, offset_bytes=0, reason="json: x")]
    with pytest.raises(DataError, match=f"need at least 20 examples, found {count}; 1 row was rejected"):
        run(clean(count), {}, count_tokens=never, rejected=rejected)


# A text of 40 words has 190 runs of 1 to 5 words; each word put behind it adds 5: 190 / (190 + 5 k).
LONG = " ".join(f"word{n}" for n in range(40))


@pytest.mark.parametrize(("extra", "wanted"), [(0, 1.0), (4, 0.905), (9, 0.809)])
@pytest.mark.parametrize("side", ["vault_1", "dev_a", "audit"])
def test_a_planted_leak_is_an_error_that_lists_the_pair(extra, wanted, side):  # D8
    other = " ".join([LONG, *(f"new{n}" for n in range(extra))])
    assert similarity(LONG, other) == pytest.approx(wanted, abs=0.001)
    rows = [*clean(), example(LONG, "pay", name="kept"), example(other, "pay", name="leak")]
    roles = dict.fromkeys((row.id for row in rows), "train") | {"kept": side}
    found = problem(run(rows, roles), "leak-exact" if wanted == 1.0 else "leak-near")
    assert found.severity == "error"
    assert found.count == 1
    assert "rows.jsonl:kept" in found.samples[0]
    assert "train rows.jsonl:leak" in found.samples[0]
    assert ("(sealed in vault_1)" in found.samples[0]) == (side == "vault_1")


def test_the_split_leaves_no_leak_and_a_split_group_is_one():
    rows = [example(f"where is payment {n % 30} now please", "pay" if n % 2 else "x", name=str(n)) for n in range(90)]
    assert not any(entry.name.startswith("leak") for entry in run(rows).problems)
    rows = [*clean(), example("one text here", "pay", group="g"), example("another there", "pay", group="g")]
    roles = dict.fromkeys((row.id for row in rows), "train") | {"one text here": "dev_b"}
    assert problem(run(rows, roles), "leak-group").severity == "error"
    assert not run(rows, roles | {"another there": "aside"}).has_errors


def test_a_row_too_long_or_without_a_learned_token_is_an_error():
    def count(row):
        return (600 if row.id == "3" else 10, 0 if row.id == "4" else 2, 0)

    found = run(clean(), count_tokens=count)
    assert problem(found, "too-long").count == problem(found, "unsupervised").count == 1
    assert "600" in problem(found, "too-long").message
    small = run(clean(), {}, count_tokens=count, room=400)
    assert "the 400 tokens that the base has places for" in problem(small, "too-long").message
    assert found.has_errors
    assert found.max_tokens == 600
    assert not run(clean(), count_tokens=lambda row: (10, 2, 0)).has_errors


def test_conflicts_duplicates_and_near_duplicates_are_told():
    rows = [
        *clean(),
        example("could you please put a stop on my bank account today", "pay", name="a"),
        example("could you please put a stop on my bank account today", "appeal", name="b"),
        example("could you please put a stop on my bank account today please", "pay", name="c"),
        example("q1 x1 y1 z1", "appeal", name="again"),
    ]
    found = run(rows, dict.fromkeys((row.id for row in rows), "train"))
    assert problem(found, "conflict").count == 1
    assert problem(found, "duplicate").count == found.num_duplicates == 1
    assert problem(found, "near-duplicate").count == found.num_near_duplicates == 3
    assert "'appeal'" in problem(found, "conflict").samples[0]


def test_rows_that_all_ask_the_same_are_told():
    rows = [example("always the same question", ["a", "b"][n % 2], name=str(n)) for n in range(40)]
    assert problem(run(rows), "one-text").count == 40


def test_labels_that_cannot_be_learned_or_are_spelled_twice_are_told():
    rows = [*clean(), example("a b c", "Appeal"), example("d e f", "only here")]
    found = run(rows, dict.fromkeys((row.id for row in rows), "train") | {"d e f": "dev_a"})
    assert problem(found, "label-spelling").severity == "warning"
    assert "'only here'" in problem(found, "label-not-in-train").message
    same = [example(f"q{n} x{n}", "pay") for n in range(30)]
    assert problem(run(same), "one-label").severity == "error"


def test_fields_that_are_broken_or_odd_are_told():
    chosen = Settings(task=TaskSettings(kind="fields"))
    rows = [example(f"q{n} x{n}", '{"a":1,"b":2}') for n in range(30)]
    rows += [example("y", '{"a":1}'), example("z", "not JSON")]
    found = run(rows, settings=chosen)
    assert (problem(found, "broken-fields").severity, problem(found, "odd-fields").severity) == ("error", "warning")


def test_rejected_rows_are_an_error_by_reason():
    rejected = [Rejection(source="a.csv", row=n, offset_bytes=0, reason=f"cells: {n}") for n in (2, 5)]
    found = problem(run(clean(), rejected=rejected), "rejected")
    assert (found.severity, found.count) == ("error", 2)
    assert "cells 2" in found.message
    assert found.samples[0].startswith("a.csv:2  cells: 2")


def test_secrets_are_counted_by_kind_and_shown_nowhere():  # D13
    rows = [
        *clean(),
        example(f"my key {KEY} and jane.doe@mail.example.org", "pay", name="s"),
        example("<|im_end|>", "pay"),
    ]
    found = run(rows)
    assert found.secrets == {"aws-key": 1, "email": 1}
    assert found.num_control_tokens == 1
    assert (
        problem(found, "secret").count == problem(found, "personal").count == problem(found, "control-token").count == 1
    )
    for shown in (found.as_text(), json.dumps(found.as_json()), repr(found)):
        assert KEY not in shown
        assert "jane.doe" not in shown


def test_no_sample_shows_the_text_of_a_vault():
    rows = [example(f"sealed{n} x{n} {KEY} <|im_end|>", ["pay", "appeal"][n % 2]) for n in range(40)]
    rows += [example("sealed0 x0", "appeal", name="t")]
    found = run(rows, dict.fromkeys((row.id for row in rows), "vault_1"), count_tokens=lambda row: (999, 0, 1))
    texts = "".join(sample.split("  ", 1)[1] for entry in found.problems for sample in entry.samples)
    assert "sealed in vault_1" in texts
    assert "sealed0" not in texts


def test_small_slices_are_named_and_gravest_comes_first():
    rows = [example(f"q{n} x{n} y{n}", ["a", "b"][n % 2], channel="web" if n else "post") for n in range(60)]
    found = run(rows, settings=Settings(data=DataSettings(max_tokens=16)), count_tokens=lambda row: (20, 1, 0))
    assert found.problems[0].severity == "error"
    assert found.problems[-1].severity == "note"
    assert found.slices["channel=post"] == 1
    assert "channel=web 59" in found.as_text()


def test_answers_that_no_model_is_given_room_for_are_named():
    texts = [example(f"q{n} x{n}", "word " * (40 + 2 * n), name=str(n)) for n in range(20)]
    asked = Settings(task=TaskSettings(kind="text", max_new_tokens=60))

    def words(row):
        return 0, len(row.answer.split()), 0

    found = problem(run(texts, {}, settings=asked, count_tokens=words), "cut-answer")
    assert (found.severity, found.count) == ("warning", 9)
    assert "Set task.max_new_tokens: 78" in found.message

    def letters(row):
        return 0, len(conversation(task_of(objects, fields), row)[-1].content), 0

    objects = [example(f"q{n} x{n}", '{"a":"' + "a" * n + '","b":null}', name=str(n)) for n in range(20)]
    fields = Settings(task=TaskSettings(kind="fields", max_new_tokens=15))
    found = problem(run(objects, {}, settings=fields, count_tokens=letters), "cut-answer")
    assert found.count == 4  # keys and quotes are not counted
    assert "Set task.max_new_tokens: 19" in found.message


@pytest.mark.parametrize(
    "twins", [("café", "cafe\u0301"), ("pay", "pay\u200b"), ("cash, late", "cash,late"), ("Refund", "refund")]
)
def test_labels_that_look_the_same_are_named(twins):
    rows = [example(f"q{n} x{n}", ["other", *twins][n % 3], name=str(n)) for n in range(30)]
    assert problem(run(rows, {}), "label-spelling").message.startswith("1 label is written in more than one way")


def test_a_text_task_whose_answers_are_objects_or_labels_says_so():
    text = Settings(task=TaskSettings(kind="text"))
    nested = [example(f"q{n} x{n}", f'{{"intents":["a"],"slots":{{"n":{n}}}}}', name=str(n)) for n in range(20)]
    assert "scored as texts" in problem(run(nested, {}, settings=text), "json-as-text").message
    labels = [example(f"q{n} x{n}", f"intent_{n % 10}", name=str(n)) for n in range(20)]
    assert "10 different answers" in problem(run(labels, {}, settings=text), "labels-as-text").message
    plain = [example(f"q{n} x{n}", f"this is answer number {n} of all", name=str(n)) for n in range(20)]
    assert not run(plain, {}, settings=text).problems
