"""What people are asked and what they decided. Append-only: a decision is taken back by another entry, never changed.

Of one item and one reviewer the entries take turns: 1 decides, 2 takes it back, 3 decides anew. So the decision that
holds is the last one of an odd turn, and the database itself refuses a second beside it.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import Connection, Row, bindparam, func, insert, select

from burnish.errors import UsageError
from burnish.records import Message, as_json, from_json
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.review_state import follow_decisions, follow_items
from burnish.store.store import Store
from burnish.store.tables import WANTS_MORE, review_decision, review_item, review_state, review_withdrawal

Queue = Literal["blind", "correction", "preference"]
Kind = Literal[
    "label", "accept", "edit", "reject", "gold-wrong", "out-of-scope", "skip", "prefer-a", "prefer-b", "tie", "undo"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """One question to people. Whoever shows it keeps `given`, `is_check`, `draft_by`, `other_by` and `probability`
    from them."""

    name: str
    """Hash of what is asked: the same question planned again is the same item."""
    queue: Queue
    purpose: str
    """calibration, gold, audit, preference or adjudication."""
    example: str
    role: str
    """The role of the example when the item was planned; synthetic for a made row."""
    messages: tuple[Message, ...]
    """The prompt."""
    draft: str = ""
    """The answer that is shown, of a preference the one called A; empty in the blind queue."""
    draft_by: str = ""
    other: str = ""
    """The answer called B."""
    other_by: str = ""
    given: str = ""
    """The answer on file."""
    is_check: bool = False
    """The draft is known to be wrong: it is there to see whether people still look."""
    reason: str = ""
    """Why this is asked, in a sentence for the reviewer."""
    probability: float | None = None
    """With which it was drawn; None: it was chosen, so nothing is estimated from it."""
    value: float = 0.0
    """What a decision is worth per minute, in no unit: only the order counts, and within one queue only."""
    wanted: int = 1
    """Reviewers that are to answer it."""
    not_by: tuple[str, ...] = ()
    """Reviewers that are not asked: those whose conflict it is to settle."""
    settles: str = ""
    """The item whose answers were in conflict; empty: none."""
    batch: str = ""
    """The synthetic batch that it audits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecision:
    """One entry of the log: what a reviewer decided, or that it is taken back."""

    seq: int
    item: str
    reviewer: str
    turn: int
    """Odd: a decision; even: the one before it is taken back."""
    kind: Kind
    text: str
    """The label, the edited answer or the right gold; empty where the kind says all."""
    note: str
    """Why, in the reviewer's words or a reason code."""
    seconds: float
    """Time on the page."""
    edit_distance: int
    """Characters inserted, deleted or replaced in the draft."""
    at: str


def add_items(store: Store, items: Sequence[ReviewItem]) -> int:
    """Asks what was not asked before, in one transaction; returns how many are new. The same again changes nothing."""
    with store.db.write() as connection:
        known = set(connection.execute(select(review_item.c.name)).scalars())
        fresh = {item.name: item for item in items if item.name not in known}
        rows = [_row(item) for item in fresh.values()]
        if rows:
            connection.execute(insert(review_item), rows)
            follow_items(connection)
            failpoint("review.plan")
    return len(rows)


def withdraw_items(store: Store, names: Sequence[str], reason: str) -> int:
    """Takes items out of the queue for good, with what was decided on them kept; returns how many were in it."""
    wanted = set(names)
    with store.db.write() as connection:
        known = connection.execute(select(review_item.c.seq, review_item.c.name))
        return _withdraw(connection, [row.seq for row in known if row.name in wanted], reason)


def withdraw_examples(connection: Connection, examples: Collection[str], reason: str) -> int:
    """The same of every item about these examples, inside the transaction that makes them nobody's to see.

    Also of those that are decided: an answer that is taken back would put the question again.
    """
    known = connection.execute(select(review_item.c.seq, review_item.c.record))
    return _withdraw(connection, [row.seq for row in known if json.loads(row.record)["example"] in examples], reason)


def _withdraw(connection: Connection, seqs: Sequence[int], reason: str) -> int:
    taken = set(connection.execute(select(review_withdrawal.c.item)).scalars())
    fresh = [seq for seq in seqs if seq not in taken]
    if fresh:
        connection.execute(insert(review_withdrawal), [{"item": seq, "reason": reason, "at": now()} for seq in fresh])
        for seq in fresh:
            follow_decisions(connection, seq)
        failpoint("review.withdraw")
    return len(fresh)


def review_items(store: Store, *, with_withdrawn: bool = True) -> list[ReviewItem]:
    """Every item, in the order in which they were asked."""
    wanted = select(review_item.c.record).order_by(review_item.c.seq)
    if not with_withdrawn:
        wanted = wanted.where(review_item.c.seq.not_in(select(review_withdrawal.c.item)))
    with store.db.read() as connection:
        return [item_of(text) for text in connection.execute(wanted).scalars()]


class Waiting(NamedTuple):
    """What one queue still wants."""

    num_items: int
    num_answers: int


def waiting(store: Store) -> dict[Queue, Waiting]:
    """What each queue still wants, withdrawn items left out; a queue that wants nothing is not named."""
    wanted = select(review_state.c.queue, func.count(), func.sum(review_state.c.room)).where(WANTS_MORE)
    with store.db.read() as connection:
        rows = connection.execute(wanted.group_by(review_state.c.queue)).all()
    return {queue: Waiting(int(items), int(answers)) for queue, items, answers in rows}


def answered_items(store: Store) -> list[ReviewItem]:
    """The items that anybody has answered, decisions that were taken back with them; the rest is not read."""
    named = select(review_decision.c.item)
    wanted = select(review_item.c.record).where(review_item.c.seq.in_(named)).order_by(review_item.c.seq)
    with store.db.read() as connection:
        return [item_of(text) for text in connection.execute(wanted).scalars()]


def review_log(store: Store) -> list[ReviewDecision]:
    """Every entry, oldest first."""
    with store.db.read() as connection:
        rows = connection.execute(ENTRIES.order_by(review_decision.c.seq)).all()
    return [decision_of(row) for row in rows]


def last_decision(store: Store, reviewer: str) -> tuple[ReviewDecision, ReviewItem] | None:
    """The newest decision of a reviewer that holds, with what was asked; None: there is none."""
    with store.db.read() as connection:
        row = connection.execute(NEWEST, {"reviewer": reviewer}).first()
        return (decision_of(row), item_of(row.record)) if row else None


def find_item(store: Store, name: str) -> ReviewItem:
    """The item of that name. Raises UsageError where there is none."""
    with store.db.read() as connection:
        record = connection.execute(select(review_item.c.record).where(review_item.c.name == name)).scalar()
    if record is None:
        raise UsageError(f"there is no review item {name[:40]!r}", hint="`burnish review status` shows what is asked")
    return item_of(record)


ENTRIES = select(review_decision, review_item.c.name).join(review_item, review_decision.c.item == review_item.c.seq)

LATER = review_decision.alias()
UNDONE = select(LATER.c.seq).where(
    LATER.c.item == review_decision.c.item,
    LATER.c.reviewer == review_decision.c.reviewer,
    LATER.c.turn == review_decision.c.turn + 1,
)
NEWEST = (
    ENTRIES.add_columns(review_item.c.record)
    .where(review_decision.c.reviewer == bindparam("reviewer"), review_decision.c.kind != "undo", ~UNDONE.exists())
    .order_by(review_decision.c.seq.desc())
    .limit(1)
)
OF_ONE = ENTRIES.where(
    review_decision.c.item == bindparam("seq"), review_decision.c.reviewer == bindparam("reviewer")
).order_by(review_decision.c.turn)
"""Made once: to put such a statement together takes longer than to run it."""


def entries_of(connection: Connection, seq: int, reviewer: str) -> list[ReviewDecision]:
    """The entries of one item and one reviewer, in turn."""
    return [decision_of(row) for row in connection.execute(OF_ONE, {"seq": seq, "reviewer": reviewer})]


def item_of(text: str) -> ReviewItem:
    """The item that a row of the table holds."""
    return from_json(ReviewItem, json.loads(text))


def decision_of(row: Row[tuple[object, ...]]) -> ReviewDecision:
    """The entry that a row of `ENTRIES` holds."""
    return ReviewDecision(
        seq=row.seq,
        item=row.name,
        reviewer=row.reviewer,
        turn=row.turn,
        kind=row.kind,
        text=row.text,
        note=row.note,
        seconds=row.seconds,
        edit_distance=row.edit_distance,
        at=row.at,
    )


def _row(item: ReviewItem) -> dict[str, object]:
    assert item.wanted >= 1, f"{item.name} wants {item.wanted} reviewers"
    record = json.dumps(as_json(item), ensure_ascii=False, sort_keys=True)
    return {
        "name": item.name,
        "queue": item.queue,
        "wanted": item.wanted,
        "value": item.value,
        "record": record,
        "at": now(),
    }
