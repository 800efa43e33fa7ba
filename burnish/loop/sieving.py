"""What the rows of a batch have to pass: filters, the rows that measure, verifiers, the limits of their slices."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.data.dedup import prompt_text
from burnish.loop.crossfit import CrossFit
from burnish.loop.grounds import grounds_of
from burnish.loop.judging import Judge
from burnish.loop.making import Making
from burnish.loop.solving import Solver
from burnish.loop.stages import Shop
from burnish.loop.trusted import decontaminator
from burnish.loop.unknown import unknown_facts
from burnish.records import Example, ModelVersion
from burnish.synthesize.guards import Drop, guard
from burnish.synthesize.plan import CellPlan
from burnish.synthesize.sieve import LEAK, LIMIT, TOO_LONG, Step, sieve, surplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieved:
    """What is left of the rows that were made."""

    rows: tuple[Example, ...]
    drops: tuple[Drop, ...]
    verdicts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    verified: dict[str, Any] = field(default_factory=dict)
    num_asked: int = 0


def sieve_rows(
    shop: Shop,
    champion: ModelVersion,
    making: Making,
    plan: CellPlan,
    earlier: Sequence[Example],
    *,
    over_limit: Callable[[Sequence[Example]], Collection[str]],
    solver: Solver | None = None,
    crossed: CrossFit | None = None,
    more: Sequence[Step] = (),
) -> Sieved:
    """The rows that may stay, at most as many of each cell as the plan asks for; `more` are steps of the makers."""
    seeds, task = shop.seeds, shop.seeds.task
    asked: list[int] = []

    def filters(rows: Sequence[Example]) -> Sequence[Drop]:
        return guard(rows, [*seeds.of("train"), *earlier], task).drops

    def leaks(rows: Sequence[Example]) -> Sequence[Drop]:
        asked.append(len(rows))
        kept = decontaminator(shop.project, seeds.protected).keep([prompt_text(row) for row in rows]) if rows else ()
        return [Drop(row.id, LEAK) for row, is_kept in zip(rows, kept, strict=True) if not is_kept]

    def limits(rows: Sequence[Example]) -> Sequence[Drop]:
        over = over_limit(rows)
        return [Drop(row.id, LIMIT) for row in rows if row.id in over]

    judge = Judge(shop, champion, making, solver, crossed)
    wanted = [cell.count for cell in plan.cells]
    steps = (
        filters,
        *more,
        lambda rows: _too_long(shop, rows),
        leaks,
        judge.drops,
        lambda rows: _unknown(shop, rows, earlier),
        judge.solved,
        lambda rows: surplus(rows, making.cell_of, wanted),
        limits,
    )
    found = sieve([one.example for one in making.made], steps)
    return Sieved(
        rows=found.kept,
        drops=found.drops,
        verdicts=judge.verdicts,
        verified=judge.quality,
        num_asked=sum(asked),
    )


def _unknown(shop: Shop, rows: Sequence[Example], earlier: Sequence[Example]) -> Sequence[Drop]:
    """Rows beyond the share that may teach facts which nobody told; asked of texts only."""
    people, task, count = shop.seeds.of("train"), shop.seeds.task, shop.bench.token_counter(shop.seeds.task)
    if task.kind != "text":
        return ()
    return unknown_facts(rows, people, earlier, grounds_of(people, task), lambda row: count(row)[0])


def _too_long(shop: Shop, rows: Sequence[Example]) -> list[Drop]:
    count, most = shop.bench.token_counter(shop.seeds.task), shop.project.settings.data.max_tokens
    return [Drop(row.id, TOO_LONG) for row in rows if count(row)[0] > most]
