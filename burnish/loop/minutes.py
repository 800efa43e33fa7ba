"""People's minutes as money: what reviewers spent goes into the ledger, and the budget bounds what they are asked."""

from collections.abc import Mapping, Sequence

from burnish.budget import Budget
from burnish.loop.project import Project
from burnish.records import Cost
from burnish.review.cost import ItemCost, spent_minutes
from burnish.review.decisions import outcomes
from burnish.store.reviews import Queue, ReviewDecision, ReviewItem, review_items, review_log

STAGE = "review"
"""How the ledger calls it, behind the number of the round that it goes to."""
SMALLEST = 1e-6
"""Minutes below which a difference is rounding."""


def charge_minutes(project: Project, budget: Budget, number: int) -> float:
    """Writes the minutes that people spent since they were last written down to round `number`; returns how many.

    Done again it adds nothing. Imported sheets tell no time, so their decisions cost none.
    """
    told = sum(cost.reviewer_minutes for name, cost in budget.by_stage().items() if name.endswith(f"/{STAGE}"))
    new = spent_minutes(review_log(project.store)) - told
    if new <= SMALLEST:
        return 0.0
    budget.note(f"{number:03d}/{STAGE}", Cost(reviewer_minutes=new))
    return new


def minutes_left(
    project: Project, known: Sequence[ReviewItem], log: Sequence[ReviewDecision], costs: Mapping[Queue, ItemCost]
) -> float | None:
    """Minutes that may still be asked for: the budget less what is spent and what waiting questions take; None: no
    limit."""
    limit = project.settings.budget.reviewer_minutes
    if limit is None:
        return None
    asked = {item.name for item in review_items(project.store, with_withdrawn=False)}
    waiting = sum(
        max(0, one.item.wanted - one.num_answers) * costs[one.item.queue].minutes
        for one in outcomes(known, log)
        if one.item.name in asked
    )
    return max(0.0, limit - spent_minutes(log) - waiting)
