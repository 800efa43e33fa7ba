"""Conversations under a canary that can be compared: of which nobody said anything, with both versions' answers.

Half of them come from either version, as which users say nothing may depend on who answered. Both answer anew, and by
the same path, so that neither is judged by a better day.
"""

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from burnish.errors import UsageError
from burnish.loop.duel import Duel
from burnish.loop.flywheel import row_of
from burnish.loop.outcomes import arm_of, conversation_of
from burnish.loop.project import Project
from burnish.loop.stages import Shop
from burnish.records import Example
from burnish.registry import get
from burnish.store.deployments import Canary, running_canary
from burnish.store.outcomes import canary_outcomes
from burnish.store.traffic import traffic_since

AT_ONCE = 1000
STAGE = "compare"


class Case(NamedTuple):
    """A conversation to be compared."""

    key: str
    """Its hash."""
    is_challenger: bool
    """Who had answered it."""
    row: Example


def demand_split(project: Project) -> Canary:
    """The canary that runs. Raises UsageError where none does, or where users see the champion alone."""
    canary = running_canary(project.store)
    if canary is None:
        raise UsageError("no canary runs", hint="see `burnish deploy status`")
    if canary.plan.mode == "shadow":
        raise UsageError(
            "a shadow is compared with what users say is right, and only by that",
            hint="start the canary without --shadow to have answers compared by a judge or by people",
        )
    return canary


def cases_of(shop: Shop, canary: Canary, known: Set[str], count: int, asked: Set[str] = frozenset()) -> list[Case]:
    """The oldest conversations that are in no other evidence, in turn from either version, at most `count`."""
    known = known | {one.conversation for one in canary_outcomes(shop.project.store, canary)}
    chosen: dict[bool, list[Case]] = {True: [], False: []}
    for case in _conversations(shop, canary):
        own = chosen[case.is_challenger]
        if case.key not in known and case.row.id not in asked and len(own) < max(1, count // 2):
            own.append(case)
    return [case for pair in zip(chosen[False], chosen[True], strict=False) for case in pair]


def _conversations(shop: Shop, canary: Canary) -> Iterator[Case]:
    """The first answer of each conversation since the canary began, where its text is kept."""
    seen, place, began = set(), 0, canary.moves[0].at
    while rows := traffic_since(shop.project.store, place, AT_ONCE, with_text=True):
        place = rows[-1].seq
        for spoken in rows:
            key = conversation_of(canary, spoken)
            if spoken.at < began or key in seen:
                continue
            seen.add(key)
            is_challenger, row = arm_of(canary, spoken), row_of(spoken, shop.seeds.task)
            if is_challenger is not None and row is not None:
                yield Case(key, is_challenger, row)


def answered(shop: Shop, canary: Canary, cases: Sequence[Case]) -> list[Duel]:
    """What both versions answer to each, greedily; nothing of it is kept, as traffic ends and these would not."""
    if not cases:
        return []
    rows, store = [case.row for case in cases], shop.project.store
    with shop.budget.measured(f"{shop.number:03d}/{STAGE}") as meter:
        said = [
            shop.bench.score(get(store, name), shop.seeds.task, rows) for name in (canary.against, canary.challenger)
        ]
        meter.add(tokens=sum(one.num_tokens for one in said))
    before, after = ({row.example: row.output for row in one.rows} for one in said)
    return [Duel(row.id, row.prompt, before[row.id], after[row.id]) for row in rows]
