"""What a judge or people make of both versions' answers to a conversation under a canary: numbers, append-only.

They stand beside the outcomes of users, and know after how many of those they came: evidence is in their order.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Connection, func, insert, select

from burnish.store.db import now
from burnish.store.deployments import Canary
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import canary_comparison, canary_outcome

By = Literal["judge", "people", "equal"]


class CanaryComparison(NamedTuple):
    """Which of two answers to one conversation is better; no text, and nothing that leads back to who spoke."""

    conversation: str
    """Its hash, as of outcomes."""
    is_challenger: bool
    """Whether the challenger had answered it."""
    value: float
    """Challenger minus champion: 1 where the challenger's answer is better, -1 where the champion's, 0 for a tie."""
    by: By
    """equal: both answers are the same, and nobody was asked."""
    after: int = 0
    """Outcomes of users that were written down before it; given by the database."""


def add_comparisons(store: Store, canary: Canary, found: Sequence[CanaryComparison]) -> int:
    """Writes them down; a conversation has one by each, and keeps it. Returns how many are new."""
    with store.db.write() as connection:
        known = {(one.conversation, one.by) for one in _comparisons(connection, canary.number)}
        fresh: dict[tuple[str, str], CanaryComparison] = {}
        for one in found:
            if (one.conversation, one.by) not in known:
                fresh.setdefault((one.conversation, one.by), one)
        if fresh:
            counted = select(func.count()).select_from(canary_outcome).where(canary_outcome.c.canary == canary.number)
            after = int(connection.execute(counted).scalar_one())
            rows = [one._replace(after=after)._asdict() for one in fresh.values()]
            connection.execute(
                insert(canary_comparison), [{"canary": canary.number, **row, "at": now()} for row in rows]
            )
            failpoint("canary.compared")
    return len(fresh)


def canary_comparisons(store: Store, canary: Canary) -> list[CanaryComparison]:
    """Its comparisons in the order in which they were written."""
    with store.db.read() as connection:
        return _comparisons(connection, canary.number)


def _comparisons(connection: Connection, number: int) -> list[CanaryComparison]:
    kept = canary_comparison.c
    wanted = select(kept.conversation, kept.is_challenger, kept.value, kept.by, kept.after)
    rows = connection.execute(wanted.where(kept.canary == number).order_by(kept.seq))
    return [CanaryComparison(row[0], bool(row[1]), row[2], row[3], row[4]) for row in rows]
