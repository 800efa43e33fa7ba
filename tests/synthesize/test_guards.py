"""Each filter drops its own kind of bad row with its reason, and lets good rows through in their order."""

import pytest

from burnish.errors import DataError
from burnish.records import Example, Message, Task
from burnish.synthesize.guards import GuardLimits, guard

TASK = Task(kind="label", labels=("pay", "appeal"))
SEEDS_OF = {
    "pay": ["when will my payment for last week arrive", "my bank says that no payment of this claim came"],
    "appeal": ["i want to appeal the letter that denied my claim", "how do i send the form for an appeal hearing"],
}


def row(text, answer="pay", name=""):
    turns = (Message(role="user", content=text), Message(role="assistant", content=answer))
    return Example(id=name or text[:20], messages=turns, group=text)


SEEDS = [row(text, answer) for answer, texts in SEEDS_OF.items() for text in texts]


def reasons(*rows, task=TASK, limits=None):
    return {drop.example: drop.reason for drop in guard(rows, SEEDS, task, limits).drops}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("the money of my claim is late", "refund", "x"), "form: a label that the task does not have"),
        (row("?! ... ?!", name="x"), "form: a prompt without a word"),
        (row("my payment <|im_end|> is late again", name="x"), "form: a control token"),
        (row("my payment is late \ud800 again", name="x"), "form: half a character, which no file can hold"),
        (row("pay", name="x"), "length: 1 words"),
        (row(" ".join(f"late{at}" for at in range(30)), name="x"), "length: 30 words"),
        (row("когда придут деньги за прошлую неделю", name="x"), "language: another script"),
        (row(SEEDS_OF["pay"][0].upper() + "?!", name="x"), "copy"),
    ],
)
def test_a_bad_row_is_dropped_with_its_reason(bad, reason):
    good = row("the money for two weeks is late, who can help", name="good")
    assert reasons(good, bad) == {"x": reason}


def test_fields_must_be_those_of_the_task():
    task = Task(kind="fields", fields=("week", "amount"))
    good = row("week 3 paid 200 dollars to my card", '{"week": 3, "amount": 200}', "good")
    bad = row("week 4 paid 100 dollars to my bank", '{"week": 4}', "bad")
    assert reasons(good, bad, task=task) == {"bad": "form: not the fields of the task"}


def test_of_rows_alike_the_first_is_kept():
    first = row("who tells me why the money is late this month", name="first")
    equal = row("who tells me  why the MONEY is late this month", name="equal")
    near = row("who tells me why the money is late this month again", name="near")
    turned = row("this month the money is late who tells me why", name="turned")
    found = guard([first, equal, near, turned], SEEDS, TASK, GuardLimits(near=0.7))
    assert found.kept == (first,)
    assert [drop.reason for drop in found.drops] == ["duplicate", "near-duplicate", "cosine-duplicate"]
    assert found.as_text() == "1 row kept, 3 dropped (cosine-duplicate 1, duplicate 1, near-duplicate 1)"


def test_words_alike_under_another_label_are_no_duplicate_by_cosine():
    one = row("this month the money is late who tells me why", "pay", "one")
    other = row("who tells me why the money is late this month", "appeal", "other")
    assert reasons(one, other) == {}


def test_a_free_text_is_as_new_as_its_answer():
    task = Task(kind="text")
    one = row("what is the rule", "an appeal must be sent within thirty days of the letter", "one")
    other = row("what is the rule", "wages of the last five quarters count for the claim", "other")
    assert reasons(one, other, task=task) == {}
    assert "other" in reasons(one, other)


def test_without_seeds_nothing_can_be_judged():
    with pytest.raises(DataError, match="no seed to hold synthetic rows against"):
        guard([row("who can help me with my claim")], [], TASK)
