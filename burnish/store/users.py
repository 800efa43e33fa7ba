"""Users of the web app: names, roles, and what proves who somebody is. Append-only: a removal is another entry.

A token has 32 random bytes and is shown once. The browser keeps a session that follows from it, and the database a hash
of the session, so that whoever reads the one or the other cannot make the one before it.
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, cast, get_args

from sqlalchemy import Connection, insert, select

from burnish.errors import UsageError
from burnish.store.chain import add_entry
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import user_change

UserRole = Literal["reviewer", "engineer", "approver"]
ROLES: tuple[UserRole, ...] = get_args(UserRole)
TOKEN_BYTES = 32
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may use the web app."""

    seq: int
    """Number of the change that added this user."""
    name: str
    role: UserRole
    key: str
    """Hash of the session that this user's browser keeps."""
    at: str
    """Since when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """Somebody was added, or removed: then the role is empty."""

    seq: int
    name: str
    role: str
    key: str
    at: str


def user_changes(store: Store) -> list[UserChange]:
    """Every addition and removal, oldest first."""
    with store.db.read() as connection:
        return _changes(connection)


def users(store: Store) -> list[User]:
    """Those who may use the web app now, in the order in which they were added."""
    return _users(user_changes(store))


def add_user(store: Store, name: str, role: str) -> str:
    """Adds a user and returns the token, which is kept nowhere.

    Raises UsageError for a role that there is not, a name that is none, and one that somebody has in any spelling.
    """
    if role not in ROLES:
        raise UsageError(f"there is no role {role!r}", hint=f"it is one of {', '.join(ROLES)}")
    name = checked_name(name)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with store.db.write() as connection:
        twin = [user for user in _users(_changes(connection)) if user.name.casefold() == name.casefold()]
        if twin:
            raise UsageError(
                f"there is a user {twin[0].name} already, {twin[0].role}",
                hint="a new token or another role: remove that user first, then add it anew",
            )
        _append(connection, name, role, _key_of(session_of(token)))
    return token


def remove_user(store: Store, name: str) -> User:
    """Removes a user, whose sessions end with that; returns who it was. Raises UsageError where there is none."""
    with store.db.write() as connection:
        known = _users(_changes(connection))
        found = next((user for user in known if user.name == name), None)
        if found is None:
            there = ", ".join(user.name for user in known)
            raise UsageError(f"there is no user {name!r}", hint=f"there are: {there}" if known else "there are none")
        _append(connection, found.name, "", "")
    return found


def session_of(token: str) -> str:
    """What a browser keeps of a token: follows from it, and does not give it away."""
    return sha256(f"burnish session {token}".encode()).hexdigest()


def user_of(known: Iterable[User], session: str) -> User | None:
    """Whose session this is; takes as long for a wrong one, and for each user."""
    key = _key_of(session)
    matches = [user for user in known if hmac.compare_digest(user.key, key)]
    return matches[0] if matches else None


def checked_name(name: str) -> str:
    """A name as it is kept. Raises UsageError for an empty or long one and for what cannot be read on one line."""
    kept = " ".join(name.split())
    if not kept or len(kept) > LONGEST_NAME or not kept.isprintable():
        raise UsageError(f"{name!r} is no name", hint=f"a name has 1 to {LONGEST_NAME} characters on one line")
    return kept


def _append(connection: Connection, name: str, role: str, key: str) -> None:
    change = {"name": name, "role": role, "key": key, "at": now()}
    seq = connection.execute(insert(user_change).values(**change).returning(user_change.c.seq)).scalar_one()
    add_entry(connection, "user", f"user change {seq}", {"seq": seq, **change})
    failpoint("users.commit")


def _changes(connection: Connection) -> list[UserChange]:
    rows = connection.execute(select(user_change).order_by(user_change.c.seq)).mappings().all()
    return [UserChange(**{name: row[name] for name in UserChange.__slots__}) for row in rows]


def _users(changes: Iterable[UserChange]) -> list[User]:
    """Who is left after all changes."""
    known: dict[str, User] = {}
    for one in changes:
        known.pop(one.name, None)
        if one.role:
            known[one.name] = User(seq=one.seq, name=one.name, role=cast(UserRole, one.role), key=one.key, at=one.at)
    return list(known.values())


def _key_of(session: str) -> str:
    return sha256(f"burnish user {session}".encode()).hexdigest()
