"""What a synthesis would make: its plan, some rows as rules would make them, and the price; nothing is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from burnish.data.dedup import prompt_text
from burnish.loop.makers import makers_of
from burnish.loop.making import make_rows
from burnish.loop.project import Project
from burnish.loop.quota import plan_rows, seed_of
from burnish.loop.quoting import Quote, quote
from burnish.loop.stages import Shop
from burnish.loop.synthesizing import opened
from burnish.loop.teaching import people_of
from burnish.records import as_json
from burnish.synthesize.made import Made
from burnish.synthesize.moves import MOVES
from burnish.synthesize.plan import CellPlan
from burnish.talk import Talk

NUM_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would be made, before anything is."""

    plan: CellPlan
    examples: tuple[Made, ...]
    """Rows that rules make for the first cells."""
    quote: Quote | None = None
    """What a teacher and a verifier may cost; None: there is none."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            **as_json(self.plan),
            "num_rows": self.plan.num_rows,
            "examples": [
                {"text": prompt_text(one.example), "answer": one.example.answer, "move": one.provenance.move}
                for one in self.examples
            ],
            "quote": as_json(self.quote) if self.quote else None,
        }


def propose(project: Project, talk: Talk, *, should_stop: Callable[[], bool] = lambda: False) -> Proposal:
    """The plan of the next batch and some rows as rules would make them; nothing is kept."""
    shop, _, found = opened(project, talk, should_stop)
    plan = plan_rows(shop, found)
    return Proposal(plan=plan, examples=_shown(shop, plan), quote=quote(shop, plan, seed_of(shop)))


def _shown(shop: Shop, plan: CellPlan) -> tuple[Made, ...]:
    """Some rows that rules make for the plan, at no cost and before anything is kept."""
    few = [replace(cell, count=1) for cell in plan.cells[:NUM_SHOWN]]
    rules = [move for move in makers_of(shop, None).moves if move in MOVES]
    return tuple(make_rows(few, people_of(shop), rules, {}, seed=seed_of(shop)).made[:NUM_SHOWN]) if rules else ()
