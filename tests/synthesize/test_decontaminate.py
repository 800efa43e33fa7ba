"""Rows that repeat a protected text are dropped, others are kept, and nothing else is told."""

import pickle
import random

import pytest

from burnish.errors import DataError
from burnish.synthesize.decontaminate import Decontaminator

POLICY = (
    "a claimant who moved to another state during the base period may file an interstate claim with the state "
    "where the wages were paid and must report every week of work there"
)
SHORT = "why was my claim denied"
TINY = "hello there"


def service(*protected, most_rows=1000, num_asked=0):
    return Decontaminator(protected, key=b"a test", most_rows=most_rows, num_asked=num_asked)


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (POLICY, False),
        (POLICY.upper().replace(" ", ",  "), False),
        # A run of 13 words in a long text of other words.
        ("tell me please if " + " ".join(POLICY.split()[5:18]) + " or what else there is to do for me now", False),
        # A run of 12 words: less than half of the runs of 8, none of 13.
        ("tell me please if " + " ".join(POLICY.split()[5:17]) + " or what else there is to do for me now", True),
        ("my friend asked why was my claim denied when so many others were paid in that week", False),
        ("denied my claim was why", False),
        ("why was the appeal of my sister heard so late", True),
        ("hello there i want to open a new claim for last week", True),
        ("Hello there!", False),
    ],
)
def test_repeats_are_dropped_and_others_kept(row, kept):
    assert service(POLICY, SHORT, TINY).keep([row]) == (kept,)


def test_the_answer_for_a_row_does_not_depend_on_the_others():
    draw = random.Random(3)
    words = POLICY.split()
    rows = [" ".join(draw.choices(words, k=draw.randint(1, 30))) for _ in range(200)]
    rows += [POLICY, SHORT]
    together = service(POLICY, SHORT).keep(rows)
    assert together == tuple(service(POLICY, SHORT).keep([row])[0] for row in rows)
    assert not all(together)
    assert any(together)


def test_it_holds_no_protected_text():
    held = pickle.dumps(service(POLICY, SHORT).__dict__)
    assert not [word for word in {*POLICY.split(), *SHORT.split()} if len(word) > 4 and word.encode() in held]


def test_with_nothing_protected_every_row_is_kept():
    assert service().keep([POLICY, ""]) == (True, True)


def test_questions_are_counted_and_capped():
    asked = service(POLICY, most_rows=5, num_asked=2)
    asked.keep([SHORT, TINY])
    assert asked.num_asked == 4
    with pytest.raises(DataError, match="2 more rows would be held against the protected ones; 4 of at most 5"):
        asked.keep([SHORT, TINY])
    assert asked.num_asked == 4
    assert asked.keep([SHORT]) == (True,)
