"""What people's decisions cost: minutes per item, from the seconds that pages logged."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from burnish.review.decisions import replay
from burnish.stats.rates import mean_interval
from burnish.store.recent import Spent
from burnish.store.reviews import Queue, ReviewDecision, ReviewItem

LONGEST_S = 600.0
"""A page open longer was left open: it counts as this long."""
GUESSED_MINUTES: dict[Queue, float] = {"blind": 0.5, "correction": 0.75, "preference": 1.0}
"""Minutes per item before anything was logged. A guess for one short text, and the first ten decisions outweigh it."""
GUESS_WEIGHT = 5
"""Decisions that the guess counts for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCost:
    """Minutes of a reviewer per item of one queue."""

    queue: Queue
    minutes: float
    """The mean, drawn to the guess while decisions are few: what plans count with."""
    low: float | None
    """95% interval of the mean alone, of times between 0 and the longest; None: too few decisions."""
    high: float | None
    n: int
    """Decisions with a time; those of imported sheets have none."""
    num_edited: int
    median_edit: float
    """Characters changed in the drafts that were edited, the median; 0: none was."""


def item_costs(items: Iterable[ReviewItem], log: Iterable[ReviewDecision]) -> dict[Queue, ItemCost]:
    """Minutes per item by queue, from the decisions that hold. Assumes that reviewers stay as quick as they were."""
    queue_of = {item.name: item.queue for item in items}
    held = [decision for key, decision in replay(log).items() if key.item in queue_of]
    return {queue: _cost(queue, [one for one in held if queue_of[one.item] == queue]) for queue in GUESSED_MINUTES}


def expected_minutes(recent: Mapping[Queue, Spent]) -> dict[Queue, float]:
    """Minutes per item by queue, from what recent decisions took; without a time a decision tells nothing."""
    own = {queue: recent.get(queue, Spent(0, 0.0)) for queue in GUESSED_MINUTES}
    return {queue: _expected(queue, spent.num_timed, spent.seconds) for queue, spent in own.items()}


def spent_minutes(log: Iterable[ReviewDecision]) -> float:
    """Minutes that people have spent, those of decisions taken back included."""
    return sum(min(entry.seconds, LONGEST_S) for entry in log) / 60


def _cost(queue: Queue, decisions: list[ReviewDecision]) -> ItemCost:
    seconds = [min(one.seconds, LONGEST_S) for one in decisions if one.seconds > 0]
    edits = [one.edit_distance for one in decisions if one.edit_distance > 0]
    found = mean_interval([one / LONGEST_S for one in seconds]) if len(seconds) > 1 else None
    return ItemCost(
        queue=queue,
        minutes=_expected(queue, len(seconds), sum(seconds)),
        low=_minutes(found.low) if found else None,
        high=_minutes(found.high) if found else None,
        n=len(seconds),
        num_edited=len(edits),
        median_edit=statistics.median(edits) if edits else 0.0,
    )


def _expected(queue: Queue, num_timed: int, seconds: float) -> float:
    """The mean in minutes, drawn to the guess while there are few."""
    return (seconds / 60 + GUESS_WEIGHT * GUESSED_MINUTES[queue]) / (num_timed + GUESS_WEIGHT)


def _minutes(share: float | None) -> float | None:
    """Minutes of a share of the longest time that counts."""
    return None if share is None else share * LONGEST_S / 60
