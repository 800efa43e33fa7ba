"""Scores of labels, fields and free text, against cases worked out by hand."""

import json

import pytest

from burnish.evaluate.scorers import exact, figure_agreement, figures, normalised, number, score, token_f1
from burnish.records import Example, Message, Task


def _example(answer: str, ask: str = "Where is my claim?", **slices: str) -> Example:
    turns = (Message(role="user", content=ask), Message(role="assistant", content=answer))
    return Example(id="1", messages=turns, group="1", slices=slices)


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        ("  The claim, is APPROVED!\n", "claim is approved"),
        ("3.5", "3.5"),
        ("-5", "-5"),
        ("a self-employed worker", "self-employed worker"),
        ("A", "a"),
        ("ﬁne", "fine"),
        ("STRASSE straße", "strasse strasse"),
        ("2024-05-01.", "2024-05-01"),
        ("...", ""),
    ],
)
def test_texts_are_compared_by_one_rule(text: str, compared: str) -> None:
    assert normalised(text) == compared


def test_a_decimal_point_is_never_lost() -> None:
    assert exact("3.5", "35") == 0.0
    assert exact("5", "-5") == 0.0


def test_a_trailing_newline_does_not_break_an_exact_match() -> None:
    assert exact("Yes.\n", "yes") == 1.0


def test_texts_of_punctuation_alone_are_compared_as_they_stand() -> None:
    assert exact("?", "!") == 0.0
    assert exact(" ?", "?") == 1.0
    assert exact("", "?") == 0.0


@pytest.mark.parametrize(
    ("said", "wanted", "right"),
    [
        ("1,204.0", "1204", 1.0),
        ("$1,204.00 in total", "1204", 1.0),
        ("−3", "-3", 1.0),
        ("0.50", ".5", 1.0),
        ("1204", "1205", 0.0),
        ("between 3 and 4", "3", 0.0),
        ("", "3", 0.0),
        ("", "", 1.0),
        ("twelve", "12", 0.0),
        ("B12", "12", 0.0),
        ("12345678901234567890123456789012", "12345678901234567890123456789013", 0.0),
    ],
)
def test_numbers_agree_by_value_and_not_by_notation(said: str, wanted: str, right: float) -> None:
    assert number(said, wanted) == right


def test_token_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    # said: your claim was paid (4 words), wanted: claim paid today (3), shared: claim, paid.
    assert token_f1("Your claim was paid.", "The claim paid today") == pytest.approx(
        2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3)
    )
    assert token_f1("", "something") == 0.0
    assert token_f1("pay pay pay", "pay") == pytest.approx(0.5)


def test_a_label_counts_only_when_it_is_the_very_same() -> None:
    task = Task(kind="label", labels=("card_lost", "card lost"))
    assert score(task, _example("card_lost"), "card_lost").value == 1.0
    assert score(task, _example("card_lost"), "card lost").value == 0.0


def test_an_answer_outside_of_the_labels_is_not_scored_and_says_why() -> None:
    scored = score(Task(kind="label", labels=("yes", "no")), _example("maybe"), "yes")
    assert scored.value is None
    assert "maybe" in scored.why_missing


FIELDS = Task(
    kind="fields", fields={"amount": "number", "employer": "token_f1", "date": "exact"}, metric="field_accuracy"
)


def test_fields_are_scored_one_by_one_and_averaged() -> None:
    expected = json.dumps({"amount": "1,200", "employer": "Harbor Foods", "date": ""})
    output = json.dumps({"amount": 1200, "employer": "Harbor Foods Inc", "date": "May"})
    scored = score(FIELDS, _example(expected), output)
    assert scored.parts == pytest.approx({"amount": 1.0, "employer": 0.8, "date": 0.0, "all_fields": 0.0})
    assert scored.value == pytest.approx(0.6)


def test_a_missing_key_is_an_empty_field() -> None:
    scored = score(FIELDS, _example('{"amount": "5"}'), '{"amount": "5", "employer": null}')
    assert scored.value == 1.0
    assert scored.parts["all_fields"] == 1.0


@pytest.mark.parametrize("output", ["not json", "[1]", "", "[" * 100_000])
def test_output_that_is_no_object_is_wrong_on_every_field(output: str) -> None:
    assert score(FIELDS, _example('{"amount": "", "date": ""}'), output).value == 0.0


def test_an_expected_answer_that_is_no_object_is_not_scored() -> None:
    scored = score(FIELDS, _example("plain words"), "{}")
    assert scored.value is None
    assert scored.why_missing.startswith("bad-answer:")


def test_figures_are_read_in_one_notation() -> None:
    found = figures("Pay $1,204.50 (5%) for claim UI-1099, ref 0042, to help@state.gov.")
    assert found == {"1204.5", "5", "ui-1099", "0042", "help@state.gov"}


@pytest.mark.parametrize(
    ("output", "agreed"),
    [
        ("You get $450 on claim UI-7.", 1.0),
        ("You get 450.00 on ui-7 within 30 days.", 1.0),  # 30 stands in the question
        ("You get $450.", 0.0),  # the identifier is missing
        ("You get $450 or $500 on UI-7.", 0.0),  # 500 is invented
    ],
)
def test_figures_must_all_be_there_and_none_invented(output: str, agreed: float) -> None:
    assert figure_agreement(output, "$450 on claim UI-7", asked="Is it 30 days?") == agreed


def test_without_figures_there_is_nothing_to_agree_on() -> None:
    assert figure_agreement("Yes, soon.", "Yes.") is None
    assert figure_agreement("In 3 days.", "Soon.") == 0.0


def test_free_text_has_parts_only_where_they_apply() -> None:
    task = Task(kind="text", metric="token_f1")
    plain = score(task, _example("Please wait"), "please wait")
    assert plain.value == 1.0
    assert dict(plain.parts) == {"exact": 1.0}
    facts = _example("You may appeal in writing", facts="appeal; in writing; by mail")
    scored = score(task, facts, "Appeal it in writing.")
    assert scored.parts["facts"] == pytest.approx(2 / 3)


def test_an_empty_expected_text_is_not_scored() -> None:
    assert score(Task(kind="text", metric="token_f1"), _example(" "), "words").value is None
