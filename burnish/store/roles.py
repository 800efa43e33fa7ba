"""Which role each example has. History is append-only: the last change of an example counts.

Rows of a hidden role are shown to nobody, so a row that gets one takes every question about it out of the review.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import insert, select

from burnish.records import Role
from burnish.store.db import now
from burnish.store.reviews import withdraw_examples
from burnish.store.store import Store
from burnish.store.tables import role_change

HIDDEN_ROLES = ("dev_b", "audit", "aside")
"""Beside the vaults."""
NOT_SHOWN = "its row measures now, and nobody sees it"
IN_ORDER = select(role_change.c.example, role_change.c.role).order_by(role_change.c.seq)


class RoleChange(NamedTuple):
    """One line of the history."""

    seq: int
    example: str
    role: Role
    reason: str
    at: str


def is_hidden(role: Role) -> bool:
    """Whether nobody is shown the rows of a role: those that choose and judge, and those put aside."""
    return role.startswith("vault_") or role in HIDDEN_ROLES


def append_roles(store: Store, mapping: Mapping[str, Role], reason: str) -> int:
    """Gives examples (by id) their roles, in one transaction; returns how many changed. The same again is free.

    What people were asked about a row that is hidden from now on is withdrawn with it.
    """
    with store.db.write() as connection:
        known = {row.example: row.role for row in connection.execute(IN_ORDER)}
        at = now()
        rows = [
            {"example": example, "role": role, "reason": reason, "at": at}
            for example, role in mapping.items()
            if known.get(example) != role
        ]
        if rows:
            connection.execute(insert(role_change), rows)
        hidden = {row["example"] for row in rows if is_hidden(row["role"])}
        if hidden:
            withdraw_examples(connection, hidden, NOT_SHOWN)
    return len(rows)


def current_roles(store: Store) -> dict[str, Role]:
    """Role by example id, in the order in which examples first got one."""
    with store.db.read() as connection:
        return {row.example: row.role for row in connection.execute(IN_ORDER)}


def role_history(store: Store) -> list[RoleChange]:
    """Every change, oldest first."""
    with store.db.read() as connection:
        rows = connection.execute(select(role_change).order_by(role_change.c.seq))
        return [RoleChange(row.seq, row.example, row.role, row.reason, row.at) for row in rows]
