"""What is asked next: sampled by probabilities that are known, chosen by value, and what answers come to."""

import math
from dataclasses import replace

import pytest

from burnish.records import Message
from burnish.review.cost import GUESSED_MINUTES, LONGEST_S, item_costs, spent_minutes
from burnish.review.decisions import catches, conflicts, outcomes, replay
from burnish.review.queue import (
    LEAST_PROBABILITY,
    Worth,
    coverage_of,
    draw,
    named,
    probabilities,
    queue_order,
    value_of,
    with_checks,
)
from burnish.store.recent import Spent
from burnish.store.reviews import ReviewDecision, ReviewItem


def item(name: str, **changes) -> ReviewItem:
    fields = {"queue": "correction", "purpose": "gold", "draft": "draft", "given": "draft", **changes}
    prompt = (Message(role="user", content=f"question {name}"),)
    return ReviewItem(name=name, example=f"row-{name}", role="train", messages=prompt, **fields)


def log_of(*entries: tuple[str, str, int, str, str]) -> list[ReviewDecision]:
    """A log from (item, reviewer, turn, kind, text)."""
    return [
        ReviewDecision(
            seq=seq,
            item=name,
            reviewer=by,
            turn=turn,
            kind=kind,
            text=text,
            note="",
            seconds=60.0,
            edit_distance=0,
            at="",
        )
        for seq, (name, by, turn, kind, text) in enumerate(entries, start=1)
    ]


def test_probabilities_sum_to_what_is_wanted_and_favour_the_uncertain():
    found = probabilities([0.9, 0.1] * 50, 40)
    assert math.fsum(found) == pytest.approx(40, abs=1e-6)
    # 0.8 x u / sum(u) + 0.2 / n, summed to 40: (0.8 x 0.9 / 50 + 0.002) x 40 and (0.8 x 0.1 / 50 + 0.002) x 40
    assert found[:2] == pytest.approx((0.656, 0.144), abs=1e-6)
    assert probabilities([0.0, 0.0, 0.0], 3) == (1.0, 1.0, 1.0)
    assert min(probabilities([1.0] + [0.0] * 999, 100)) >= LEAST_PROBABILITY
    assert max(probabilities([100.0] + [1.0] * 99, 50)) <= 1.0


def test_the_weighted_mean_of_what_is_drawn_is_right_on_average_whatever_the_uncertainties():
    """Horvitz-Thompson: over many seeds the mean estimate of a share of 0.3 lies within 4 of its standard errors."""
    items = [item(str(number), queue="blind") for number in range(100)]
    truth = {one.name: number % 10 < 3 for number, one in enumerate(items)}
    uncertainty = [0.9 if number % 7 == 0 else 0.1 for number in range(100)]
    found = []
    for seed in range(200):
        drawn = draw(items, uncertainty, 30, seed=seed)
        found.append(sum(truth[one.name] / (one.probability or 0) for one in drawn) / 100)
    mean = sum(found) / len(found)
    error = (sum((one - mean) ** 2 for one in found) / (len(found) - 1) / len(found)) ** 0.5
    assert abs(mean - 0.3) < 4 * error
    assert error < 0.02


def test_a_row_surely_right_is_worth_nothing_and_a_quicker_one_is_worth_more():
    assert value_of(Worth(uncertainty=0.0, deficit=1.0, coverage=1.0), 1.0) == 0
    assert value_of(Worth(uncertainty=0.5), 0.5) == 2 * value_of(Worth(uncertainty=0.5), 1.0)
    assert coverage_of(["x", "x", "y"], ["y"]) == (1.0, 0.5, 0.5)


def test_a_tenth_of_corrections_are_checks_that_look_like_their_neighbours():
    items = [named(item(str(number), value=float(number), reason="why")) for number in range(90)]
    checks = [named(item(f"check {number}", draft="wrong")) for number in range(30)]
    mixed = with_checks(items, checks, seed=0)
    hidden = [one for one in mixed if one.is_check]
    assert len(hidden) / len(mixed) == pytest.approx(0.1)
    assert {one.reason for one in hidden} == {"why"}
    thirds = [sum(low <= one.value < low + 30 for one in hidden) for low in (0, 30, 60)]
    assert min(thirds) >= 2
    assert with_checks(items, checks, seed=0) == mixed


def test_the_queue_furthest_below_its_share_comes_first():
    assert queue_order({"blind": Spent(1, 60.0)})[-1] == "blind"
    assert queue_order({"blind": Spent(1, 40.0), "correction": Spent(1, 100.0)})[0] == "preference"
    assert queue_order({"correction": Spent(0, 0.0, 3)})[-1] == "correction"
    assert queue_order({}) == ("blind", "correction", "preference")


def test_a_decision_taken_back_does_not_hold_and_the_next_one_does():
    log = log_of(("a", "ann", 1, "accept", ""), ("a", "ann", 2, "undo", ""), ("b", "bob", 1, "skip", ""))
    assert [key.item for key in replay(log)] == ["b"]
    assert replay([*log, replace(log[0], seq=4, turn=3)])["a", "ann"].seq == 4
    with pytest.raises(AssertionError, match="has turn 1 after 1"):
        replay([log[0], log[0]])


def test_two_that_disagree_are_a_conflict_until_a_third_settles_it():
    asked, third = item("a", wanted=2), item("a3", settles="a", not_by=("ann", "bob"))
    log = log_of(("a", "ann", 1, "accept", ""), ("a", "bob", 1, "edit", "better"))
    found = outcomes([asked], log)
    assert (found[0].is_conflict, found[0].settled, found[0].answer) == (True, None, None)
    assert [one.item.name for one in conflicts(found)] == ["a"]
    again = outcomes([asked, third], [*log, replace(log[1], seq=3, item="a3", reviewer="cy", turn=1)])
    assert (again[0].is_conflict, again[0].answer) == (False, "better")
    assert conflicts(again) == []


def test_typing_the_draft_says_what_accepting_it_says():
    found = outcomes([item("a", wanted=2)], log_of(("a", "ann", 1, "accept", ""), ("a", "bob", 1, "edit", "draft ")))
    assert found[0].settled is not None


def test_who_accepts_hidden_wrong_drafts_is_counted():
    items = [item("a", is_check=True), item("b", is_check=True), item("c")]
    log = log_of(("a", "ann", 1, "accept", ""), ("b", "ann", 1, "edit", "x"), ("c", "ann", 1, "accept", ""))
    assert catches(outcomes(items, log)) == {"ann": (1, 2)}


def test_minutes_are_the_guess_at_first_and_the_log_later():
    assert item_costs([], [])["blind"].minutes == GUESSED_MINUTES["blind"]
    items = [item(str(number)) for number in range(95)]
    log = log_of(*((one.name, "ann", 1, "accept", "") for one in items))
    cost = item_costs(items, log)["correction"]
    assert cost.minutes == pytest.approx((95 * 1.0 + 5 * 0.75) / 100)
    assert cost.n == 95
    assert cost.low is not None
    assert cost.high is not None
    assert cost.low < 1.0 < cost.high
    assert spent_minutes([replace(log[0], seconds=1e9)]) == LONGEST_S / 60
