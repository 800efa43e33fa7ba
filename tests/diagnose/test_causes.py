"""Every cause has a case that shows it; causes are read off by rule, the same in any order of rows."""

import json
from dataclasses import replace

import pytest

from burnish.diagnose.causes import REMEDIES, causes_of
from burnish.records import Evaluation, Example, Interval, Message, RowResult, Task

LABELS = ("refund", "card", "login", "appeal", "visa")
TASK = Task(kind="label", labels=LABELS)


def example(name: str, text: str, answer: str) -> Example:
    turns = (Message(role="user", content=text), Message(role="assistant", content=answer))
    return Example(id=name, messages=turns, group=name)


def rows(answer: str, *texts: str) -> list[Example]:
    return [example(f"{answer}{at}", text, answer) for at, text in enumerate(texts)]


TRAIN = [
    *rows(
        "refund",
        "money back for the broken kettle",
        "give me my money back for the kettle",
        "kettle broken, want money back",
        "send the money back, kettle arrived broken",
    ),
    *rows("card", "block my stolen card", "my card was stolen", "stolen card please block", "block the card today"),
    *rows("login", "password reset fails", "cannot login password", "reset my password", "login page password wrong"),
    *rows("appeal", "decision appeal hearing"),
]


def cause(text, expected, output, *, task=TASK, train=TRAIN, suspects=None, others=(), metric="accuracy", **more):
    row = RowResult(example="x", prompt="", output=output, expected=expected, score=0.0, **more)
    none = Interval(value=None, low=None, high=None, n=0)
    looked = Evaluation(model="m", model_hash="", template_hash="", metric=metric, rows=(row,), overall=none, slices={})
    texts = {"x": text, **{f"o{at}": other for at, other in enumerate(others)}}
    return causes_of(looked, texts, task, train, suspects=suspects)["x"]


LABEL_CASES = {
    "format": ("block my card", "card", "the card one"),
    "refusal": ("block my card", "card", "I'm sorry, but I cannot help with that."),
    "missing knowledge": ("hearing about the decision", "appeal", "refund"),
    "spurious cue": ("stolen kettle, refund wanted", "refund", "card"),
    "wrong reasoning": ("money back for the broken kettle today", "refund", "card"),
}


@pytest.mark.parametrize("name", LABEL_CASES)
def test_an_error_of_a_label_task_has_its_cause(name):
    text, expected, output = LABEL_CASES[name]
    train = [one for one in TRAIN if "kettle" not in one.messages[0].content] if name == "spurious cue" else TRAIN
    if name == "spurious cue":
        train = train + rows("refund", "money back please", "return the money", "money returned to me")
    found = cause(text, expected, output, train=train)
    assert found.name == name, found
    assert found.why


def test_a_row_cut_off_at_the_length_limit_has_a_format_error():
    task = Task(kind="text", max_new_tokens=16)
    found = cause("how long", "two days", "It takes a", task=task, metric="token_f1", stop_reason="length")
    assert found.name == "format"
    assert "16 tokens" in found.why


FIELDS = Task(kind="fields", fields={"amount": "exact", "date": "exact"})


def fields(**values: str) -> str:
    return json.dumps(values)


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ('{"amount": "$20"', "format"),
        ('{"amount": "$20"}', "format"),
        (fields(amount="$90", date="May 3"), "grounding"),
        (fields(amount="$20", date="May"), "wrong reasoning"),
    ],
)
def test_an_error_of_a_fields_task_has_its_cause(output, name):
    train = [example(f"t{at}", f"I paid $1{at} on June {at}", fields(amount="", date="")) for at in range(5)]
    text = "I paid $20 on May 3, not in June"
    found = cause(text, fields(amount="$20", date="May 3"), output, task=FIELDS, train=train, metric="field_accuracy")
    assert found.name == name, found


def test_a_figure_of_free_text_that_nobody_gave_is_a_grounding_error():
    found = cause(
        "when is form B12 due",
        "B12 is due in May",
        "B12 is due on 2031-01-01",
        task=Task(kind="text"),
        metric="token_f1",
    )
    assert found.name == "grounding"
    assert "'2031-01-01'" in found.why or "2031" in found.why


def test_an_answer_where_silence_was_expected_is_a_refusal_error_too():
    found = cause(
        "what is my neighbour's balance",
        "I cannot share that.",
        "It is in the file.",
        task=Task(kind="text"),
        metric="token_f1",
    )
    assert found.name == "refusal"


def test_gold_that_is_doubted_or_contradicted_by_the_same_text_is_ambiguous():
    text = "block my stolen card"
    doubted = ("block the card", "refund", "card")
    assert cause(*doubted, suspects={"x": "card"}).name == "ambiguous or wrong gold"
    assert cause(*doubted, suspects={"x": "login"}).name != "ambiguous or wrong gold", "the model says another answer"
    assert cause("password reset card", "appeal", "card", suspects={"x": "card"}).name == "missing knowledge", (
        "neighbours disagree"
    )
    found = cause(text, "refund", "card")
    assert (found.name, "'card'" in found.why) == ("ambiguous or wrong gold", True)


def test_terms_of_the_trade_that_no_training_row_has_are_jargon():
    found = cause("chargeback on my card", "card", "refund", others=["chargeback opened", "another chargeback"])
    assert (found.name, "chargeback" in found.why) == ("jargon", True)
    assert cause("APR of my card", "card", "refund").name == "jargon"
    slip = cause("cahrgeback on my card", "card", "refund")
    assert slip.name != "jargon", "a word that one text alone has is a slip of the pen"


def test_without_training_rows_every_error_lacks_knowledge():
    assert cause("block my card", "card", "refund", train=[]).name == "missing knowledge"


def test_every_cause_has_a_remedy_and_right_rows_have_no_cause():
    row = RowResult(example="x", prompt="", output="card", expected="card", score=1.0)
    wrong = replace(row, example="y", output="login", score=0.0)
    missing = replace(row, example="z", score=None, why_missing="unknown-label: q")
    none = Interval(value=None, low=None, high=None, n=0)
    looked = Evaluation(
        model="m",
        model_hash="",
        template_hash="",
        metric="accuracy",
        rows=(row, wrong, missing),
        overall=none,
        slices={},
    )
    texts = dict.fromkeys("xyz", "block my card")
    found = causes_of(looked, texts, TASK, TRAIN)
    assert set(found) == {"y"}
    assert all(REMEDIES[one.name] for one in found.values())
    turned = replace(looked, rows=looked.rows[::-1])
    assert causes_of(turned, texts, TASK, TRAIN[::-1]) == found
