"""What came of judging synthetic batches. Append-only: a batch that is judged again has its last verdict."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select

from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import batch_audit


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One audit of one batch."""

    seq: int
    batch: str
    record: Mapping[str, Any]
    """The audit as plain JSON."""
    by: str
    """Who judged."""
    at: str


def append_audit(store: Store, batch: str, record: Mapping[str, Any], *, by: str) -> None:
    """Writes an audit down; the same again changes nothing."""
    text = json.dumps(record, ensure_ascii=False, sort_keys=True)
    with store.db.write() as connection:
        last = connection.execute(
            select(batch_audit.c.record).where(batch_audit.c.batch == batch).order_by(batch_audit.c.seq.desc())
        ).scalar()
        if last != text:
            connection.execute(insert(batch_audit).values(batch=batch, record=text, by=by, at=now()))
            failpoint("audit.commit")


def audits(store: Store) -> list[AuditEntry]:
    """Every audit, in the order in which they were made."""
    with store.db.read() as connection:
        rows = connection.execute(select(batch_audit).order_by(batch_audit.c.seq)).mappings().all()
    return [AuditEntry(**{**row, "record": json.loads(row["record"])}) for row in rows]
