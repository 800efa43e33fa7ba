"""Seeds become documents and lines become rows again; what is only remembered or unlikely is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.data.provenance import PROVENANCE
from burnish.errors import DataError
from burnish.records import Example, Message, Task
from burnish.synthesize.generator import (
    END,
    UNLIKELY,
    Kin,
    band_of,
    document_of,
    documents_of,
    draft_of,
    head_of,
    is_learnable,
    line_of,
    memorised_share,
    parsed_line,
    row_of,
    split_held_out,
    unlikely,
)

LABEL = Task(kind="label", labels=("pay", "appeal"), instruction="Sort the message.")
FIELDS = Task(kind="fields", fields={"week": "number", "name": "exact"})
TEXT = Task(kind="text")


def row(text, answer="pay", name="seed", group="", system="", **slices):
    turns = (
        *([Message(role="system", content=system)] if system else []),
        Message(role="user", content=text),
        Message(role="assistant", content=answer),
    )
    return Example(id=name, messages=turns, group=group or name, slices=slices)


def seeds(count=20):
    return [
        row(
            f"text {at}",
            ("pay", "appeal")[at % 2],
            f"seed{at}",
            f"group{at // 2}",
            channel=("web", "phone")[at % 3 % 2],
        )
        for at in range(count)
    ]


def test_a_document_is_card_attributes_shots_and_the_row():
    shots = [row("my money\nis late", channel="web"), row("where is it")]
    found = document_of(row("not paid", "pay", "x", channel="web"), shots, LABEL, ["channel"])
    assert found.head + found.body == (
        "Messages, sorted by their answer. Sort the message.\nanswer: pay\nchannel: web\n"
        "- my money\\nis late\n- where is it\n- not paid\n"
    )


def test_where_answers_are_no_labels_the_line_holds_both():
    told = row("week 3 for Ann", '{"week":3,"name":"Ann"}')
    assert line_of(told, FIELDS) == 'week 3 for Ann\t{"week":3,"name":"Ann"}'
    assert "answer:" not in head_of(told, [told], FIELDS, [])


ANY_TEXT = st.text(min_size=1).filter(lambda text: text.strip() == text)


@given(ANY_TEXT, ANY_TEXT)
def test_a_line_comes_back_as_the_text_and_answer_that_it_was(text, answer):
    line = line_of(row(text, answer), TEXT)
    assert END not in line
    assert parsed_line(f" {line}{END}", TEXT) == (text, answer)
    assert parsed_line(f" {line_of(row(text), LABEL)}", LABEL) == (text, "")


NAMES = st.text(st.characters(exclude_categories=["C"]), min_size=1)


@given(st.integers(-1000, 1000), NAMES)
def test_fields_come_back_compact(week, name):
    answer = json.dumps({"week": week, "name": name}, ensure_ascii=False, separators=(",", ":"))
    assert parsed_line(line_of(row("a text", answer), FIELDS), FIELDS) == ("a text", answer)


@pytest.mark.parametrize(
    ("line", "task"),
    [
        ("", LABEL),
        (" \n", LABEL),
        ("two\tparts", LABEL),
        ("a stray \\q escape", LABEL),
        ("cut off after a backslash\\", LABEL),
        ("no answer", TEXT),
        ("no answer\t ", TEXT),
        ("three\tparts\tare too many", TEXT),
        ('not the fields\t{"week":3}', FIELDS),
        ("no object\tweek 3", FIELDS),
    ],
)
def test_a_malformed_line_is_no_row(line, task):
    assert parsed_line(line, task) is None


def test_a_conversation_of_several_turns_fits_no_line():
    one = row("text", system="Be kind.")
    several = Example(id="x", group="x", messages=(*one.messages[1:], *one.messages[1:]))
    assert is_learnable(one)
    assert not is_learnable(several)


def test_shots_are_of_the_same_answer_and_never_of_the_own_group():
    rows = seeds()
    answers = {line_of(one, LABEL): one for one in rows}
    for document, own in zip(documents_of(rows, rows, LABEL, ["channel"], seed=3), rows, strict=True):
        shown = [answers[line[2:]] for line in document.head.splitlines() if line.startswith("- ")]
        assert all(one.answer == own.answer and one.group != own.group for one in shown)
        assert len({one.id for one in shown}) == len(shown) <= 3
        assert document.body == f" {line_of(own, LABEL)}{END}"


def test_the_same_seed_gives_the_same_documents_and_another_one_others():
    rows = seeds()
    first, again, other = (documents_of(rows, rows, LABEL, [], seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_held_out_group_is_held_out_whole_whatever_the_order():
    rows = seeds(40)
    found = split_held_out(rows, seed=5)
    assert {row.group for row in found.held}.isdisjoint({row.group for row in found.learned})
    assert len(found.held) == 4
    assert {row.id for row in split_held_out(rows[::-1], seed=5).held} == {row.id for row in found.held}
    assert {row.id for row in split_held_out(rows, seed=6).held} != {row.id for row in found.held}


def test_one_group_at_least_is_held_out():
    found = split_held_out(seeds(4), seed=0)
    assert len(found.held) == 2


def test_a_sampled_line_is_a_row_of_the_leading_seed_with_all_shots_as_parents():
    rows = [row(f"text {at}", name=f"s{at}", system="Be kind.", channel="web") for at in range(5)]
    draft = draft_of(rows[2], Kin(rows, LABEL, ["channel"]), seed=8)
    assert draft.shots[0] is rows[2]
    assert all(f"- {shot.messages[1].content}\n" in draft.head for shot in draft.shots)
    made = row_of(draft, " a fresh text\n", LABEL, generator="hash", seed=11)
    assert [turn.content for turn in made.example.messages] == ["Be kind.", "a fresh text", "pay"]
    assert made.example.group == "s2"
    assert made.example.slices == {"channel": "web", PROVENANCE: "synthetic"}
    assert made.provenance.parents == tuple(shot.id for shot in draft.shots)
    assert (made.provenance.move, made.provenance.generator) == ("generator", "hash")
    assert made.provenance.request
    assert row_of(draft, "two\tparts", LABEL, generator="hash", seed=11) is None


def test_a_synthetic_row_is_refused_as_a_shot():
    draft = draft_of(row("made", provenance="synthetic"), Kin([], LABEL, []), seed=0)
    with pytest.raises(DataError, match="cannot be the parent"):
        row_of(draft, "a text", LABEL, generator="hash", seed=0)


def test_the_memorised_share_counts_words_runs_of_eight_and_short_texts_whole():
    long = "when will the payment that you promised me in March come at last to my bank"
    own = [row(long), row("pay me")]
    samples = [
        row(long + " please"),  # 8 of 9 runs
        row("Pay me!"),
        row("pay me now"),
        row("the payment that you promised has not come and I do not know what to do"),
    ]
    found = memorised_share(samples, own, LABEL)
    assert (found.value, found.n) == (0.5, 4)
    assert found.low < 0.5 < found.high


def test_a_sample_above_the_largest_loss_of_few_real_rows_is_unlikely():
    real = [1.0, 2.0, 3.0]
    drops = unlikely({"a": 2.9, "b": 3.0, "c": 3.1, "d": float("nan")}, real)
    assert [drop.example for drop in drops] == ["c", "d"]
    assert drops[0].reason == f"{UNLIKELY}: 3.10 nats"
    assert unlikely({"a": 99.0}, []) == ()


def test_of_many_real_rows_one_in_a_hundred_may_be_likelier_than_a_kept_sample():
    real = [at / 1000 for at in range(1001)]
    assert [drop.example for drop in unlikely({"a": 0.99, "b": 0.991}, real)] == ["b"]


def test_the_band_passes_rows_that_others_made():
    step = band_of({"sampled": 5.0}, [1.0])
    assert [drop.example for drop in step([row("a", name="sampled"), row("b", name="by rule")])] == ["sampled"]
