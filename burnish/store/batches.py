"""Data batches: what was added to the project, in which order, and where its rows lie. Append-only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select

from burnish.errors import UsageError
from burnish.fingerprint import SHORT
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.files import safe_name
from burnish.store.store import Store
from burnish.store.tables import data_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows that came in together."""

    seq: int
    name: str
    artifact: str
    """Folder of the sealed rows, relative to .burnish; `store.path_of` finds it."""
    content_hash: str
    num_rows: int
    num_rejects: int
    sources: tuple[str, ...]
    """File names as the user gave them."""
    at: str


def add_batch(
    store: Store,
    *,
    name: str,
    artifact: str,
    content_hash: str,
    num_rows: int,
    num_rejects: int = 0,
    sources: Sequence[str] = (),
) -> Batch:
    """Writes a batch down and returns it; the same name with the same content again returns the one that is there.

    Raises UsageError when the name is taken by other content: a batch is never replaced.
    """
    row = {
        "name": safe_name(name),
        "artifact": artifact,
        "content_hash": content_hash,
        "num_rows": num_rows,
        "num_rejects": num_rejects,
        "sources": json.dumps(list(sources), ensure_ascii=False),
        "at": now(),
    }
    with store.db.write() as connection:
        known = connection.execute(select(data_batch.c.content_hash).where(data_batch.c.name == name)).scalar()
        if known is None:
            connection.execute(insert(data_batch).values(**row))
            failpoint("batch.commit")
        elif known != content_hash:
            raise UsageError(
                f"the batch name {name} is taken by other rows ({known[:SHORT]}, these are {content_hash[:SHORT]})",
                hint="give this batch another name: batches are never replaced",
            )
    return next(batch for batch in batches(store) if batch.name == name)


def batches(store: Store) -> list[Batch]:
    """Every batch, in the order in which they were added."""
    with store.db.read() as connection:
        rows = connection.execute(select(data_batch).order_by(data_batch.c.seq)).mappings().all()
    return [Batch(**{**row, "sources": tuple(json.loads(row["sources"]))}) for row in rows]


def newest_batch(store: Store) -> tuple[int, str] | None:
    """(seq, content hash) of the batch that was added last, which tells whether there is another one since."""
    newest = select(data_batch.c.seq, data_batch.c.content_hash).order_by(data_batch.c.seq.desc()).limit(1)
    with store.db.read() as connection:
        row = connection.execute(newest).first()
    return None if row is None else (row.seq, row.content_hash)
