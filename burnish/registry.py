"""Models that were made, each immutable, and which of them is champion: one pointer, moved in one transaction.

A version is written once and never changed; its adapter folder lies in a sealed artifact and is verified, every byte,
before it is registered, promoted or handed out.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, insert, select

from burnish.errors import BusyError, UsageError
from burnish.records import ModelVersion, as_json, from_json
from burnish.store.chain import add_entry, find_entry
from burnish.store.db import now, upsert
from burnish.store.failpoints import failpoint
from burnish.store.files import safe_name
from burnish.store.manifest import sealed_around
from burnish.store.store import Store
from burnish.store.tables import model_version, pointer, pointer_move

CHAMPION = "champion"
BASE = "base"
"""Name of the untuned base, which needs no entry; only an entry without an adapter may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One move of the champion pointer."""

    seq: int
    before: str
    """Champion until then; empty: there was none."""
    after: str
    kind: Literal["promote", "rollback"]
    reason: str
    by: str
    at: str


class Approval(NamedTuple):
    """What somebody approved, to be written into the log of decisions with the move that it allows."""

    subject: str
    """What is approved, once."""
    facts: Mapping[str, Any]
    """Who, why, and the evidence that was looked at."""
    over: str
    """Champion that the evidence is about; with another one the approval is void."""


def register(store: Store, version: ModelVersion) -> ModelVersion:
    """Adds a version and returns it, with `created_at` filled in; the identical version again changes nothing.

    Raises UsageError when the name is taken by another version, DamagedError when its adapter folder is not part of a
    whole, sealed artifact.
    """
    name = _free_name(version)
    folder_of(store, version)
    with store.db.write() as connection:
        known = _find(connection, name)
        if known is not None:
            if replace(known, created_at="") != replace(version, created_at=""):
                raise UsageError(
                    f"there is another model {name}, registered {known.created_at}",
                    hint="choose another name: a registered model is never changed",
                )
            return known
        entry = replace(version, created_at=version.created_at or now())
        record = json.dumps(as_json(entry), ensure_ascii=False, allow_nan=False)
        connection.execute(insert(model_version).values(name=name, record=record, at=now()))
        failpoint("register.commit")
    return entry


def models(store: Store) -> list[ModelVersion]:
    """Every version, oldest first."""
    with store.db.read() as connection:
        rows = connection.execute(select(model_version.c.record).order_by(model_version.c.seq)).scalars().all()
    return [from_json(ModelVersion, json.loads(record)) for record in rows]


def get(store: Store, name: str) -> ModelVersion:
    """The version of that name; "champion" stands for the one in use. Raises UsageError that lists near names."""
    found = champion(store) if name == CHAMPION else None
    with store.db.read() as connection:
        found = found or _find(connection, name)
    if found is not None:
        return found
    names = [version.name for version in models(store)]
    if name == CHAMPION:
        raise UsageError("there is no champion yet", hint="`burnish round` makes and judges a first challenger")
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[-3:]
    hint = f"did you mean {' or '.join(near)}? `burnish models` lists all" if near else "`burnish round` makes models"
    raise UsageError(f"there is no model {name!r}", hint=hint)


def champion(store: Store) -> ModelVersion | None:
    """The version in use, None before the first promotion."""
    with store.db.read() as connection:
        return _champion(connection)


def folder_of(store: Store, version: ModelVersion) -> Path | None:
    """The version's adapter folder, every byte verified; None for the untuned base, which has no adapter.

    Raises DamagedError when anything differs from what was sealed.
    """
    if not version.artifact:
        return None
    folder = store.path_of(version.artifact)
    sealed_around(folder, store.root)
    return folder


def promote(
    store: Store, name: str, reason: str, by: str, *, approval: Approval | None = None, over: str | None = None
) -> ModelVersion:
    """Makes a version the champion, pointer, history and log in one transaction, and returns it.

    Promoting the champion again changes nothing. With `over`, only that champion is replaced. Raises UsageError without
    a reason or for an unknown name, BusyError when the approval was given by another process or there is another
    champion than it or `over` is about, DamagedError when the version's adapter does not verify.
    """
    version = get(store, name)
    folder_of(store, version)
    with store.db.write() as connection:
        if over is not None:
            _demand_over(connection, version.name, over)
        if approval is not None:
            _approve(connection, version.name, approval)
        _move(connection, version.name, "promote", reason, by)
    return version


def rollback(store: Store, reason: str, by: str = "user", *, passing: int = 0) -> ModelVersion:
    """Makes the previous champion champion again and returns it; `passing` leaves so many out that are not to be used.
    A second rollback goes one further back.

    Raises UsageError without a reason, or when there is no previous champion.
    """
    line = line_of_champions(store)
    if len(line) < 2 + passing:
        hint = "`burnish models` shows what there is to promote"
        raise UsageError("there is no earlier champion to go back to", hint=hint)
    version = get(store, line[-2 - passing])
    folder_of(store, version)
    with store.db.write() as connection:
        if _line_of_champions(connection) != line:
            raise BusyError("another process has just moved the champion", hint="see `burnish models`, then try again")
        _move(connection, version.name, "rollback", reason, by)
    return version


def history(store: Store) -> list[Move]:
    """Every move of the champion pointer, oldest first."""
    with store.db.read() as connection:
        rows = connection.execute(select(pointer_move).order_by(pointer_move.c.seq)).mappings().all()
    return [Move(**{name: row[name] for name in Move.__slots__}) for row in rows]


def line_of_champions(store: Store) -> list[str]:
    """The champions that lead to today's, oldest first: what rollbacks go back along."""
    with store.db.read() as connection:
        return _line_of_champions(connection)


def _free_name(version: ModelVersion) -> str:
    name = safe_name(version.name)
    if name == CHAMPION or (name == BASE and version.artifact):
        raise UsageError(f"{name} is a name with a meaning of its own", hint="choose another name, such as round-1")
    return name


def _find(connection: Connection, name: str) -> ModelVersion | None:
    record = connection.execute(select(model_version.c.record).where(model_version.c.name == name)).scalar()
    return None if record is None else from_json(ModelVersion, json.loads(record))


def _champion(connection: Connection) -> ModelVersion | None:
    name = connection.execute(select(pointer.c.model).where(pointer.c.name == CHAMPION)).scalar()
    return None if name is None else _find(connection, name)


def _demand_over(connection: Connection, name: str, over: str) -> None:
    found = connection.execute(select(pointer.c.model).where(pointer.c.name == CHAMPION)).scalar() or ""
    if found not in (over, name):
        raise BusyError(f"the champion has just become {found or 'none'}", hint="see `burnish models`, then try again")


def _approve(connection: Connection, name: str, approval: Approval) -> None:
    """Writes an approval down, once, while the champion is still the one that it is about."""
    now_in_use = connection.execute(select(pointer.c.model).where(pointer.c.name == CHAMPION)).scalar() or ""
    if find_entry(connection, approval.subject) is not None or now_in_use not in (approval.over, name):
        raise BusyError("another process has just decided, or moved the champion", hint="see `burnish models`")
    add_entry(connection, "approval", approval.subject, approval.facts)


def _move(connection: Connection, name: str, kind: str, reason: str, by: str) -> None:
    """Moves the pointer, and writes the move into the history and the log; all, or nothing."""
    if not reason.strip():
        raise UsageError(f"a {kind} needs a reason", hint='say why: --reason "..."')
    before = connection.execute(select(pointer.c.model).where(pointer.c.name == CHAMPION)).scalar() or ""
    if before == name:
        return
    move = {"before": before, "after": name, "kind": kind, "reason": reason.strip(), "by": by, "at": now()}
    seq = connection.execute(
        insert(pointer_move).values(pointer=CHAMPION, **move).returning(pointer_move.c.seq)
    ).scalar_one()
    add_entry(connection, kind, f"move {seq}", {"seq": seq, **move})
    failpoint("promote.history")
    upsert(connection, pointer, "name", {"name": CHAMPION, "model": name}, {"model": name})
    failpoint("promote.pointer")


def _line_of_champions(connection: Connection) -> list[str]:
    """The champions that lead to today's: a promotion adds one, a rollback takes away what it went back over."""
    line: list[str] = []
    for move in connection.execute(select(pointer_move).order_by(pointer_move.c.seq)):
        if move.kind == "rollback":
            line.pop()
            while line and line[-1] != move.after:
                line.pop()
        else:
            line.append(move.after)
    return line
