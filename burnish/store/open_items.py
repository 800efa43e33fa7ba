"""Items of a review queue that a reviewer may be given: the next ones, the dearest first, and how many there are."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, func, not_, select, text, union

from burnish.store.review_state import IS_OPEN, KEPT_ITEMS, LEASED_ITEMS, OWN_ITEMS, asker
from burnish.store.reviews import Queue
from burnish.store.store import Store
from burnish.store.tables import WANTS_MORE, review_state

STATE = review_state.c
OPEN = select(STATE.item).where(STATE.queue == bindparam("queue"), IS_OPEN)
STILL_OPEN = OPEN.where(STATE.item.in_(bindparam("seqs", expanding=True)))
DEAREST = (
    OPEN.where(STATE.item.not_in(bindparam("passed", expanding=True)))
    .order_by(STATE.value.desc(), STATE.item.desc())
    .limit(bindparam("most"))
)
BY_INDEX = text("SET LOCAL enable_sort = off")
"""For the transaction: PostgreSQL takes hardly any item to be open to a reviewer, and would read and sort them all."""
WANTED = select(STATE.queue, func.count()).where(WANTS_MORE).group_by(STATE.queue)
CLOSED = WANTED.where(STATE.item.in_(union(OWN_ITEMS, LEASED_ITEMS, KEPT_ITEMS)), not_(IS_OPEN))
"""Of all that is wanted, what this reviewer is not asked: looked for where that can be, and nowhere else."""
NUM_OWN, NUM_LEASED, NUM_KEPT = (
    select(func.count()).select_from(one.subquery()).scalar_subquery() for one in (OWN_ITEMS, LEASED_ITEMS, KEPT_ITEMS)
)
PERHAPS_CLOSED = select(NUM_OWN + NUM_LEASED + NUM_KEPT)
"""A number that `CLOSED` never passes."""
COUNTED = select(func.count()).select_from(
    select(STATE.item).where(STATE.queue == bindparam("queue"), WANTS_MORE).limit(bindparam("most")).subquery()
)


def open_counts(store: Store, reviewer: str, *, now_s: float) -> dict[Queue, int]:
    """Items by queue that want an answer of this reviewer, those they hold with them; at infinity no lease counts."""
    with store.db.read() as connection:
        wanted, closed = (
            {queue: int(number) for queue, number in connection.execute(one, asker(reviewer, now_s))}
            for one in (WANTED, CLOSED)
        )
    return {queue: number - closed.get(queue, 0) for queue, number in wanted.items()}


def was_asked(store: Store) -> bool:
    """Whether any question was ever chosen, whatever became of it."""
    with store.db.read() as connection:
        return connection.execute(select(STATE.item).limit(1)).first() is not None


def has_more(store: Store, reviewer: str, queue: Queue, number: int, *, now_s: float) -> bool:
    """Whether a queue surely has more than `number` items for this reviewer, without counting them all.

    True is certain. False may be said too early, by as many items as this reviewer has answered, others hold, or are
    kept from somebody: then `open_counts` is quick.
    """
    with store.db.read() as connection:
        closed: int = connection.execute(PERHAPS_CLOSED, asker(reviewer, now_s)).scalar_one()
        most = number + 1 + closed
        counted: int = connection.execute(COUNTED, {"queue": queue, "most": most}).scalar_one()
    return counted == most


def open_items(
    connection: Connection, queue: Queue, who: Mapping[str, object], held: Sequence[int], most: int, *, waits: bool
) -> list[int]:
    """Up to `most` items of a queue that a reviewer (as `asker` names one) may be given and does not hold, the
    dearest first. Their rows are locked; `waits` for those that others have at this moment, where there are no more."""
    passed, found = list(held), list[int]()
    asked = {"queue": queue, **who}
    while len(found) < most:
        seqs = _locked(connection, {**asked, "passed": passed, "most": most - len(found)}, waits=waits and not passed)
        if not seqs:
            break
        # On a server, another reviewer may have got an item between the moment that the query saw and its lock.
        still = set(connection.execute(STILL_OPEN, {**asked, "seqs": seqs}).scalars())
        found += [seq for seq in seqs if seq in still]
        passed += seqs
    return found


def _locked(connection: Connection, asked: Mapping[str, object], *, waits: bool) -> list[int]:
    """The items, locked: those that others are at in this moment are passed over, or waited for if there are no more.

    Whoever holds a lock waits for none, so nobody waits for each other.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(BY_INDEX)
    free = connection.execute(DEAREST.with_for_update(skip_locked=True), asked).scalars().all()
    if free or not waits or connection.dialect.name != "postgresql":
        return list(free)
    return list(connection.execute(DEAREST.with_for_update(), {**asked, "most": 1}).scalars())
