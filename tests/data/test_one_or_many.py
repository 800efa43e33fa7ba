"""One row is, two rows are: what a check says agrees with its numbers."""

import re

from burnish.records import Rejection
from tests.data.test_check import KEY, clean, example, problem, run

WRONG = re.compile(r"\b1 \w+s\b|\b1 \w+ (are|have|hold|ask|do)\b")


def test_a_single_row_is_told_of_in_the_singular():
    rows = [*clean(), example(f"my key is {KEY}", "pay"), *clean(1)]
    bad = Rejection(source="rows.jsonl", row=3, offset_bytes=0, reason="empty: nothing", snippet="")
    found = run(rows, rejected=(bad,))
    assert {"secret", "duplicate", "rejected"} <= {one.name for one in found.problems if one.count == 1}
    assert problem(found, "secret").message.startswith("1 example holds what looks like a password")
    assert problem(found, "rejected").message.startswith("1 row cannot be read")
    for one in found.problems:
        assert not WRONG.search(one.message), one.message
