"""Canaries: which challenger gets a share of real traffic, and on what evidence that share moved; append-only.

A canary moves by turns. Whoever moves it names the turn after which; of two that try at once, one does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from sqlalchemy import Connection, RowMapping, func, insert, select

from burnish.errors import BusyError, UsageError
from burnish.fingerprint import fingerprint
from burnish.records import as_json, from_json
from burnish.store.chain import add_entry
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import deployment, pointer, traffic_feedback

Mode = Literal["split", "shadow"]
End = Literal["", "promoted", "rolled back", "stopped", "proven"]
MOST_EVIDENCE = 1e300
"""Evidence is written down as at most this, so that it stays a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a canary was started with; it stays so to its end."""

    mode: Mode
    """split: the challenger answers a share of the conversations; shadow: it answers beside the champion, unseen."""
    shares: tuple[float, ...]
    """Of each stage, rising, below 1; after the last the challenger becomes champion. Shadow: the sampled share."""
    alpha: float
    """Most probability with which a challenger that is not worse is ever rolled back, and one that is not better ever
    goes up."""
    least: int
    """Differences that each stage needs before the next."""


class Evidence(NamedTuple):
    """What a move rests on."""

    pairs: int = 0
    """Differences between challenger and champion."""
    harm: float = 1.0
    """E-value against "not worse"."""
    benefit: float = 1.0
    """E-value against "not better"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryMove:
    """One move."""

    seq: int
    canary: int
    turn: int
    """From 0, the start."""
    kind: Literal["started", "ramped", "ended"]
    challenger: str
    against: str
    """The champion."""
    plan: str
    """As JSON, in every move the same."""
    stage: int
    """From 0."""
    outcome: End
    """Of an end: promoted; rolled back: harm was proven, or the challenger must not answer any more; stopped: by a
    person, or because another champion came; proven: a shadow was better. Else empty."""
    reason: str
    by: str
    feedback: int
    """Place in the feedback of users at the start; what was said later counts."""
    pairs: int
    harm: float
    benefit: float
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A canary as its moves left it."""

    number: int
    challenger: str
    against: str
    plan: Plan
    stage: int
    starts: tuple[int, ...]
    """Differences there were when each stage began."""
    feedback: int
    """Place in the feedback after which outcomes count."""
    moves: tuple[CanaryMove, ...]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.moves[-1].kind != "ended"

    @property
    def share(self) -> float:
        """Of the conversations that the challenger answers, or of the requests that it answers unseen."""
        return self.plan.shares[self.stage] if self.is_running else 0.0


def start_canary(store: Store, *, challenger: str, against: str, plan: Plan, by: str, reason: str) -> Canary:
    """Begins a canary, and returns it. Raises UsageError while one runs, BusyError when the champion has moved."""
    with store.db.write() as connection:
        if (one := _running(connection)) is not None:
            raise UsageError(
                f"a canary of {one.challenger} runs already",
                hint='end it first: burnish deploy stop --by NAME --reason "..."',
            )
        _demand_champion(connection, against)
        number = int(connection.execute(select(func.max(deployment.c.canary))).scalar() or 0) + 1
        said = int(connection.execute(select(func.max(traffic_feedback.c.seq))).scalar() or 0)
        told = json.dumps(as_json(plan))
        names = {"challenger": challenger, "against": against, "plan": told, "stage": 0, "outcome": ""}
        row = {"canary": number, "turn": 0, "kind": "started", **names, "feedback": said}
        _append(connection, {**row, "reason": reason, "by": by, **Evidence()._asdict()})
        return _canary(_moves(connection, number))


def ramp_canary(store: Store, canary: Canary, evidence: Evidence, *, reason: str, by: str) -> Canary:
    """Goes on to the next stage. Raises BusyError when another process has moved the canary, or the champion."""
    with store.db.write() as connection:
        _demand_champion(connection, canary.against)
        return _move(connection, canary, "ramped", "", evidence, reason, by)


def end_canary(store: Store, canary: Canary, outcome: End, evidence: Evidence, *, reason: str, by: str) -> Canary:
    """Ends the canary: from the next request on the champion answers alone.

    Raises BusyError when another process has moved the canary; another champion is no hindrance.
    """
    with store.db.write() as connection:
        return _move(connection, canary, "ended", outcome, evidence, reason, by)


def running_canary(store: Store) -> Canary | None:
    """The canary that runs now."""
    with store.db.read() as connection:
        return _running(connection)


def canaries(store: Store) -> list[Canary]:
    """Every canary, oldest first."""
    moves = canary_moves(store)
    return [_canary([move for move in moves if move.canary == n]) for n in sorted({move.canary for move in moves})]


def canary_moves(store: Store) -> list[CanaryMove]:
    """Every move of every canary, oldest first."""
    with store.db.read() as connection:
        rows = connection.execute(select(deployment).order_by(deployment.c.seq)).mappings().all()
    return [_of(row) for row in rows]


def place_of(canary: Canary, key: str) -> float:
    """Where in [0, 1) a conversation stands, evenly spread; other canaries spread anew.

    The challenger answers those below the share, so that a share that grows takes nobody back.
    """
    return int(fingerprint(["place", canary.number, key])[:13], 16) / 16**13


def _running(connection: Connection) -> Canary | None:
    latest = select(func.max(deployment.c.canary)).scalar_subquery()
    rows = connection.execute(select(deployment).where(deployment.c.canary == latest).order_by(deployment.c.turn))
    moves = [_of(row) for row in rows.mappings()]
    return _canary(moves) if moves and moves[-1].kind != "ended" else None


def _moves(connection: Connection, number: int) -> list[CanaryMove]:
    rows = connection.execute(select(deployment).where(deployment.c.canary == number).order_by(deployment.c.turn))
    return [_of(row) for row in rows.mappings()]


def _move(
    connection: Connection,
    canary: Canary,
    kind: Literal["ramped", "ended"],
    outcome: End,
    evidence: Evidence,
    reason: str,
    by: str,
) -> Canary:
    if not reason.strip():
        raise UsageError("a move of a canary needs a reason", hint='say why: --reason "..."')
    last = canary.moves[-1]
    if _moves(connection, canary.number)[-1].turn != last.turn or last.kind == "ended":
        raise BusyError("another process has just moved the canary", hint="see `burnish deploy status`")
    moved = replace(
        last,
        turn=last.turn + 1,
        kind=kind,
        stage=last.stage + (kind == "ramped"),
        outcome=outcome,
        reason=reason,
        by=by,
    )
    row = {name: value for name, value in as_json(moved).items() if name not in ("seq", "at")}
    known = {"pairs": evidence.pairs, "harm": evidence.harm, "benefit": evidence.benefit}
    _append(connection, {**row, **known})
    return _canary(_moves(connection, canary.number))


def _append(connection: Connection, row: dict[str, object]) -> None:
    """Writes a move, and its entry in the log of decisions."""
    limited = {name: min(float(str(row[name])), MOST_EVIDENCE) for name in ("harm", "benefit")}
    row = {**row, **limited, "reason": str(row["reason"]).strip(), "at": now()}
    seq = connection.execute(insert(deployment).values(**row).returning(deployment.c.seq)).scalar_one()
    add_entry(connection, "canary", f"canary move {seq}", {"seq": seq, **row})
    failpoint("canary.move")


def _demand_champion(connection: Connection, against: str) -> None:
    found = connection.execute(select(pointer.c.model).where(pointer.c.name == "champion")).scalar()
    if found != against:
        raise BusyError(f"the champion has just become {found}", hint="see `burnish models`, then try again")


def _canary(moves: Sequence[CanaryMove]) -> Canary:
    first, last = moves[0], moves[-1]
    return Canary(
        number=first.canary,
        challenger=first.challenger,
        against=first.against,
        plan=from_json(Plan, json.loads(first.plan)),
        stage=last.stage,
        starts=tuple(move.pairs for move in moves if move.kind != "ended"),
        feedback=first.feedback,
        moves=tuple(moves),
    )


def _of(row: RowMapping) -> CanaryMove:
    return CanaryMove(**{name: row[name] for name in CanaryMove.__slots__})
