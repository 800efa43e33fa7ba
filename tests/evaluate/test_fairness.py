"""Twins that differ in one attribute, and flips beyond the noise of neutral twins, on models with a known bias."""

import pytest

from burnish.errors import ConfigError, EvaluationError
from burnish.evaluate.fairness import changed, fairness, group_gap, make_twins
from burnish.evaluate.measure import pair
from burnish.evaluate.swaps import NEUTRAL, builtin_swaps, load_swaps, swaps_from, twins_of
from burnish.records import Message, Task
from tests.evaluate.measured_rows import evaluation, example

TASK = Task(labels=("yes", "no"))


def _twin(text: str, attribute: str, answer: str = "yes"):
    return twins_of(example(text, answer), attribute, builtin_swaps()[attribute])


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("He lost his card and asked him.", "She lost her card and asked her."),
        ("She lost her card, so give it to her.", "He lost his card, so give it to him."),
        ("I asked her about her husband.", "I asked him about his wife."),
        ("HE said he's here. The theme is other.", "SHE said she's here. The theme is other."),
        ("The man's wife called.", "The woman's husband called."),
    ],
)
def test_gender_is_swapped_in_whole_words_both_ways_and_in_the_same_case(text, swapped):
    twin = _twin(text, "gender")
    assert twin is not None
    assert twin.example.prompt[0].content == swapped
    assert {twin.source, twin.target} == {"male", "female"}


def test_ages_in_figures_are_swapped_and_children_stay_children():
    twin = _twin("I am a 34-year-old, aged 34; case 34.", "age")
    assert twin is not None
    assert twin.example.prompt[0].content == "I am a 69-year-old, aged 69; case 34."
    back = _twin("My mother is 70 years old.", "age")
    assert back is not None
    assert back.example.prompt[0].content == "My mother is 35 years old."
    assert _twin("My son is 10 years old.", "age") is None


def test_a_name_is_swapped_for_the_same_one_every_time_and_in_the_expected_answer_too():
    twin = _twin("I am Emily Smith.", "names", answer="Dear Emily")
    again = _twin("I am Emily Smith.", "names", answer="Dear Emily")
    assert twin is not None
    assert again is not None
    assert twin.example == again.example
    assert twin.source == "english"
    name = next(entry[twin.target] for entry in builtin_swaps()["names"] if entry["english"] == "Emily")
    assert twin.example.answer == f"Dear {name}"
    assert "Smith" not in twin.example.prompt[0].content


def test_a_prompt_without_the_attribute_has_no_twin_and_instructions_stay():
    assert _twin("My parcel is late.", "gender") is None
    row = example("He is late.", "yes")
    system = Message(role="system", content="He who asks gets an answer.")
    twin = twins_of(
        type(row)(id="r0", messages=(system, *row.messages), group="r0"), "gender", builtin_swaps()["gender"]
    )
    assert twin is not None
    assert twin.example.messages[0] == system
    assert twin.example.messages[1].content == "She is late."


def test_a_table_of_ones_own_is_read_and_gets_the_neutral_swaps(tmp_path):
    (tmp_path / "swaps.yaml").write_text("brand:\n  - {ours: Acme, theirs: Umbra}\n")
    table = load_swaps(tmp_path / "swaps.yaml")
    assert set(table) == {"brand", NEUTRAL}
    found = make_twins([example("My Acme phone, please", "yes")], table)
    assert [one.prompt[0].content for one in found.examples] == ["My Umbra phone, please", "My Acme phone, kindly"]


@pytest.mark.parametrize("text", ["- a", "gender: he", "gender: [{male: he}]", "gender: [{male: he, female: 3}]"])
def test_a_table_in_another_form_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        swaps_from(text, "mine.yaml")
    assert "mine.yaml" in caught.value.message
    assert caught.value.hint


def test_no_form_of_the_table_stands_in_two_entries_of_two_attributes():
    seen: dict[str, str] = {}
    for attribute, entries in builtin_swaps().items():
        for form in {form.casefold() for entry in entries for form in entry.values()}:
            assert seen.setdefault(form, attribute) == attribute, form


ROWS = [example(f"Please help: he moved on Monday, case {at}", "yes", f"r{at:02d}", channel="web") for at in range(40)]


def _asked(model):
    return fairness(
        TASK, ROWS, evaluation(TASK, ROWS, [model(one) for one in ROWS]), lambda rows: [model(one) for one in rows]
    )


def _text(row) -> str:
    return row.prompt[-1].content


def test_a_biased_model_is_told_from_a_fickle_and_from_a_fair_one():
    def biased(row):
        return "no" if " she " in _text(row) else "yes"

    def fickle(row):  # as likely to change by a neutral word as by a pronoun
        return "no" if any(word in _text(row) for word in (" she ", "Tuesday")) else "yes"

    for model, verdict in ((biased, "biased"), (fickle, "no bias seen"), (lambda row: "yes", "no bias seen")):
        (gender,) = (one for one in _asked(model) if one.attribute == "gender")
        assert gender.verdict == verdict
        assert gender.flips.overall.n == 40


def test_excess_flips_are_counted_against_noise_row_by_row():
    def model(row):
        number = int(_text(row).rsplit(" ", 1)[1])
        return "no" if (" she " in _text(row) and number < 10) or ("Tuesday" in _text(row) and number >= 38) else "yes"

    (gender,) = (one for one in _asked(model) if one.attribute == "gender")
    assert gender.flips.overall.value == pytest.approx(10 / 40)
    assert gender.noise.value == pytest.approx(2 / 40)
    assert gender.excess.value == pytest.approx(8 / 40)
    # One-sided mid-p of 10 against 2 of 12: P(X > 10) + P(X = 10) / 2 = (12 + 1 + 66 / 2) / 2^12.
    assert gender.p_value == pytest.approx((13 + 33) / 4096)
    assert gender.flips.slices["channel=web"].n == 40
    assert gender.flips.rows[0].findings[0].kind == "male to female"


def test_attributes_are_holm_adjusted_and_too_few_twins_tell_nothing():
    def model(row):
        return "no" if " she " in _text(row) else "yes"

    rows = [*ROWS, example("I am Emily", "yes", "x0")]
    found = fairness(
        TASK, rows, evaluation(TASK, rows, [model(one) for one in rows]), lambda some: [model(one) for one in some]
    )
    by_name = {one.attribute: one for one in found}
    assert by_name["names"].verdict == "too few rows"
    assert by_name["names"].p_holm is None
    assert by_name["region"].flips.overall.value is None
    assert by_name["region"].flips.why_missing.startswith("not-shown:")
    assert by_name["gender"].p_holm == by_name["gender"].p_value  # the only one with enough rows


def test_a_name_that_is_rightly_repeated_is_no_flip():
    task = Task(kind="fields", fields={"who": "exact"}, metric="field_accuracy")
    rows = [example("Dear Emily", '{"who":"Emily"}', "r0")]

    def model(row):
        return f'{{"who":"{_text(row).split()[1]}"}}'

    found = fairness(task, rows, evaluation(task, rows, [model(rows[0])]), lambda some: [model(one) for one in some])
    (names,) = (one for one in found if one.attribute == "names")
    assert names.flips.value_of() == {"r0": 0.0}


def test_text_moves_by_the_words_that_it_does_not_share():
    task = Task(kind="text", metric="token_f1")
    assert changed(task, "we will pay", "we will pay") == 0.0
    assert changed(task, "we will pay", "we will not") == pytest.approx(1 / 3)


def test_answers_must_be_as_many_as_were_asked_for():
    with pytest.raises(EvaluationError, match="answers came"):
        fairness(TASK, ROWS, evaluation(TASK, ROWS, ["yes"] * 40), lambda rows: [])


def test_two_models_are_paired_on_the_same_twins():
    def biased(row):
        return "no" if " she " in _text(row) else "yes"

    def flips(model):
        return next(one.flips for one in _asked(model) if one.attribute == "gender")

    found = pair(flips(lambda row: "yes"), flips(biased))
    assert found is not None
    assert found.differences == (-1.0,) * 40


def _by_office(scores: dict[str, list[int]]):
    rows, outputs = [], []
    for office, right in scores.items():
        for at, one in enumerate(right):
            rows.append(example("q", "yes", f"{office}-{at:03d}", office=office))
            outputs.append("yes" if one else "no")
    return evaluation(TASK, rows, outputs)


def test_the_worst_group_is_named_and_a_small_unlucky_one_is_not():
    found = group_gap(
        _by_office({"a": [1] * 90 + [0] * 10, "b": [1] * 85 + [0] * 15, "c": [1] * 50 + [0] * 50, "d": [0] * 2}),
        "office",
    )
    assert found.worst == "office=c"
    assert set(found.shrunk) == {"office=a", "office=b", "office=c"}
    assert found.gap.overall.value == pytest.approx(225 / 300 - found.shrunk["office=c"])
    assert found.gap.overall.low is not None
    assert found.gap.overall.low > 0.1
    assert found.gap.slices["office=c"].value == 0.5


def test_shrinkage_takes_most_of_a_gap_that_luck_explains():
    found = group_gap(_by_office({name: [1] * 8 + [0] * (1 + at % 2) for at, name in enumerate("abcdefgh")}), "office")
    worst = min(one.value for one in found.gap.slices.values() if one.value is not None)
    overall = 64 / 76
    assert found.gap.overall.value is not None
    assert found.gap.overall.value < 0.25 * (overall - worst)


def test_one_group_has_no_gap_and_says_why():
    found = group_gap(_by_office({"a": [1] * 9}), "office")
    assert found.gap.overall.value is None
    assert found.gap.why_missing.startswith("groups:")
    assert found.worst == ""
