"""A plan keeps its ceilings for any data, puts most rows where the model is weak, and its numbers add up."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.errors import DataError
from burnish.records import Example, Interval, Message, Task, Weakness
from burnish.synthesize.cells import in_cell
from burnish.synthesize.plan import PlanLimits, plan_cells, rows_over_limit
from burnish.synthesize.room import split_exactly

TASK = Task(kind="label", labels=("pay", "appeal", "move", "other"))


def row(at, answer, state="ohio", provenance="", text="question"):
    turns = (Message(role="user", content=f"{text} {at}"), Message(role="assistant", content=answer))
    slices = {"state": state} | ({"provenance": provenance} if provenance else {})
    return Example(id=f"{provenance}{answer}{at}", messages=turns, group=f"{answer}{at}", slices=slices)


def rows_of(counts, **more):
    return [row(at, answer, **more) for answer, count in counts.items() for at in range(count)]


def weakness(columns, priority=0.1, terms=(), name="weak"):
    none = Interval(value=0.5, low=0.4, high=0.6, n=50)
    return Weakness(
        name=name,
        kind="text" if terms else "declared",
        columns=columns,
        terms=terms,
        found=none,
        checked=none,
        p_holm=0.01,
        confirmed=True,
        prevalence=0.2,
        shrunk_error=0.5,
        priority=priority,
    )


@given(st.integers(0, 500), st.lists(st.floats(0, 10, allow_subnormal=False), min_size=1, max_size=8))
def test_a_total_is_split_in_whole_parts_near_the_weights(total, weights):
    parts = split_exactly(total, weights)
    if not sum(weights) or not total:
        assert parts == [0] * len(weights)
        return
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / sum(weights)) < 1 + 1e-6


@given(
    human=st.dictionaries(st.sampled_from(TASK.labels), st.integers(1, 40), min_size=1),
    made=st.dictionaries(st.sampled_from(TASK.labels), st.integers(0, 80)),
    growth=st.floats(0, 4),
    share=st.floats(0.05, 0.9),
    most_per_human=st.floats(0.5, 12),
    most_rows=st.none() | st.integers(0, 60),
    usd=st.none() | st.floats(0, 5),
)
def test_no_ceiling_is_passed_whatever_the_data(human, made, growth, share, most_per_human, most_rows, usd):
    train = [*rows_of(human), *rows_of(made, provenance="synthetic")]
    limits = PlanLimits(
        growth=growth,
        least_human_share=share,
        most_per_human=most_per_human,
        most_rows=most_rows,
        usd=usd,
        usd_per_row=0.1,
    )
    plan = plan_cells([weakness({"answer": "pay"})], train, TASK, limits, columns=["state"])
    num_human, num_made = sum(human.values()), sum(made.values())
    assert plan.num_rows <= growth * len(train) + 1e-6
    assert not plan.num_rows or plan.human_share >= share - 1e-9
    assert (plan.num_human, plan.num_synthetic) == (num_human, num_made)
    assert most_rows is None or plan.num_rows <= most_rows
    assert usd is None or plan.usd <= usd + 1e-9
    for answer, own in human.items():
        wished = sum(cell.count for cell in plan.cells if cell.answer == answer)
        assert not wished or wished + made.get(answer, 0) <= most_per_human * own + 1e-6
    assert all(cell.count > 0 for cell in plan.cells)


def test_most_rows_go_where_the_model_is_weak_and_a_tenth_to_edges():
    train = rows_of({"pay": 60, "appeal": 60, "move": 60, "other": 60})
    plan = plan_cells([weakness({"answer": "appeal"})], train, TASK, PlanLimits(most_rows=100))
    by_purpose = Counter(dict.fromkeys(("weakness", "prevalence", "edge"), 0))
    for cell in plan.cells:
        by_purpose[cell.purpose] += cell.count
    # No answer is scarcer than others here, so what is for scarce ones goes to the weak one.
    assert by_purpose == {"weakness": 60, "prevalence": 30, "edge": 10}
    assert {cell.answer for cell in plan.cells if cell.purpose == "weakness"} == {"appeal"}


def test_scarce_answers_get_rows_without_any_weakness():
    plan = plan_cells([], rows_of({"pay": 60, "appeal": 60, "move": 4}), TASK, PlanLimits(most_rows=100))
    weak = Counter({cell.answer: cell.count for cell in plan.cells if cell.purpose == "weakness"})
    # Ten for each human row is the limit of the scarce answer, with its edges and its share of the usual ones.
    assert set(weak) == {"move"}
    assert sum(cell.count for cell in plan.cells if cell.answer == "move") == 40
    assert plan.num_rows == 100


def test_a_weak_slice_becomes_cells_of_the_answers_that_are_in_it():
    train = [*rows_of({"pay": 30}, state="ohio"), *rows_of({"appeal": 10, "move": 10}, state="utah")]
    plan = plan_cells([weakness({"state": "utah"})], train, TASK, PlanLimits(most_rows=50))
    cells = [cell for cell in plan.cells if cell.columns.get("state") == "utah"]
    assert {cell.answer for cell in cells} == {"appeal", "move"}
    assert all(any(in_cell(one, cell) for one in train) for cell in cells)


def test_people_without_enough_rows_are_asked_for_more():
    plan = plan_cells([], rows_of({"pay": 20, "move": 20}), TASK)
    assert plan.notes[0].startswith("only 40 rows were written by people; up to 125 more")
    assert "40 of 80 items (50%)" in plan.as_text()
    assert plan.limited_by == "growth"
    with pytest.raises(DataError, match="no row for training was written by people"):
        plan_cells([], rows_of({"pay": 20}, provenance="synthetic"), TASK)


def test_rows_that_came_are_held_against_the_limits_of_every_column():
    human = [*rows_of({"pay": 5}, state="ohio"), *rows_of({"move": 1}, state="utah")]
    came = [row(at, "pay", state="utah" if at < 4 else "ohio", provenance="synthetic") for at in range(8)]
    over = rows_over_limit(human, came, PlanLimits(most_per_human=2))
    assert over == {"syntheticpay2", "syntheticpay3"}
