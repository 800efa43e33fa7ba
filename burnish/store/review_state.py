"""Which review items want an answer still: a table that follows from the log, changed in the log's own transactions.

A claim reads a few rows of its index, however long the queue is. Losing the table loses nothing: it can be made anew.
"""

import json
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, delete, exists, func, insert, select, text, update

from burnish.store.tables import (
    IS_KEPT,
    WANTS_MORE,
    review_decision,
    review_item,
    review_lease,
    review_state,
    review_withdrawal,
)

AT_ONCE = 5000
MANY = 1000
"""New items from which on the server counts anew: without it, a plan over many rows may sort them all."""


LEASES, ENTRIES = (select(func.count()).select_from(table) for table in (review_lease, review_decision))
OF_OTHERS = LEASES.where(
    review_lease.c.item == review_state.c.item,
    review_lease.c.reviewer != bindparam("reviewer"),
    review_lease.c.until_s > bindparam("now_s"),
)
OWN = ENTRIES.where(review_decision.c.item == review_state.c.item, review_decision.c.reviewer == bindparam("reviewer"))
IS_OPEN = and_(
    WANTS_MORE,
    review_state.c.room > OF_OTHERS.correlate(review_state).scalar_subquery(),
    OWN.correlate(review_state).scalar_subquery() % 2 == 0,
    func.replace(review_state.c.not_by, bindparam("own_line"), "") == review_state.c.not_by,
)
"""Whether an item wants an answer of a reviewer: nothing of theirs holds on it, it is not kept from them, and it has
more room than others hold leases. A skip is an answer that takes no room. `asker` gives the parameters."""


OWN_ITEMS = select(review_decision.c.item).where(review_decision.c.reviewer == bindparam("reviewer"))
LEASED_ITEMS = select(review_lease.c.item).where(review_lease.c.until_s > bindparam("now_s"))
KEPT_ITEMS = select(review_state.c.item).where(IS_KEPT)
"""Where items that want an answer, but not of this reviewer, can be."""


def asker(reviewer: str, now_s: float) -> dict[str, object]:
    """The parameters of `IS_OPEN`."""
    return {"reviewer": reviewer, "now_s": now_s, "own_line": f"\n{reviewer}\n"}


def follow_items(connection: Connection) -> None:
    """Takes the items in that were just added."""
    last = connection.execute(select(func.max(review_state.c.item))).scalar() or 0
    _take_in(connection, last)


def follow_decisions(connection: Connection, seq: int | None = None) -> None:
    """Counts anew what an item still wants, after a decision or a withdrawal; without one, for all items."""
    counted = (
        select(func.coalesce(func.sum(review_decision.c.counts), 0))
        .where(review_decision.c.item == review_state.c.item)
        .scalar_subquery()
    )
    wanted = select(review_item.c.wanted).where(review_item.c.seq == review_state.c.item).scalar_subquery()
    is_gone = exists().where(review_withdrawal.c.item == review_state.c.item)
    change = update(review_state).values(room=case((is_gone, 0), else_=wanted - counted))
    connection.execute(change if seq is None else change.where(review_state.c.item == seq))


def rebuild_state(connection: Connection) -> None:
    """Makes the whole table anew from items, decisions and withdrawals."""
    connection.execute(delete(review_state))
    _take_in(connection, 0)
    follow_decisions(connection)


def lock_state(connection: Connection, seq: int) -> None:
    """Keeps others on a server from changing an item, its leases and its decisions until this transaction ends."""
    connection.execute(select(review_state.c.item).where(review_state.c.item == seq).with_for_update())


def _take_in(connection: Connection, last: int) -> None:
    """Adds the state of items beyond `last`, as if nobody had answered them."""
    columns = [review_item.c[name] for name in ("seq", "queue", "value", "wanted", "record")]
    num_new = 0
    while found := connection.execute(
        select(*columns).where(columns[0] > last).order_by(columns[0]).limit(AT_ONCE)
    ).all():
        connection.execute(insert(review_state), [_row(one) for one in found])
        last, num_new = found[-1].seq, num_new + len(found)
    if num_new >= MANY and connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE review_state"))


def _row(item: Row[Any]) -> dict[str, object]:
    record = json.loads(item.record)
    kept_from = "".join(f"{name}\n" for name in record["not_by"])
    return {
        "item": item.seq,
        "queue": item.queue,
        "value": item.value,
        "room": item.wanted,
        "is_check": int(record["is_check"]),
        "not_by": f"\n{kept_from}" if kept_from else "",
    }
