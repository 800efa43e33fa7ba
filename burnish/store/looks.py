"""The gate's ledger: each look into a vault is written down before the vault is read, and is never taken back.

It is keyed by the vault's content hash, so renaming, restarting or splitting again does not give new attempts.
"""

from dataclasses import dataclass

from sqlalchemy import func, insert, select

from burnish.records import Decision
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import gate_answer, gate_look


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One challenger before one vault."""

    id: int
    vault_hash: str
    attempt: int
    """1 for the first challenger of this vault."""
    challenger_hash: str
    alpha: float
    decision: Decision | None
    """None: the process ended between look and answer. The attempt counts all the same."""
    at: str


def attempt_of(store: Store, vault_hash: str, challenger_hash: str) -> int:
    """The attempt that this challenger has before this vault: the one it was given already, or the next free one.

    A challenger that is judged again after a kill spends nothing more: the same rows give the same answer.
    """
    known = looks(store, vault_hash)
    given = [look.attempt for look in known if look.challenger_hash == challenger_hash]
    return given[0] if given else max((look.attempt for look in known), default=0) + 1


def append_look(store: Store, vault_hash: str, attempt: int, challenger_hash: str, alpha: float) -> int:
    """Writes the look down, durably, and returns its id; to be called before the vault is read.

    The same challenger under the same attempt and alpha gets the same id again, so a killed gate can be run again. An
    attempt that another challenger has is our mistake (AssertionError).
    """
    row = {"vault_hash": vault_hash, "attempt": attempt, "challenger_hash": challenger_hash, "alpha": alpha}
    with store.db.write() as connection:
        at_vault = (gate_look.c.vault_hash == vault_hash) & (
            (gate_look.c.attempt == attempt) | (gate_look.c.challenger_hash == challenger_hash)
        )
        known = connection.execute(select(gate_look).where(at_vault)).mappings().first()
        if known is not None:
            before = {name: known[name] for name in row}
            assert before == row, f"look {row} contradicts look {before}"
            return int(known["seq"])
        last = connection.execute(select(func.max(gate_look.c.attempt)).where(gate_look.c.vault_hash == vault_hash))
        expected = (last.scalar() or 0) + 1
        assert attempt == expected, f"attempt {attempt} at vault {vault_hash}, the next one is {expected}"
        look = connection.execute(insert(gate_look).values(**row, at=now()).returning(gate_look.c.seq)).scalar_one()
        failpoint("look.append")
    return int(look)


def finish_look(store: Store, look_id: int, decision: Decision) -> None:
    """Writes the gate's answer to a look. The same again is free; another answer is our mistake (AssertionError)."""
    with store.db.write() as connection:
        known = connection.execute(select(gate_answer.c.decision).where(gate_answer.c.look == look_id)).scalar()
        assert known in (None, decision), f"look {look_id} was answered {known}, now {decision}"
        if known is None:
            connection.execute(insert(gate_answer).values(look=look_id, decision=decision, at=now()))
            failpoint("look.finish")


def looks(store: Store, vault_hash: str | None = None) -> list[Look]:
    """Every look into one vault, or into all of them, oldest first."""
    query = select(gate_look, gate_answer.c.decision).outerjoin(gate_answer, gate_answer.c.look == gate_look.c.seq)
    if vault_hash is not None:
        query = query.where(gate_look.c.vault_hash == vault_hash)
    with store.db.read() as connection:
        rows = connection.execute(query.order_by(gate_look.c.seq)).mappings().all()
    return [Look(id=row["seq"], **{name: row[name] for name in Look.__slots__ if name != "id"}) for row in rows]
