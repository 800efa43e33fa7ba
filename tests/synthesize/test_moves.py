"""Rows made by rule keep their answer true, come from people's rows only, and are the same each time."""

import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.errors import DataError
from burnish.records import Cell, Example, Message
from burnish.synthesize.counterfactual import swap_values, value_pool
from burnish.synthesize.moves import MOVES, augment, compose, fill_cell
from burnish.synthesize.noise import NOISES, add_noise

TEXT = "When will my payment of last week arrive? My bank, in Dayton, knows nothing."


def row(text, answer="pay", name="seed", **slices):
    turns = (
        Message(role="system", content="Answer for 200 dollars."),
        Message(role="user", content=text),
        Message(role="assistant", content=answer),
    )
    return Example(id=name, messages=turns, group=f"group of {name}", slices=slices)


def asked(made):
    return made.example.prompt[-1].content


FIELDS = [
    row("Week 3 paid 200 dollars to Ann Bee.", '{"week":3,"amount":200,"name":"Ann Bee"}', "f1"),
    row("Week 5 paid 310 dollars to Cy Dow.", '{"week":5,"amount":310,"name":"Cy Dow"}', "f2"),
    row("Week 8 paid 42.50 dollars to Eve Fox.", '{"week":8,"amount":42.5,"name":"Eve Fox"}', "f3"),
]


@pytest.mark.parametrize("kind", NOISES)
def test_noise_changes_the_question_and_nothing_else(kind):
    seed = row(TEXT, state="ohio")
    made = add_noise(seed, kind)
    assert asked(made) != TEXT
    assert made.example.messages[0] == seed.messages[0]
    assert made.example.answer == "pay"
    assert made.example.slices == {"state": "ohio", "noise": kind, "provenance": "synthetic"}
    assert made.example.group == seed.group
    assert made.provenance.parents == ("seed",)
    assert made == add_noise(seed, kind)


@given(st.sampled_from(NOISES), st.integers(0, 1000), st.sampled_from(FIELDS))
def test_noise_leaves_every_value_that_the_answer_repeats(kind, seed, parent):
    made = add_noise(parent, kind, seed=seed)
    if made:
        for value in json.loads(parent.answer).values():
            shown = str(value) if str(value) in parent.prompt[-1].content else ""
            assert shown in asked(made)


@given(st.integers(0, 200))
def test_a_cut_message_is_a_beginning_of_it(seed):
    made = add_noise(row(TEXT), "cut", seed=seed)
    assert TEXT.startswith(asked(made))
    assert 3 <= len(asked(made).split()) < len(TEXT.split())


def test_a_text_without_punctuation_has_none_to_lose():
    assert add_noise(row("no signs here"), "punctuation") is None


def test_two_messages_with_one_answer_become_one_in_either_order():
    first, second = row("My card is lost", name="a"), row("No money came!", name="b")
    made = [compose(first, second, seed=seed) for seed in range(20)]
    assert {asked(one) for one in made} == {"My card is lost. No money came!", "No money came! My card is lost"}
    assert all(one.provenance.parents == ("a", "b") for one in made)
    with pytest.raises(DataError, match="a and b cannot be joined"):
        compose(first, row("other", "appeal", "b"))
    with pytest.raises(DataError, match="f1 and f2 cannot be joined"):
        compose(*FIELDS[:2])


def test_a_conversation_of_several_turns_is_not_joined():
    turns = (*row("hello").messages[:2], Message(role="assistant", content="yes?"), *row("and now?").messages[1:])
    assert compose(Example(id="long", messages=turns, group="g"), row("hello")) is None


@given(st.integers(0, 300), st.sampled_from(FIELDS))
def test_swapped_values_are_the_same_in_question_and_answer(seed, parent):
    made = swap_values(parent, value_pool(FIELDS), seed=seed)
    old, new = json.loads(parent.answer), json.loads(made.example.answer)
    assert list(new) == list(old)
    changed = [name for name in old if old[name] != new[name]]
    assert changed
    for name in changed:
        assert str(new[name]) in asked(made)
        assert not re.search(rf"(?<![\w.]){re.escape(str(old[name]))}(?![\w.])", asked(made))
        assert new[name] in {json.loads(one.answer)[name] for one in FIELDS}
    assert made.example.messages[0] == parent.messages[0]  # The rules of the system message stay.


def test_only_the_named_fields_change():
    made = swap_values(FIELDS[0], value_pool(FIELDS), names=["week"])
    answer = json.loads(made.example.answer)
    assert answer["week"] in (5, 8)
    assert (answer["amount"], answer["name"]) == (200, "Ann Bee")
    assert asked(made) == f"Week {answer['week']} paid 200 dollars to Ann Bee."
    assert swap_values(row("no field is here"), value_pool(FIELDS)) is None


@given(st.integers(0, 300))
def test_easy_augmentation_uses_words_of_the_seed_and_of_rows_with_its_answer(seed):
    donor, other = row("refund delayed again", name="donor"), row("zebra crossing", "appeal", "other")
    made = augment(row(TEXT), [donor, other], seed=seed)
    if made:
        new = Counter(asked(made).split()) - Counter(TEXT.split())
        assert set(new) <= {"refund", "delayed", "again"}
        assert made.provenance.parents == (("seed", "donor") if new else ("seed",))


@pytest.mark.parametrize("move", [move for move in MOVES if move != "counterfactual"])
def test_a_cell_is_filled_with_different_rows_of_its_own_answer(move):
    seeds = [row(f"{TEXT} Number {at}.", name=f"pay{at}") for at in range(4)]
    seeds += [row(f"I appeal letter {at} of my claim.", "appeal", f"appeal{at}") for at in range(4)]
    cell = Cell(purpose="weakness", count=12, answer="appeal")
    found = fill_cell(cell, seeds, move=move)
    texts = {asked(made) for made in found}
    assert len(texts) == len(found) == 12
    assert not texts & {seed.prompt[-1].content for seed in seeds}
    assert {made.example.answer for made in found} == {"appeal"}
    assert {parent for made in found for parent in made.provenance.parents} <= {f"appeal{at}" for at in range(4)}
    assert found == fill_cell(cell, seeds, move=move)
    assert found != fill_cell(cell, seeds, move=move, seed=1)


def test_a_cell_gets_fewer_rows_where_the_seeds_give_no_more():
    cell = Cell(purpose="weakness", count=50, columns={"noise": "case"})
    assert {asked(made) for made in fill_cell(cell, [row("My Card")], move="noise")} <= {"MY CARD", "my card"}
    assert fill_cell(Cell(purpose="weakness", count=5), [row("alone")], move="compose") == []


def test_made_rows_are_no_parents():
    made = row(TEXT, provenance="synthetic")
    with pytest.raises(DataError, match="seed is synthetic, so it cannot be the parent"):
        add_noise(made, "typo")
    with pytest.raises(DataError, match="no row that people wrote is in this cell"):
        fill_cell(Cell(purpose="weakness", count=2), [made], move="noise")
