"""What a batch may cost before a question is sent: how many questions, at most how much money, and the first one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from burnish.client.ask import Ask
from burnish.client.connection import Connection
from burnish.client.purse import Purse, most_cost
from burnish.client.teacher import Teacher
from burnish.client.traffic import Traffic
from burnish.config import EndpointSettings
from burnish.data.dedup import prompt_text
from burnish.loop.makers import makers_of
from burnish.loop.making import asked_of, make_rows
from burnish.loop.solving import CHECKED_ON, Solver
from burnish.loop.stages import Shop
from burnish.loop.teaching import Teaching, approved_terms, people_of
from burnish.records import Cell, Example
from burnish.synthesize.made import Made
from burnish.synthesize.moves import MOVES, NOISE_MOVE
from burnish.synthesize.plan import CellPlan
from burnish.synthesize.questions import MOVE as TEACHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """An upper bound: every reply as long as it may be, every row worth a question, nothing answered before."""

    writes: int
    repairs: int
    solves: int
    """Questions of each kind; a reply of no use costs one more."""
    most_usd: float
    most_tokens: int
    is_priced: bool
    """Whether every endpoint has a price; without, only the tokens say something."""
    first: str
    """The first question, as it would be sent."""

    def as_text(self) -> str:
        """A line for people."""
        usd = f"at most {self.most_usd:,.2f} USD" if self.is_priced else "no price is known"
        return (
            f"{self.writes + self.repairs + self.solves:,} questions ({self.writes:,} write, {self.repairs:,} repair, "
            f"{self.solves:,} solve): {usd}, {self.most_tokens:,} tokens"
        )


def quote(shop: Shop, plan: CellPlan, seed: int) -> Quote | None:
    """What the batch of a plan may cost at its endpoints; None without one. Sends nothing and needs no key."""
    settings = shop.project.settings
    endpoints = [one for one in (settings.teacher, settings.verifier) if one.is_set]
    if not endpoints:
        return None
    writes, repairs, made = _teaching_asks(shop, plan, seed)
    solves, solver = _solving_asks(shop, plan, made)
    costs = [most_cost(ask, settings.teacher) for ask in (*writes, *repairs)]
    costs += [most_cost(ask, solver) for ask in solves]
    first = next(iter((*writes, *repairs, *solves)), None)
    return Quote(
        writes=len(writes),
        repairs=len(repairs),
        solves=len(solves),
        most_usd=sum(cost.usd for cost in costs),
        most_tokens=sum(cost.tokens for cost in costs),
        is_priced=all(one.is_priced for one in endpoints),
        first="\n\n".join(turn.content for turn in first.messages) if first else "",
    )


def _teaching_asks(shop: Shop, plan: CellPlan, seed: int) -> tuple[list[Ask], list[Ask], Sequence[Made]]:
    """Questions that write, questions that repair, and the rows that rules would make."""
    settings = shop.project.settings
    moves = [move for move in makers_of(shop, None).moves if move in (*MOVES, TEACHER)]
    writes: list[Ask] = []
    teaching = _closed_teaching(shop, settings.teacher)

    def asked(cells: Sequence[Cell], seeds: Sequence[Example], number: int) -> list[list[Made]]:
        writes.extend(ask for cell in cells for _, ask in teaching.questions(cell, seeds, number))
        return [[] for _ in cells]

    made = make_rows(plan.cells, teaching.people, moves, {TEACHER: asked}, seed=seed).made
    is_repaired = settings.teacher.is_set and settings.synthesize.refine
    repairs = [teaching.repair(one.example) for one in made if is_repaired and one.provenance.move != NOISE_MOVE]
    return writes, repairs, made


def _solving_asks(shop: Shop, plan: CellPlan, made: Sequence[Made]) -> tuple[list[Ask], EndpointSettings]:
    settings = shop.project.settings
    endpoint = settings.verifier if settings.verifier.is_set else settings.teacher
    draws, people = settings.synthesize.solutions, people_of(shop)
    if not draws:
        return [], endpoint
    solver = Solver(teacher=_closed(shop, endpoint), task=shop.seeds.task, people=people, draws=draws)
    rows = [one.example for one in made]
    missing = sum(asked_of(cell) for cell in plan.cells) - len(rows)
    rows += [_longest(people)] * max(0, missing)
    asks = [solver.question(row, draw) for row in rows for draw in range(draws)]
    return asks + [solver.question(row, 0) for row in people[:CHECKED_ON]], endpoint


def _longest(people: Sequence[Example]) -> Example:
    """A stand-in for a row that a model has still to write: twice the longest of people's, longer ones are dropped."""
    row = max(people, key=lambda one: len(prompt_text(one).encode("utf-8", "replace")))
    return replace(row, messages=(*row.messages[:-1], *row.messages))


def _closed_teaching(shop: Shop, settings: EndpointSettings) -> Teaching:
    people, terms = people_of(shop), approved_terms(shop.project)
    return Teaching(teacher=_closed(shop, settings), task=shop.seeds.task, people=people, terms=terms)


def _closed(shop: Shop, settings: EndpointSettings) -> Teacher:
    """A teacher that forms questions and is never asked one."""
    return Teacher(
        store=shop.project.store,
        connection=Connection(settings=settings),
        purse=Purse(budget=shop.budget, settings=settings, number=shop.number),
        traffic=Traffic(settings=settings),
        talk=shop.talk,
    )
