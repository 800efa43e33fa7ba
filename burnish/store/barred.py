"""Examples that must not be used any more: their ids, when and why. Append-only; no text of a row is kept here.

Barred rows stay in the sealed files in which they came; whoever loads examples leaves them out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select

from burnish.fingerprint import fingerprint
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.reviews import withdraw_examples
from burnish.store.store import Store
from burnish.store.tables import barred_example


@dataclass(frozen=True, slots=True, kw_only=True)
class Barred:
    """One example that is left out from now on."""

    seq: int
    example: str
    batch: str
    """Name of the data batch that holds its row."""
    asked: str
    """The example that a person named: itself, or the one that this row was made from."""
    reason: str
    at: str


def bar(store: Store, rows: Mapping[str, str], *, asked: str, reason: str) -> int:
    """Bars examples, given by id with the name of their batch, and withdraws what people are asked about them, in one
    transaction: all of it, or nothing.

    Returns how many are new; one that is barred already keeps its first entry.
    """
    with store.db.write() as connection:
        known = set(connection.execute(select(barred_example.c.example)).scalars())
        entry = {"asked": asked, "reason": reason, "at": now()}
        fresh = [{"example": row, "batch": batch, **entry} for row, batch in rows.items() if row not in known]
        if fresh:
            connection.execute(insert(barred_example), fresh)
            withdraw_examples(connection, {str(one["example"]) for one in fresh}, "its row was forgotten")
            failpoint("barred.commit")
    return len(fresh)


def barred(store: Store) -> list[Barred]:
    """Every barred example, in the order in which they were barred."""
    with store.db.read() as connection:
        rows = connection.execute(select(barred_example).order_by(barred_example.c.seq)).mappings().all()
    return [Barred(**row) for row in rows]


def newest_barred(store: Store) -> tuple[int, str] | None:
    """(seq, example) of the one that was barred last, which tells whether there is another one since."""
    newest = select(barred_example.c.seq, barred_example.c.example).order_by(barred_example.c.seq.desc()).limit(1)
    with store.db.read() as connection:
        row = connection.execute(newest).first()
    return None if row is None else (row.seq, row.example)


def barred_by_batch(store: Store) -> dict[str, list[str]]:
    """Ids of barred examples by the name of their batch, in the order in which they were barred."""
    found: dict[str, list[str]] = {}
    for one in barred(store):
        found.setdefault(one.batch, []).append(one.example)
    return found


def hash_without(content_hash: str, examples: Sequence[str]) -> str:
    """Identity of a batch of which these examples are left out; of a whole batch its own content hash."""
    return fingerprint({"batch": content_hash, "without": sorted(examples)}) if examples else content_hash
