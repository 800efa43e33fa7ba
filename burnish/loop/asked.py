"""Where the review of a project stands: what waits, what is settled, what it takes people, and who should rest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from math import inf
from typing import Any, NamedTuple

from burnish.loop.project import Project
from burnish.loop.reviewing import queues_of
from burnish.loop.seeds import Seeds
from burnish.review.concord import QueueAgreement, agreement_of
from burnish.review.cost import expected_minutes, item_costs, spent_minutes
from burnish.review.decisions import catches, outcomes
from burnish.review.session import Answered, session_of, why_rest
from burnish.review.skipped import unanswerable
from burnish.store.claims import open_counts
from burnish.store.reviews import (
    Queue,
    ReviewDecision,
    Waiting,
    answered_items,
    recent_decisions,
    recent_seconds,
    review_log,
    waiting,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """One queue."""

    queue: Queue
    num_waiting: int
    """Items that want an answer still, withdrawn ones left out."""
    num_settled: int
    num_conflicts: int
    num_skipped: int
    """Items that everybody who may answer has skipped: nothing waits for them."""
    minutes: float
    """Per item."""
    left: float
    """Minutes that the waiting answers will take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStatus:
    """All queues, and the people."""

    queues: tuple[QueueStatus, ...]
    spent_minutes: float
    catches: Mapping[str, tuple[int, int]]
    """(hidden wrong drafts caught, shown) by reviewer."""

    def as_json(self) -> dict[str, Any]:
        """The status as plain JSON data."""
        return asdict(self)


def review_status(project: Project) -> ReviewStatus:
    """Where the review stands now; of items that nobody has answered only their number is read."""
    items, log, open_ = answered_items(project.store), review_log(project.store), waiting(project.store)
    found, costs = outcomes(items, log), item_costs(items, log)
    closed = unanswerable(project.store, found)
    queues = []
    for queue, cost in costs.items():
        own = [one for one in found if one.item.queue == queue]
        wanted = open_.get(queue, Waiting(num_items=0, num_answers=0))
        queues.append(
            QueueStatus(
                queue=queue,
                num_waiting=wanted.num_items,
                num_settled=sum(one.settled is not None for one in own),
                num_conflicts=sum(one.is_conflict for one in own),
                num_skipped=sum(one.item.name in closed for one in own),
                minutes=cost.minutes,
                left=wanted.num_answers * cost.minutes,
            )
        )
    return ReviewStatus(queues=tuple(queues), spent_minutes=spent_minutes(log), catches=catches(found))


class Left(NamedTuple):
    """What is still to be answered."""

    num_items: int
    minutes: float


def left_for(project: Project, reviewer: str, *, now_s: float) -> Left:
    """What this reviewer can still be asked now; items that others hold, or that are only for others, are left out."""
    counts = open_counts(project.store, reviewer, now_s=now_s)
    return _left(project, {queue: counts.get(queue, 0) for queue in queues_of(project, reviewer)})


def left_for_all(project: Project) -> Left:
    """Items that want an answer, whoever holds them now."""
    return _left(project, open_counts(project.store, "", now_s=inf))


def _left(project: Project, counts: Mapping[Queue, int]) -> Left:
    minutes = expected_minutes(recent_seconds(project.store))
    return Left(sum(counts.values()), sum(number * minutes[queue] for queue, number in counts.items()))


def rest_for(project: Project, reviewer: str, *, now_s: float) -> str:
    """Why this reviewer should take a break now, in words; empty: nothing speaks for one."""
    known = recent_decisions(project.store, reviewer)
    answered = [Answered(_moment(one.decision), one.decision.seconds, one.is_caught) for one in known]
    return why_rest(session_of(answered, now_s))


def _moment(decision: ReviewDecision) -> float:
    """When it was made, in seconds of the clock, to the second."""
    return datetime.fromisoformat(decision.at).timestamp()


def reviewers_agreement(project: Project, seeds: Seeds) -> tuple[QueueAgreement, ...]:
    """How far reviewers agree in each queue, by everything they decided; empty where they decided nothing."""
    slices = {
        row.id: [f"{column}={row.slices[column]}" for column in seeds.columns if column in row.slices]
        for rows in seeds.by_role.values()
        for row in rows
    }
    found = outcomes(answered_items(project.store), review_log(project.store))
    return agreement_of(found, slices, is_closed=seeds.task.kind == "label")
