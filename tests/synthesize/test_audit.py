"""A batch trains only when a blind sample proves that enough of it is right, whatever its size."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.errors import DataError
from burnish.records import Example, Message
from burnish.synthesize.audit import draw_audit, judge_audit, judge_by_gold, lower_bound, may_train, not_audited


def batch_of(count):
    return [
        Example(
            id=f"row{at}",
            messages=(Message(role="user", content=f"question {at}"), Message(role="assistant", content="yes")),
            group=f"group{at}",
            slices={"provenance": "synthetic", "state": "ohio"},
            source="synthesize",
            weight=0.5,
        )
        for at in range(count)
    ]


@pytest.mark.parametrize(("right", "status"), [(60, "accepted"), (59, "accepted"), (58, "rejected")])
def test_sixty_rows_may_hold_one_that_is_wrong(right, status):
    sample = batch_of(60)
    results = {row.id: at < right for at, row in enumerate(sample)}
    audit = judge_audit("b", 5000, sample, results, by="people")
    assert (audit.status, audit.correct, len(audit.wrong)) == (status, right, 60 - right)
    assert may_train(audit) == (status == "accepted")
    assert may_train(audit, take_unaudited=True) == (status == "accepted")


def test_nobody_is_told_where_a_row_is_from():
    rows = batch_of(200)
    sample = draw_audit(rows)
    known = {row.id: row for row in rows}
    assert len({row.id for row in sample}) == 60
    for row in sample:
        assert row.messages == known[row.id].messages
        assert (row.slices, row.source, row.group, row.weight) == ({}, "", row.id, 1.0)


def test_the_sample_is_the_batchs_own_and_in_any_order_the_same():
    rows = batch_of(200)
    assert draw_audit(rows) == draw_audit(list(reversed(rows)))
    assert draw_audit(rows) != draw_audit(rows[1:])
    assert draw_audit(rows) != draw_audit(rows, seed=1)
    assert len(draw_audit(rows[:20])) == 20


def test_every_row_is_drawn_equally_often():
    drawn = Counter(row.id for seed in range(400) for row in draw_audit(batch_of(12), n=3, seed=seed))
    # 400 draws of 3 of 12 rows: 100 each, standard deviation 8.7; five of them around it.
    assert set(drawn) == {f"row{at}" for at in range(12)}
    assert all(abs(count - 100) < 44 for count in drawn.values())


@pytest.mark.parametrize(("size", "n"), [(80, 30), (80, 79), (5000, 60)])
def test_a_bound_is_above_the_truth_in_one_batch_of_twenty_at_most(size, n):
    draw = random.Random(f"{size} {n}")
    truth = round(0.9 * size)
    rows = [True] * truth + [False] * (size - truth)
    tries = 3000
    above = sum(lower_bound(sum(draw.sample(rows, n)), n, size) > truth / size for _ in range(tries))
    # At most 0.05; three standard deviations of 3,000 tries are 0.012.
    assert above / tries <= 0.05 + 0.012


@given(st.integers(1, 60), st.data())
def test_a_batch_judged_whole_has_its_share_as_bound(size, data):
    correct = data.draw(st.integers(0, size))
    assert lower_bound(correct, size, size) == correct / size


def test_a_row_without_a_verdict_stops_it_and_one_that_nobody_can_tell_is_not_right():
    sample = batch_of(30)
    results = {row.id: True for row in sample}
    with pytest.raises(DataError, match="1 of 30 rows of the audit of b have no verdict yet"):
        judge_audit("b", 900, sample, {name: one for name, one in results.items() if name != "row7"}, by="people")
    audit = judge_audit("b", 900, sample, results | {"row7": None}, by="people")
    assert audit.wrong == ("row7",)


def test_too_small_a_sample_says_that_it_cannot_prove_anything():
    sample = batch_of(10)
    audit = judge_audit("b", 900, sample, {row.id: True for row in sample}, by="people")
    assert audit.status == "rejected"
    assert audit.note == "10 rows cannot prove 0.90 even if all are right"


def test_held_gold_judges_the_rows_it_knows():
    sample = batch_of(40)
    gold = {row.id: "yes" for row in sample} | {"row3": "no"}
    audit = judge_by_gold("b", 4000, sample, gold)
    assert (audit.by, audit.n, audit.wrong) == ("held gold", 40, ("row3",))


def test_what_nobody_judged_is_barred_unless_someone_says_otherwise():
    for audit in (not_audited("b", 100), judge_audit("b", 0, [], {}, by="people")):
        assert audit.lower is None
        assert not may_train(audit)
        assert may_train(audit, take_unaudited=True)
