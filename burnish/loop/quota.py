"""How many rows a round makes: from its weak places, the rows that there are, and the money that earlier rounds left.

What this very round has spent does not count, so that a batch which was stopped goes on by the same plan.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from burnish.data.provenance import BATCH
from burnish.diagnose.diagnosis import Diagnosis
from burnish.loop.quoting import quote
from burnish.loop.slice_wishes import by_terms, note_of_empty
from burnish.loop.stages import Shop
from burnish.loop.teaching import people_of
from burnish.records import Example
from burnish.synthesize.plan import CellPlan, PlanLimits, plan_cells, rows_over_limit


def plan_rows(shop: Shop, found: Diagnosis) -> CellPlan:
    """How many rows of which kind this round shall make, batches of this very round not counted.

    Where endpoints have a price and the most that the plan can cost does not fit into the budget, fewer are planned.
    """
    wanted = shop.project.settings.synthesize
    limits = PlanLimits(growth=wanted.growth, most_rows=wanted.rows, out_of_scope=wanted.out_of_scope)
    plan = _planned(shop, found, limits)
    money = money_before(shop)
    price = quote(shop, plan, seed_of(shop)) if money is not None and plan.num_rows else None
    if price is None or not price.is_priced or price.most_usd == 0.0:
        return plan
    per_row = price.most_usd / plan.num_rows
    return _planned(shop, found, replace(limits, usd=money, usd_per_row=per_row))


def money_before(shop: Shop) -> float | None:
    """USD that the rounds before this one left; None: there is no limit."""
    limit = shop.project.settings.budget.usd
    if limit is None:
        return None
    own = f"{shop.number:03d}/"
    stages = shop.budget.by_stage().items()
    return max(0.0, limit - sum(cost.usd for name, cost in stages if not name.startswith(own)))


def over_limit(shop: Shop) -> Callable[[Sequence[Example]], Collection[str]]:
    """Which of some new rows are too many for their slices."""
    train, limits = [*shop.seeds.of("train"), *counted(shop)], PlanLimits()
    return lambda rows: rows_over_limit(train, rows, limits)


def earlier(shop: Shop) -> list[Example]:
    """Rows in use that were made before this round."""
    return [row for row in shop.seeds.trusted.rows if not row.slices[BATCH].startswith(prefix_of(shop))]


def counted(shop: Shop) -> list[Example]:
    """Those of them that still train: what was found harmful takes up no room."""
    gone = left_out(shop)
    return [row for row in earlier(shop) if row.slices[BATCH] not in gone]


def left_out(shop: Shop) -> list[str]:
    """Earlier batches that were found harmful."""
    weights = shop.seeds.trusted.weights
    return sorted(name for name, weight in weights.items() if weight == 0 and not name.startswith(prefix_of(shop)))


def prefix_of(shop: Shop) -> str:
    """How the names of this round's batches begin."""
    return f"synthetic-r{shop.number}-"


def seed_of(shop: Shop) -> int:
    """What decides the draws of this round's batch."""
    return shop.project.settings.seed + 1000 * shop.number


def _planned(shop: Shop, found: Diagnosis, limits: PlanLimits) -> CellPlan:
    train, seeds = [*shop.seeds.of("train"), *counted(shop)], shop.seeds
    plan = plan_cells(by_terms(found, seeds), train, seeds.task, limits, columns=seeds.declared)
    return replace(plan, notes=(*plan.notes, *note_of_empty(seeds.slices, people_of(shop))))
