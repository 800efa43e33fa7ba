"""Leases: which reviewer holds which item of the review queue until when. Losing one loses no decision."""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from burnish.store.review_state import IS_OPEN, asker
from burnish.store.tables import review_lease, review_state

STATE, LEASE = review_state.c, review_lease.c
LEASE_S = 900.0
"""How long an item is kept for the reviewer who has it on the screen: a long text takes 10 minutes, a coffee 15."""
HELD = (
    select(STATE.item, LEASE.until_s)
    .join(review_lease, LEASE.item == STATE.item)
    .where(LEASE.reviewer == bindparam("reviewer"), LEASE.until_s > bindparam("now_s"), IS_OPEN)
    .order_by(LEASE.given_s, STATE.value.desc(), STATE.item.desc())
)
"""Items that a reviewer holds and may still decide, the first that was given first."""


class Held(NamedTuple):
    """An item that a reviewer holds, by the number of its row."""

    item: int
    until_s: float


def held_by(connection: Connection, reviewer: str, now_s: float) -> list[Held]:
    """What a reviewer holds at a time and may still decide, the first that was given first."""
    return [Held(row.item, row.until_s) for row in connection.execute(HELD, asker(reviewer, now_s))]


def give_lease(connection: Connection, seq: int, reviewer: str, given_s: float, until_s: float) -> None:
    """A lease, or the one that the reviewer has made longer."""
    of_one = (LEASE.item == seq, LEASE.reviewer == reviewer)
    known = connection.execute(update(review_lease).where(*of_one).values(until_s=until_s)).rowcount
    if not known:
        row = {"item": seq, "reviewer": reviewer, "given_s": given_s, "until_s": until_s}
        connection.execute(insert(review_lease).values(row))


def end_lease(connection: Connection, seq: int, reviewer: str) -> bool:
    """Ends a lease, run out or not; whether there was one."""
    return connection.execute(delete(review_lease).where(LEASE.item == seq, LEASE.reviewer == reviewer)).rowcount > 0
