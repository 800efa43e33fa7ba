"""Replies of teachers, each written down before it is used, so that none is paid for twice. Append-only."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import insert, select

from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import teacher_reply

AT_ONCE = 500
"""Keys of one query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for one question."""

    key: str
    """Identity of the question: endpoint, model, messages, limits, number of the draw."""
    asked: str
    """The model that was asked for."""
    model: str
    """The model that says it answered, with the server's fingerprint."""
    text: str
    fault: str
    """Why it cannot be used; empty: it can, as far as the endpoint goes."""
    raw: str
    """The body as it came, its beginning."""
    num_input: int
    num_output: int
    usd: float


def keep_reply(store: Store, reply: Reply) -> None:
    """Writes a reply down; one that is there already stays as it is."""
    failpoint("teacher.received")
    with store.db.write() as connection:
        known = connection.execute(select(teacher_reply.c.seq).where(teacher_reply.c.key == reply.key)).scalar()
        if known is None:
            connection.execute(insert(teacher_reply).values(**asdict(reply), at=now()))
    failpoint("teacher.kept")


def kept_replies(store: Store, keys: Iterable[str]) -> dict[str, Reply]:
    """The replies that are there, by their key."""
    wanted: list[str] = list(keys)
    found: dict[str, Reply] = {}
    columns = [column for column in teacher_reply.c if column.name not in ("seq", "at")]
    with store.db.read() as connection:
        for start in range(0, len(wanted), AT_ONCE):
            query = select(*columns).where(teacher_reply.c.key.in_(wanted[start : start + AT_ONCE]))
            found |= {row["key"]: Reply(**row) for row in connection.execute(query).mappings()}
    return found


def newest_replies(store: Store, count: int) -> list[Reply]:
    """The replies that came last, the newest first."""
    columns = [column for column in teacher_reply.c if column.name not in ("seq", "at")]
    with store.db.read() as connection:
        query = select(*columns).order_by(teacher_reply.c.seq.desc()).limit(count)
        return [Reply(**row) for row in connection.execute(query).mappings()]
