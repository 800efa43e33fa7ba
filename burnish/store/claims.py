"""Who works on which item of the review queue: claim, decide, undo, each one durable transaction.

A lease keeps others off an item for a while. A decision needs a lease or free room: a late one is still taken when
nobody else has the item, and refused aloud, nothing written, when somebody has. Saying it twice is saying it once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, text

from burnish.errors import BusyError, UsageError
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.leases import LEASE, LEASE_S, end_lease, give_lease, held_by
from burnish.store.open_items import open_items
from burnish.store.review_state import asker, follow_decisions, lock_state
from burnish.store.reviews import Kind, Queue, ReviewDecision, ReviewItem, entries_of, item_of
from burnish.store.server import take_name
from burnish.store.store import Store
from burnish.store.tables import review_decision, review_item, review_withdrawal

FRESH_SHARE = 0.9
"""A lease with this part of its time left is not renewed: a claim that changes nothing waits for no disk."""
KINDS: dict[Queue, tuple[Kind, ...]] = {
    "blind": ("label", "out-of-scope", "skip"),
    "correction": ("accept", "edit", "reject", "gold-wrong", "out-of-scope", "skip"),
    "preference": ("prefer-a", "prefer-b", "tie", "out-of-scope", "skip"),
}
"""What may be decided in each queue."""
WITH_TEXT = ("label", "edit", "gold-wrong")


class Claim(NamedTuple):
    """An item that a reviewer holds."""

    item: ReviewItem
    turn: int
    """To be sent back with the decision: a form from before an undo has an older one and is told so."""
    until_s: float


class Wish(NamedTuple):
    """A decision as a reviewer sends it."""

    kind: Kind
    text: str = ""
    note: str = ""
    seconds: float = 0.0
    edit_distance: int = 0


def claim_items(
    store: Store, reviewer: str, *, now_s: float, queues: Sequence[Queue], count: int = 1, lease_s: float = LEASE_S
) -> list[Claim]:
    """The items that a reviewer holds, oldest first, topped up to `count` from the queues in the order given.

    Within a queue the dearest comes first. A reload gets the same items again, their leases renewed where they are not
    fresh; fewer than `count` when the queues have no more for this reviewer.
    """
    _check_name(reviewer)
    with store.db.write_rows() as connection:
        take_name(connection, reviewer)
        held = [one.item for one in held_by(connection, reviewer, now_s)][:count]
        for queue in queues:
            held += open_items(connection, queue, asker(reviewer, now_s), held, count - len(held), waits=True)
        for place, seq in enumerate(held):  # a thousandth of a second apart, so that a reload has the same order
            give_lease(connection, seq, reviewer, now_s + place / 1000, now_s + lease_s)
        failpoint("review.claim")
        return [_claim(connection, seq, reviewer, now_s + lease_s) for seq in held]


def held_items(
    store: Store, reviewer: str, *, now_s: float, count: int = 1, lease_s: float = LEASE_S
) -> list[Claim] | None:
    """The `count` items that a reviewer holds by fresh leases, oldest first; None: `claim_items` has to be asked."""
    _check_name(reviewer)
    with store.db.read() as connection:
        held = held_by(connection, reviewer, now_s)[:count]
        if len(held) < count or any(row.until_s < now_s + FRESH_SHARE * lease_s for row in held):
            return None
        return [_claim(connection, row.item, reviewer, row.until_s) for row in held]


def decide_item(
    store: Store, name: str, reviewer: str, turn: int, wish: Wish, *, now_s: float, then: Sequence[Queue] = ()
) -> ReviewDecision:
    """Writes a decision down and returns its entry; the same again returns the entry that is there.

    Who held the item by a lease gets one for another from the queues `then`, in the same transaction.

    Raises:
        BusyError: others have decided the item, or hold it, meanwhile. Nothing was written.
        UsageError: there is no such item, the kind is none of its queue, or this reviewer has decided otherwise before.
    """
    _check_name(reviewer)
    with store.db.write_rows() as connection:
        seq, item = _find(connection, name)
        _check_wish(item, wish)
        entries = entries_of(connection, seq, reviewer)
        known = next((one for one in entries if one.turn == turn), None)
        if known:
            return _same_again(known, wish)
        _check_turn(entries, turn)
        _check_room(connection, item, seq, reviewer, now_s)
        _insert(connection, seq, reviewer, turn, wish, counts=0 if wish.kind == "skip" else 1)
        if end_lease(connection, seq, reviewer):
            _hand_over(connection, reviewer, now_s, then)
        failpoint("review.decide")
        return entries_of(connection, seq, reviewer)[-1]


def undo_decision(
    store: Store, name: str, reviewer: str, turn: int, *, now_s: float, lease_s: float = LEASE_S
) -> ReviewDecision:
    """Takes the decision of that turn back by another entry, which is returned, and gives the reviewer the item again,
    before all others that they hold.

    The same again changes nothing. Raises UsageError when this reviewer made no decision of that turn.
    """
    with store.db.write_rows() as connection:
        seq, _ = _find(connection, name)
        entries = entries_of(connection, seq, reviewer)
        known = [one for one in entries if one.turn in (turn, turn + 1)]
        if turn % 2 == 0 or not known:
            raise UsageError(f"{reviewer} has made no decision on {name} to take back", hint="reload the page")
        if len(known) == 2:
            return known[1]
        counts = 0 if known[0].kind == "skip" else -1
        _insert(connection, seq, reviewer, turn + 1, Wish("undo"), counts=counts)
        first_s = connection.execute(select(func.min(LEASE.given_s)).where(LEASE.reviewer == reviewer)).scalar()
        give_lease(connection, seq, reviewer, now_s if first_s is None else first_s - 1, now_s + lease_s)
        failpoint("review.undo")
        return entries_of(connection, seq, reviewer)[-1]


RECORD = select(review_item.c.record).where(review_item.c.seq == bindparam("seq"))


def _hand_over(connection: Connection, reviewer: str, now_s: float, queues: Sequence[Queue]) -> None:
    """Gives a reviewer the lease of one more item, where there is one."""
    held = [one.item for one in held_by(connection, reviewer, now_s)]
    for queue in queues:
        found = open_items(connection, queue, asker(reviewer, now_s), held, 1, waits=False)
        if found:
            give_lease(connection, found[0], reviewer, now_s, now_s + LEASE_S)
            return


def _claim(connection: Connection, seq: int, reviewer: str, until_s: float) -> Claim:
    record = connection.execute(RECORD, {"seq": seq}).scalar_one()
    return Claim(item_of(record), len(entries_of(connection, seq, reviewer)) + 1, until_s)


def _find(connection: Connection, name: str) -> tuple[int, ReviewItem]:
    row = connection.execute(select(review_item.c.seq, review_item.c.record).where(review_item.c.name == name)).first()
    if row is None:
        raise UsageError(f"there is no review item {name!r}", hint="`burnish review status` shows what is asked")
    lock_state(connection, row.seq)
    return row.seq, item_of(row.record)


def _same_again(known: ReviewDecision, wish: Wish) -> ReviewDecision:
    if (known.kind, known.text) == (wish.kind, wish.text):
        return known
    raise UsageError(
        f"{known.reviewer} has decided {known.kind}{f' ({known.text[:60]})' if known.text else ''} on {known.item} "
        "before; nothing was changed",
        hint="undo that decision first, then decide anew",
    )


def _check_turn(entries: Sequence[ReviewDecision], turn: int) -> None:
    if turn != len(entries) + 1 or turn % 2 == 0:
        told = f"{entries[-1].kind} was the last entry of it" if entries else "nothing was decided on it yet"
        raise UsageError(f"this form is not of now: {told}; nothing was changed", hint="reload the page")


def _check_room(connection: Connection, item: ReviewItem, seq: int, reviewer: str, now_s: float) -> None:
    """Raises BusyError where the decisions that hold, and the leases of others, are as many as are wanted."""
    decided = text("SELECT reviewer FROM review_decision WHERE item = :item GROUP BY reviewer HAVING sum(counts) > 0")
    others = set(connection.execute(decided, {"item": seq}).scalars())
    here = connection.execute(select(LEASE.reviewer).where(LEASE.item == seq, LEASE.until_s > now_s))
    holders = set(here.scalars())
    if reviewer in item.not_by:
        raise UsageError(f"{item.name} is for others than {reviewer} to settle", hint="take the next item")
    withdrawn = connection.execute(select(review_withdrawal.c.reason).where(review_withdrawal.c.item == seq)).scalar()
    if withdrawn is not None:
        raise BusyError(f"{item.name} is no longer asked: {withdrawn}", hint="take the next item")
    if len(others) >= item.wanted or (reviewer not in holders and len(others | holders) >= item.wanted):
        names = ", ".join(sorted((others | holders) - {reviewer}))
        what = "has been decided" if len(others) >= item.wanted else "is held now"
        raise BusyError(f"{item.name} {what} by {names}; nothing was written", hint="take the next item")


def _insert(connection: Connection, seq: int, reviewer: str, turn: int, wish: Wish, counts: int) -> None:
    values = {"item": seq, "reviewer": reviewer, "turn": turn, "counts": counts, "at": now()}
    connection.execute(insert(review_decision).values(**values, **wish._asdict()))
    if counts:
        follow_decisions(connection, seq)


def _check_name(reviewer: str) -> None:
    if not reviewer.strip() or len(reviewer) > 100 or not reviewer.isprintable():
        raise UsageError(f"{reviewer[:40]!r} is no name of a reviewer", hint="give a name of 1 to 100 letters")


def _check_wish(item: ReviewItem, wish: Wish) -> None:
    if wish.kind not in KINDS[item.queue]:
        known = ", ".join(KINDS[item.queue])
        raise UsageError(f"{wish.kind!r} is no decision of the {item.queue} queue", hint=f"decide one of {known}")
    if wish.kind in WITH_TEXT and not wish.text.strip():
        raise UsageError(f"the decision {wish.kind} on {item.name} has no text", hint="write the answer that is right")
    if not (math.isfinite(wish.seconds) and wish.seconds >= 0 and wish.edit_distance >= 0):
        raise UsageError(f"{wish.seconds} s and {wish.edit_distance} changes are no measure", hint="reload the page")
