"""What came of conversations under a canary, and what a shadow would have answered: numbers and hashes, append-only.

They are copied from what users said, which leaves the database when its time is over: evidence whose beginning goes is
none any more.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from burnish.fingerprint import fingerprint
from burnish.store.db import now
from burnish.store.deployments import Canary
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import canary_outcome, shadow_answer


class CanaryOutcome(NamedTuple):
    """What came of one conversation; no text, and nothing that leads back to who spoke."""

    conversation: str
    """Hash of the conversation's key, of this canary alone."""
    is_challenger: bool
    value: float
    """split: 0 (bad) to 1 (good); shadow: challenger minus champion on one request, -1 to 1."""
    feedback: int
    """Place in the feedback of users that it comes from."""


class ShadowAnswer(NamedTuple):
    """Two answers to one request, as hashes."""

    challenger: str
    champion: str


def add_outcomes(store: Store, canary: Canary, outcomes: Sequence[CanaryOutcome]) -> int:
    """Writes outcomes down; a conversation that has one keeps it. Returns how many are new."""
    with store.db.write() as connection:
        known = {one.conversation for one in _outcomes(connection, canary.number)}
        fresh: dict[str, CanaryOutcome] = {}
        for one in outcomes:
            if one.conversation not in known:
                fresh.setdefault(one.conversation, one)
        if fresh:
            rows = [{"canary": canary.number, **one._asdict(), "at": now()} for one in fresh.values()]
            connection.execute(insert(canary_outcome), rows)
            failpoint("canary.outcomes")
    return len(fresh)


def canary_outcomes(store: Store, canary: Canary) -> list[CanaryOutcome]:
    """Its outcomes in the order in which they were written."""
    with store.db.read() as connection:
        return _outcomes(connection, canary.number)


def add_shadow(store: Store, canary: Canary, response_id: str, answer: str, beside: str) -> None:
    """Keeps what a challenger would have answered beside the answer of that id: both as hashes, not as texts."""
    hashes = {"answer": answer_hash(answer), "beside": answer_hash(beside)}
    row = {"canary": canary.number, "response_id": response_id, **hashes, "at": now()}
    with store.db.write() as connection:
        if not _shadows(connection, canary.number, [response_id]):
            connection.execute(insert(shadow_answer).values(**row))
            failpoint("canary.shadow")


def shadow_answers(store: Store, canary: Canary, response_ids: Sequence[str]) -> dict[str, ShadowAnswer]:
    """What the challenger would have answered, by the id of the champion's answer."""
    with store.db.read() as connection:
        return _shadows(connection, canary.number, response_ids)


def answer_hash(text: str) -> str:
    """By which two answers are compared; case, and spaces around them and between words, do not count."""
    return fingerprint(["answer", " ".join(text.casefold().split())])


def conversation_hash(canary: Canary, key: str) -> str:
    """A conversation as outcomes name it."""
    return fingerprint([canary.number, key])


def _outcomes(connection: Connection, number: int) -> list[CanaryOutcome]:
    kept = canary_outcome.c
    wanted = select(kept.conversation, kept.is_challenger, kept.value, kept.feedback).where(kept.canary == number)
    rows = connection.execute(wanted.order_by(kept.seq))
    return [CanaryOutcome(row[0], bool(row[1]), row[2], row[3]) for row in rows]


def _shadows(connection: Connection, number: int, response_ids: Sequence[str]) -> dict[str, ShadowAnswer]:
    kept = shadow_answer.c
    wanted = select(kept.response_id, kept.answer, kept.beside)
    rows = connection.execute(wanted.where(kept.canary == number, kept.response_id.in_(response_ids)))
    return {row[0]: ShadowAnswer(row[1], row[2]) for row in rows}
