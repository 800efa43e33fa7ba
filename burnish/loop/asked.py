"""Where the review of a project stands: what waits, what is settled, what it takes people."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from burnish.loop.project import Project
from burnish.review.cost import item_costs, spent_minutes
from burnish.review.decisions import catches, outcomes
from burnish.store.reviews import Queue, Waiting, answered_items, review_log, waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """One queue."""

    queue: Queue
    num_waiting: int
    """Items that want an answer still, withdrawn ones left out."""
    num_settled: int
    num_conflicts: int
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
                minutes=cost.minutes,
                left=wanted.num_answers * cost.minutes,
            )
        )
    return ReviewStatus(queues=tuple(queues), spent_minutes=spent_minutes(log), catches=catches(found))
