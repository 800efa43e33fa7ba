"""What reviewers did lately: their last few hundred decisions, of which a process reads each only once.

The log is append-only, so what was read stays true: a look reads what came since the one before.
"""

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, case, select

from burnish.store.reviews import Queue
from burnish.store.store import Store
from burnish.store.tables import review_decision, review_item, review_state

LAST = 500
"""Decisions that count as recent."""
MOST_KEPT = 256
"""Reviewers whose decisions a process keeps, those who came last: some 20 MB at the most."""


class Spent(NamedTuple):
    """What the recent decisions of one queue took."""

    num_timed: int
    seconds: float
    """Of those with a time, together."""
    num_untimed: int = 0
    """Decisions of sheets, which tell no time."""


class Recent(NamedTuple):
    """One decision, taken back or not."""

    seq: int
    at_s: float
    """When it was made, in seconds of the clock, to the second."""
    queue: Queue
    seconds: float
    is_caught: bool | None = None
    """Whether a hidden wrong draft was seen through; None: the item hides none, or it was skipped, or nobody asked."""


def recent_spent(store: Store, *, longest_s: float) -> dict[Queue, Spent]:
    """What the last decisions of all reviewers took, each at most `longest_s`; a queue without any is not named."""
    by_queue: dict[Queue, list[float]] = {}
    for one in _followed(store, "", OF_ALL, {}):
        by_queue.setdefault(one.queue, []).append(one.seconds)
    return {queue: _spent(seconds, longest_s) for queue, seconds in by_queue.items()}


def recent_of(store: Store, reviewer: str) -> tuple[Recent, ...]:
    """A reviewer's last decisions, newest first; of items only hidden checks are read."""
    return _followed(store, reviewer, OF_ONE, {"reviewer": reviewer})


def checks_of(own: Sequence[Recent]) -> tuple[int, int]:
    """(seen through, answered) hidden wrong drafts among a reviewer's decisions."""
    checks = [one.is_caught for one in own if one.is_caught is not None]
    return sum(checks), len(checks)


ENTRY = review_decision.c
HIDDEN = select(review_item.c.record).where(review_item.c.seq == ENTRY.item).scalar_subquery()
CHECKED = case((review_state.c.is_check == 1, HIDDEN), else_="").label("record")
OF_ALL = (
    select(ENTRY.seq, ENTRY.at, review_state.c.queue, ENTRY.seconds)
    .join(review_state, review_state.c.item == ENTRY.item)
    .where(ENTRY.kind != "undo", ENTRY.seq >= bindparam("since"))
    .order_by(ENTRY.seq.desc())
    .limit(LAST)
)
OF_ONE = OF_ALL.add_columns(ENTRY.kind, ENTRY.text, CHECKED).where(ENTRY.reviewer == bindparam("reviewer"))

_kept: OrderedDict[tuple[object, str], tuple[Recent, ...]] = OrderedDict()
_keeping = threading.Lock()


def _followed(store: Store, name: str, query: Select[Any], asked: Mapping[str, object]) -> tuple[Recent, ...]:
    """The newest rows of the query, newest first.

    The newest that is known is read again with what came since: where it is another one, the database was brought back
    from a copy, and all is read anew. On a server an entry may be missed that was begun before the newest and committed
    after it; what is told of hundreds of decisions does not hang on it.
    """
    key = (store.db.url or store.db.path, name)
    with _keeping:
        known = _kept.get(key, ())
    with store.db.read() as connection:
        rows = connection.execute(query, {**asked, "since": known[0].seq if known else 0}).all()
        if known and (not rows or _recent(rows[-1]) != known[0]):
            known, rows = (), connection.execute(query, {**asked, "since": 0}).all()
    found = (*map(_recent, rows), *known[1:])[:LAST]
    with _keeping:
        _kept[key] = found
        _kept.move_to_end(key)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return found


def _recent(row: Any) -> Recent:
    seq, at, queue, seconds, *answer = row
    return Recent(seq, datetime.fromisoformat(at).timestamp(), queue, seconds, _is_caught(*answer) if answer else None)


def _is_caught(kind: str, said: str, record: str) -> bool | None:
    if not record or kind == "skip":
        return None
    return kind != "accept" and said != json.loads(record)["draft"]


def _spent(seconds: Sequence[float], longest_s: float) -> Spent:
    timed = [min(one, longest_s) for one in seconds if one > 0]
    return Spent(len(timed), math.fsum(timed), len(seconds) - len(timed))
