"""A canary moves by turns, one process at a time; each conversation counts once; the log of decisions has it all."""

from dataclasses import replace
from pathlib import Path

import pytest

from burnish.errors import BusyError, UsageError
from burnish.records import ModelVersion
from burnish.registry import promote, register
from burnish.store.chain import entries
from burnish.store.comparisons import CanaryComparison, add_comparisons, canary_comparisons
from burnish.store.deployments import (
    MOST_EVIDENCE,
    Canary,
    Evidence,
    Plan,
    canaries,
    end_canary,
    place_of,
    ramp_canary,
    running_canary,
    start_canary,
)
from burnish.store.outcomes import CanaryOutcome, add_outcomes, add_shadow, answer_hash, canary_outcomes, shadow_answers
from burnish.store.store import Store, open_store

PLAN = Plan(mode="split", shares=(0.01, 0.05, 0.25), alpha=0.05, least=30)
OLD = ModelVersion(name="old", round=0, adapter_hash="", artifact="", base="b", base_hash="b", template_hash="t")


def started(store: Store) -> Canary:
    for name in ("old", "new"):
        register(store, replace(OLD, name=name))
    promote(store, "old", "first", "gate")
    return start_canary(store, challenger="new", against="old", plan=PLAN, by="ann", reason=" try it ")


def moves_by_turns_and_keeps_each_outcome_once(store: Store) -> None:
    """Of any database."""
    first = started(store)
    assert running_canary(store) == first
    assert (first.number, first.share, first.plan, first.moves[0].reason) == (1, 0.01, PLAN, "try it")
    with pytest.raises(UsageError, match="a canary of new runs already"):
        started(store)
    outcomes = [CanaryOutcome("x", True, 1.0, 1), CanaryOutcome("y", False, 0.0, 2), CanaryOutcome("x", True, 0.0, 3)]
    assert (add_outcomes(store, first, outcomes), add_outcomes(store, first, outcomes)) == (2, 0)
    assert canary_outcomes(store, first) == outcomes[:2]
    for _ in range(2):
        add_shadow(store, first, "r", "to  Pay\n", "wait")
    assert shadow_answers(store, first, ["r", "s"]) == {"r": (answer_hash("to pay"), answer_hash("wait"))}
    found = [CanaryComparison("z", True, -1.0, "judge"), CanaryComparison("z", True, 1.0, "people")]
    assert [add_comparisons(store, first, some) for some in (found[:1], found, found)] == [1, 1, 0]
    assert canary_comparisons(store, first) == [one._replace(after=2) for one in found]
    second = ramp_canary(store, first, Evidence(40, 0.2, 30.0), reason="better", by="burnish")
    assert (second.stage, second.share, second.starts) == (1, 0.05, (0, 40))
    for act in (ramp_canary, end_canary):
        words = ("stopped",) if act is end_canary else ()
        with pytest.raises(BusyError, match="another process has just moved the canary"):
            act(store, first, *words, Evidence(), reason="too late", by="ann")
    with pytest.raises(UsageError, match="needs a reason"):
        end_canary(store, second, "stopped", Evidence(), reason=" ", by="ann")
    ended = end_canary(store, second, "rolled back", Evidence(50, 1e400, 0.0), reason="worse", by="burnish")
    assert (ended.is_running, ended.share, ended.moves[-1].harm) == (False, 0.0, MOST_EVIDENCE)
    assert running_canary(store) is None
    assert canaries(store) == [ended]
    kept = [entry.subject for entry in entries(store.db) if entry.kind == "canary"]
    assert kept == ["canary move 1", "canary move 2", "canary move 3"]


def test_it_moves_by_turns_and_keeps_each_outcome_once(tmp_path: Path):
    moves_by_turns_and_keeps_each_outcome_once(open_store(tmp_path))


def test_nothing_goes_up_once_another_champion_has_come(tmp_path: Path):
    store = open_store(tmp_path)
    canary = started(store)
    register(store, replace(OLD, name="third"))
    promote(store, "new", "by hand", "ann")
    with pytest.raises(BusyError, match="the champion has just become new"):
        promote(store, "third", "proven", "canary 1", over="old")
    with pytest.raises(BusyError, match="the champion has just become new"):
        ramp_canary(store, canary, Evidence(), reason="better", by="burnish")


def test_conversations_are_spread_evenly_stay_where_they_are_and_are_spread_anew_by_each_canary(tmp_path: Path):
    canary = started(open_store(tmp_path))
    other = replace(canary, number=2)
    places = [place_of(canary, f"conversation {n}") for n in range(4000)]
    assert places == [place_of(canary, f"conversation {n}") for n in range(4000)]
    for share in (0.01, 0.25, 0.5):
        # Five standard deviations of a binomial count.
        assert abs(sum(place < share for place in places) - 4000 * share) < 5 * (4000 * share * (1 - share)) ** 0.5
    again = sum(place_of(other, f"conversation {n}") < 0.25 for n in range(4000) if places[n] < 0.25)
    assert 170 < again < 330
