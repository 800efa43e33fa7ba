"""Where the review of a project stands: what waits, what is settled, what it takes people, and who should rest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, NamedTuple

from burnish.loop.project import Project
from burnish.loop.reviewing import queues_by
from burnish.loop.seeds import Seeds
from burnish.review.concord import QueueAgreement, agreement_of
from burnish.review.cost import LONGEST_S, expected_minutes, item_costs, spent_minutes
from burnish.review.decisions import catches, outcomes
from burnish.review.session import Answered, session_of, why_rest
from burnish.review.skipped import unanswerable
from burnish.store.open_items import has_more, open_counts
from burnish.store.recent import Recent, Spent, recent_of, recent_spent
from burnish.store.reviews import (
    Queue,
    Waiting,
    answered_items,
    review_log,
    waiting,
)

MOST_COUNTED = 1000
"""Items of a queue beyond which a reviewer is told that there are more, and not how many: that would be read anew for
each question, and says nobody more."""


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
    is_more: bool = False
    """There are more than these."""


class Standing(NamedTuple):
    """What a reviewer is told beside the question."""

    left: Left
    """What they can still be asked now; items that others hold, or that are only for others, are left out."""
    rest: str
    """Why they should take a break now, in words; empty: nothing speaks for one."""


def standing_of(project: Project, reviewer: str, *, now_s: float) -> Standing:
    """Where a reviewer stands. Its cost does not grow with the queue: beyond `MOST_COUNTED` nothing is counted."""
    spent, own = recent_spent(project.store, longest_s=LONGEST_S), recent_of(project.store, reviewer)
    answered = [Answered(one.at_s, one.seconds, one.is_caught) for one in own]
    return Standing(_left_for(project, reviewer, spent, own, now_s), why_rest(session_of(answered, now_s)))


def left_for_all(project: Project) -> Left:
    """Items that want an answer, whoever holds them now. Counts the whole queue."""
    return _left(open_counts(project.store, "", now_s=inf), recent_spent(project.store, longest_s=LONGEST_S))


def _left_for(
    project: Project, reviewer: str, spent: Mapping[Queue, Spent], own: Sequence[Recent], now_s: float
) -> Left:
    store, queues = project.store, queues_by(spent, own)
    if any(has_more(store, reviewer, queue, MOST_COUNTED, now_s=now_s) for queue in queues):
        return Left(MOST_COUNTED, inf, is_more=True)
    counts = open_counts(store, reviewer, now_s=now_s)
    return _left({queue: counts.get(queue, 0) for queue in queues}, spent)


def _left(counts: Mapping[Queue, int], spent: Mapping[Queue, Spent]) -> Left:
    minutes = expected_minutes(spent)
    return Left(sum(counts.values()), sum(number * minutes[queue] for queue, number in counts.items()))


def reviewers_agreement(project: Project, seeds: Seeds) -> tuple[QueueAgreement, ...]:
    """How far reviewers agree in each queue, by everything they decided; empty where they decided nothing."""
    slices = {
        row.id: [f"{column}={row.slices[column]}" for column in seeds.columns if column in row.slices]
        for rows in seeds.by_role.values()
        for row in rows
    }
    found = outcomes(answered_items(project.store), review_log(project.store))
    return agreement_of(found, slices, is_closed=seeds.task.kind == "label")
