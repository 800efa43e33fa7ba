"""Changes in a draft are counted exactly; and a session ends with a break."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.review.edits import LONGEST, edit_distance
from burnish.review.session import BREAK_S, Answered, session_of, why_rest


def slow_distance(before: str, after: str) -> int:
    """The definition, letter by letter."""
    row = list(range(len(after) + 1))
    for number, one in enumerate(before, start=1):
        last = [number]
        for place, other in enumerate(after, start=1):
            last.append(min(row[place] + 1, last[-1] + 1, row[place - 1] + (one != other)))
        row = last
    return row[-1]


@given(st.text("abé", max_size=12), st.text("abé", max_size=12))
def test_the_distance_is_the_least_number_of_changes(before, after):
    assert edit_distance(before, after) == slow_distance(before, after)


@pytest.mark.parametrize(("before", "after", "changes"), [("", "", 0), ("kitten", "sitting", 3), ("\ud800", "😀", 1)])
def test_the_distance_of_known_pairs(before, after, changes):
    assert edit_distance(before, after) == changes


def test_a_long_text_with_one_change_is_counted_and_a_rewritten_one_is_bounded():
    text = "word " * 50_000
    assert edit_distance(text, f"{text[:1000]}X{text[1000:]}") == 1
    assert edit_distance("a" * (LONGEST + 1), "b" * 10) == LONGEST + 1


def at(minutes: float, seconds: float = 10.0, is_right: bool | None = None) -> Answered:
    return Answered(60 * minutes, seconds, is_right)


def test_a_session_goes_back_to_the_last_break_and_is_over_after_one():
    told = [at(0), at(1), at(30), at(31)]
    assert [round(one.minute, 1) for one in session_of(told, 60 * 32)] == [0.2, 1.2]
    assert session_of(told, 60 * 31 + BREAK_S) == []
    assert session_of([], 0.0) == []
    # A long look at one item is no break.
    assert len(session_of([at(0), at(40, seconds=2_000)], 60 * 41)) == 2


def test_a_rest_is_due_after_a_long_time_or_when_answers_get_slower():
    quick = [at(number / 5, 10 + number % 3) for number in range(20)]
    slow = [at(4 + number / 2, 25 + number % 3) for number in range(20)]
    assert "take longer" in why_rest(session_of([*quick, *slow], 60 * 14))
    assert why_rest(session_of([*quick, *slow[:-1]], 60 * 13.9)) == ""
    assert why_rest(session_of(quick, 60 * 5)) == ""
    hours = [at(10.0 * number) for number in range(9)]
    assert why_rest(session_of(hours, 60 * 81)) == "this session has lasted 80 minutes"
