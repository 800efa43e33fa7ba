"""Spend is reserved before it happens, settled after, and never goes unseen."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burnish.budget import Budget, Left, open_budget
from burnish.config import BudgetSettings
from burnish.errors import BudgetError, BusyError
from burnish.records import Cost
from burnish.store.store import open_store
from tests.child import KILLED, end_of, in_child, start_child
from tests.heard import Heard


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def test_a_reservation_counts_at_its_estimate_and_then_at_what_was_used(store):
    budget = Budget(store=store, settings=BudgetSettings(seconds=100))
    first = budget.reserve("train", Cost(seconds=60, tokens=10))
    assert budget.spent() == Cost(seconds=60, tokens=10)
    budget.settle(first, Cost(seconds=20, tokens=7, joules=3.0))
    assert budget.spent() == Cost(seconds=20, tokens=7, joules=3.0)
    assert budget.left() == Left(usd=None, seconds=80)


def test_machine_time_costs_money_by_the_hour_on_top_of_money_paid(store):
    budget = Budget(store=store, settings=BudgetSettings(usd=10, usd_per_hour=3.6))
    settled = budget.settle(budget.reserve("train", Cost(seconds=1000)), Cost(seconds=2000, usd=0.5))
    assert settled.usd == pytest.approx(2.5)
    assert budget.left().usd == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("limits", "estimate", "words"),
    [
        ({"usd": 1.0}, Cost(usd=1.01), r"train would cost about 1.01 USD; 1.00 of 1.00 USD are left"),
        ({"seconds": 60.0}, Cost(seconds=61), r"train would cost about 61.00 s; 60.00 of 60.00 s are left"),
        ({"usd": 1.0, "usd_per_hour": 3600.0}, Cost(seconds=1.5), r"1.50 USD"),
        ({"usd": 0.0}, Cost(usd=0.01), r"0.00 of 0.00 USD"),
    ],
)
def test_what_would_pass_a_limit_is_refused_before_it_is_spent(limits, estimate, words, store):
    budget = Budget(store=store, settings=BudgetSettings(**limits))
    with pytest.raises(BudgetError, match=words) as caught:
        budget.reserve("train", estimate)
    assert caught.value.exit_code == 4
    assert "in burnish.yaml" in caught.value.hint
    assert budget.spent() == Cost()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.floats(0, 40), st.floats(0, 1)), max_size=8), limit=st.floats(0, 100))
def test_spend_never_passes_the_limit_while_stages_keep_to_their_estimates(steps, limit, tmp_path_factory):
    budget = Budget(store=open_store(tmp_path_factory.mktemp("b")), settings=BudgetSettings(seconds=limit))
    for number, (estimate, used_share) in enumerate(steps):
        before = budget.spent().seconds
        try:
            reservation = budget.reserve("train", Cost(seconds=estimate))
        except BudgetError:
            assert before + estimate > limit
            continue
        if number % 3:  # Every third process dies before it settles.
            budget.settle(reservation, Cost(seconds=estimate * used_share))
        assert budget.spent().seconds <= limit * (1 + 1e-9)


def test_two_processes_cannot_both_take_what_is_left(store):
    budget = Budget(store=store, settings=BudgetSettings(seconds=10))
    children = [start_child(lambda: budget.reserve("train", Cost(seconds=6))) for _ in range(4)]
    assert sorted(end_of(pid) for pid in children) == [0, 4, 4, 4]
    assert budget.spent().seconds == 6


def test_an_overrun_is_written_down_and_stops_the_next_stage(store):
    budget = Budget(store=store, settings=BudgetSettings(seconds=10))
    budget.settle(budget.reserve("train", Cost(seconds=5)), Cost(seconds=12))
    assert budget.spent().seconds == 12
    assert budget.left().seconds == 0
    with pytest.raises(BudgetError):
        budget.reserve("evaluate", Cost(seconds=1))


def test_a_reservation_is_settled_once(store):
    budget = Budget(store=store, settings=BudgetSettings())
    reservation = budget.reserve("train", Cost())
    budget.settle(reservation, Cost())
    with pytest.raises(AssertionError, match="settled before"):
        budget.settle(reservation, Cost())
    with pytest.raises(AssertionError, match="no reservation 99"):
        budget.settle(99, Cost())


def test_what_a_killed_process_reserved_is_spent_at_its_estimate_and_told(store):
    limits = BudgetSettings(seconds=100, usd_per_hour=36)
    budget = Budget(store=store, settings=limits)

    def train() -> None:
        with budget.measured("train", Cost(seconds=30)):
            budget.reserve("inner", Cost(seconds=1))

    assert in_child(train, "budget.settle=kill") == KILLED

    talk = Heard()
    reopened = open_budget(store, limits, talk)
    assert reopened.spent() == Cost(seconds=31, usd=pytest.approx(0.31))
    assert talk.warned == [
        "train was stopped before it told its cost: 30 s and 0.30 USD, its estimate, count as spent",
        "inner was stopped before it told its cost: 1 s and 0.01 USD, its estimate, count as spent",
    ]
    open_budget(store, limits, talk)
    assert len(talk.warned) == 2


def test_a_budget_is_not_opened_beside_a_process_that_works(store):
    with store.lock():
        assert in_child(lambda: open_budget(store, BudgetSettings())) == BusyError.exit_code


def test_a_measured_block_is_settled_with_its_time_and_what_it_told(store):
    budget = Budget(store=store, settings=BudgetSettings())
    with budget.measured("train", Cost(seconds=9)) as meter:
        meter.add(tokens=5)
        meter.add(tokens=2, usd=0.5)
    assert meter.cost is not None
    assert 0 < meter.cost.seconds < 9
    assert (meter.cost.tokens, meter.cost.usd) == (7, 0.5)
    assert budget.by_stage() == {"train": meter.cost}


def test_a_measured_block_that_fails_is_settled_too(store):
    budget = Budget(store=store, settings=BudgetSettings())

    def train() -> None:
        with budget.measured("train", Cost(seconds=9)) as meter:
            meter.add(tokens=5)
            raise KeyError

    with pytest.raises(KeyError):
        train()
    assert budget.spent().tokens == 5
    assert 0 < budget.spent().seconds < 9


def test_stages_are_told_apart_and_add_up_to_the_whole(store):
    budget = Budget(store=store, settings=BudgetSettings())
    for stage, seconds in [("train", 1.0), ("evaluate", 2.0), ("train", 4.0)]:
        budget.settle(budget.reserve(stage, Cost()), Cost(seconds=seconds))
    assert budget.by_stage() == {"train": Cost(seconds=5), "evaluate": Cost(seconds=2)}
    assert budget.spent().seconds == 7
