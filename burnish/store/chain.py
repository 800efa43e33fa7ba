"""The log of decisions about models and people: append-only, each entry sealed with the hash of the one before it.

Whoever changes, removes or moves an entry breaks the chain at that place, and `broken_entries` says where. A chain can
not show that its end was cut, nor that all of it was written anew: for that it is held against what lies beside it
(`loop.integrity`), and against a hash that somebody wrote down.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, insert, select

from burnish.fingerprint import canonical_json, fingerprint
from burnish.store.db import Db, now
from burnish.store.failpoints import failpoint
from burnish.store.tables import chain_entry, model_version, pointer_move

START = "start"
"""Kind and subject of the first entry, which seals what was there before the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the log."""

    seq: int
    """From 1, without a gap."""
    subject: str
    """What it is about, such as "move 3"; no two entries have the same."""
    kind: str
    """start, verdict, approval, refusal, promote, rollback, user, canary or slice; empty: the record cannot be read."""
    facts: Mapping[str, Any]
    at: str
    record: str
    """Kind, time and facts as they were sealed, in canonical JSON."""
    previous: str
    """Hash of the entry before; empty for the first."""
    hash: str
    """sha256 over number, subject, record and previous."""


COLUMNS = ("seq", "subject", "record", "previous", "hash")


class Break(NamedTuple):
    """A place where the log does not hold."""

    entry: int
    """Number of the entry; 0 when none is to blame."""
    what: str


def add_entry(connection: Connection, kind: str, subject: str, facts: Mapping[str, Any]) -> None:
    """Adds an entry in the caller's transaction; a subject that has its entry keeps it, and nothing is added."""
    if find_entry(connection, subject) is not None:
        return
    last = connection.execute(select(chain_entry).order_by(chain_entry.c.seq.desc())).mappings().first()
    seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, "")
    record = canonical_json({"kind": kind, "at": now(), "facts": dict(facts)}).decode()
    row = {"seq": seq, "subject": subject, "record": record, "previous": previous}
    connection.execute(insert(chain_entry).values(**row, hash=_hash(seq, subject, record, previous)))
    failpoint("chain.entry")


def find_entry(connection: Connection, subject: str) -> Entry | None:
    """The entry about `subject`; None when there is none."""
    row = connection.execute(select(chain_entry).where(chain_entry.c.subject == subject)).mappings().first()
    return None if row is None else _entry(row)


def entries(db: Db) -> list[Entry]:
    """Every entry, oldest first, whether or not it holds."""
    with db.read() as connection:
        rows = connection.execute(select(chain_entry).order_by(chain_entry.c.seq)).mappings().all()
    return [_entry(row) for row in rows]


def start_chain(connection: Connection) -> None:
    """Begins the log where it has no entry: the first one seals the moves of the champion and the rounds before it."""
    if connection.execute(select(chain_entry.c.seq)).first() is not None:
        return
    names = [column.name for column in pointer_move.columns]
    rows = connection.execute(select(pointer_move).order_by(pointer_move.c.seq)).mappings()
    moves = [{name: row[name] for name in names} for row in rows]
    records = connection.execute(select(model_version.c.record)).scalars()
    rounds = max((int(json.loads(record).get("round", 0)) for record in records), default=0)
    facts = {"moves": len(moves), "moves_hash": moves_hash(moves), "rounds": rounds}
    add_entry(connection, START, START, facts)


def moves_hash(moves: Sequence[Mapping[str, Any]]) -> str:
    """What the first entry seals of the champion's moves before it, each a row of the table `pointer_move`."""
    return fingerprint([dict(move) for move in moves])


def broken_entries(chain: Sequence[Entry]) -> list[Break]:
    """Where the chain does not hold: entries that are missing, changed, or do not follow from the one before."""
    found: list[Break] = []
    before: Entry | None = None
    for entry in chain:
        expected = before.seq + 1 if before else 1
        new = [Break(seq, f"entry {seq} is missing") for seq in range(expected, entry.seq)]
        told = f"entry {entry.seq} ({entry.subject})"
        if entry.hash != _hash(entry.seq, entry.subject, entry.record, entry.previous):
            new.append(Break(entry.seq, f"{told} differs from what was sealed"))
        elif not new and entry.previous != (before.hash if before else "") and _is_whole(found, before):
            new.append(Break(entry.seq, f"{told} does not follow from the one before"))
        found += new
        before = entry
    if not chain:
        found.append(Break(1, "entry 1 is missing: the log is empty"))
    elif chain[0].seq == 1 and chain[0].kind not in (START, ""):
        found.append(Break(1, "entry 1 is not the start of a log"))
    return found


def _is_whole(found: Sequence[Break], entry: Entry | None) -> bool:
    """Whether nothing was found at an entry, so that the one after it has to follow from it."""
    return entry is None or all(one.entry != entry.seq for one in found)


def _hash(seq: int, subject: str, record: str, previous: str) -> str:
    return fingerprint([seq, subject, record, previous])


def _entry(row: RowMapping) -> Entry:
    told: dict[str, Any]
    try:
        record = json.loads(row["record"])
        told = {"kind": str(record["kind"]), "at": str(record["at"]), "facts": dict(record["facts"])}
    except (ValueError, KeyError, TypeError):
        told = {"kind": "", "at": "", "facts": {}}
    return Entry(**{name: row[name] for name in COLUMNS}, **told)
