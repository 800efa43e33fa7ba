"""What a project spends. Cost is reserved before it happens and settled after; the ledger is append-only.

A process that dies between the two leaves its reservation, which counts in full at its estimate: the ledger may say too
much, never too little. Machine time costs money by the project's price per hour.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select

from burnish.config import BudgetSettings
from burnish.energy import energy_counters, joules_between
from burnish.errors import BudgetError
from burnish.records import Cost
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import spend
from burnish.talk import Silence, Talk

ROUNDING = 1e-9
"""Share of a limit by which sums of floats may pass it."""

NOTHING = Cost()

TEACHER = "teacher"
"""How the ledger calls what is paid to teachers: it ends the stage's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What may still be spent; None: no limit."""

    usd: float | None
    seconds: float | None


class Meter:
    """Counts what a stage uses while it runs, beside time and energy."""

    def __init__(self) -> None:
        self.added = NOTHING
        self.cost: Cost | None = None
        """What was settled, once the measured block has ended."""

    def add(self, *, usd: float = 0.0, tokens: int = 0, reviewer_minutes: float = 0.0) -> None:
        """Adds tokens processed, money paid to others, or minutes of a reviewer."""
        self.added = _sum([self.added, Cost(usd=usd, tokens=tokens, reviewer_minutes=reviewer_minutes)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The ledger of one project with its limits. `open_budget` makes it for a command that spends."""

    store: Store
    settings: BudgetSettings

    def reserve(self, stage: str, estimate: Cost) -> int:
        """Sets the estimate aside, durably, and returns the reservation's id.

        Raises BudgetError, nothing spent, when what is spent and reserved so far and this would pass a limit. Two
        processes cannot both take what is left: check and entry are one transaction.
        """
        priced = self.priced(estimate)
        with self.store.db.write() as connection:
            self._refuse_if_over(stage, priced, _total(connection))
            self._refuse_tokens(stage, priced, connection)
            reservation = _insert(connection, stage, priced, settles=None, note="reserved")
            failpoint("budget.reserve")
        return reservation

    def settle(self, reservation: int, actual: Cost) -> Cost:
        """Replaces a reservation by what was really used, and returns that with machine time priced.

        It may be more than the estimate: money that is gone is written down, and the next `reserve` is refused. A
        reservation is settled once; a second time is our mistake (AssertionError).
        """
        priced = self.priced(actual)
        with self.store.db.write() as connection:
            stage = connection.execute(select(spend.c.stage).where(spend.c.seq == reservation)).scalar()
            assert stage is not None, f"there is no reservation {reservation}"
            known = connection.execute(select(spend.c.seq).where(spend.c.settles == reservation)).scalar()
            assert known is None, f"reservation {reservation} was settled before, by entry {known}"
            _insert(connection, stage, priced, settles=reservation, note="used")
            failpoint("budget.settle")
        return priced

    def note(self, stage: str, actual: Cost) -> None:
        """Writes down what was used already, in one transaction; no limit refuses it."""
        with self.store.db.write() as connection:
            reservation = _insert(connection, stage, self.priced(actual), settles=None, note="reserved")
            _insert(connection, stage, self.priced(actual), settles=reservation, note="used before it was told")

    def spent(self) -> Cost:
        """Everything used so far, and what is reserved for stages that still run."""
        with self.store.db.read() as connection:
            return _total(connection)

    def by_stage(self) -> dict[str, Cost]:
        """What `spent` adds up, by stage, in the order in which stages first spent."""
        with self.store.db.read() as connection:
            entries = _entries(connection)
        stages = dict.fromkeys(stage for stage, _ in entries)
        return {stage: _sum([cost for name, cost in entries if name == stage]) for stage in stages}

    def left(self) -> Left:
        """What `reserve` would still grant, never below zero."""
        spent = self.spent()
        usd, seconds = self.settings.usd, self.settings.seconds
        return Left(
            usd=None if usd is None else max(0.0, usd - spent.usd),
            seconds=None if seconds is None else max(0.0, seconds - spent.seconds),
        )

    def priced(self, cost: Cost) -> Cost:
        """The cost with its machine time added to the money: seconds / 3600 x usd_per_hour."""
        return replace(cost, usd=cost.usd + cost.seconds / 3600 * self.settings.usd_per_hour)

    @contextmanager
    def measured(self, stage: str, estimate: Cost = NOTHING) -> Iterator[Meter]:
        """Reserves, runs the block, and settles seconds (monotonic clock), joules (None where unreadable) and
        what the block told the meter. A block that fails is settled too: what it used is used.

        Raises BudgetError before the block when the estimate does not fit.
        """
        reservation = self.reserve(stage, estimate)
        meter, energy, start = Meter(), energy_counters(), time.monotonic()
        try:
            yield meter
        finally:
            seconds = time.monotonic() - start
            used = replace(meter.added, seconds=seconds, joules=joules_between(energy, energy_counters()))
            meter.cost = self.settle(reservation, used)

    def _refuse_if_over(self, stage: str, wanted: Cost, spent: Cost) -> None:
        limits = (
            ("budget.usd", self.settings.usd, spent.usd, wanted.usd, "USD"),
            ("budget.seconds", self.settings.seconds, spent.seconds, wanted.seconds, "s"),
        )
        for name, limit, before, more, unit in limits:
            if limit is not None and before + more > limit * (1 + ROUNDING):
                raise BudgetError(
                    f"{stage} would cost about {more:.2f} {unit}; {max(0.0, limit - before):.2f} of {limit:.2f} {unit} "
                    "are left. Nothing was spent on it",
                    hint=f"raise {name} in burnish.yaml to at least {before + more:.2f}, or make the work smaller",
                )

    def _refuse_tokens(self, stage: str, wanted: Cost, connection: Connection) -> None:
        limit = self.settings.teacher_tokens
        if limit is None or not stage.endswith(TEACHER):
            return
        before = _total(connection, stages=f"%{TEACHER}").tokens
        if before + wanted.tokens > limit:
            raise BudgetError(
                f"{stage} may need {wanted.tokens:,} tokens for a question; {max(0, limit - before):,} of {limit:,} "
                "are left. Nothing was spent on it",
                hint=f"raise budget.teacher_tokens in burnish.yaml to at least {before + wanted.tokens}",
            )


def open_budget(store: Store, settings: BudgetSettings, talk: Talk | None = None) -> Budget:
    """The budget for a command that spends; to be called before its first reservation.

    Reservations that a killed process left are settled as spent at their estimate, because nobody can know what was
    used of them; `talk` is told. Raises BusyError when another process works on the project: its reservations live.
    """
    with store.lock(talk), store.db.write() as connection:
        orphans = _orphans(connection)
        for row in orphans:
            _insert(connection, row.stage, _cost(row), settles=row.seq, note="its process ended before it could tell")
        failpoint("budget.open")
    for row in orphans:
        text = f"{row.seconds:.0f} s and {row.usd:.2f} USD"
        (talk or Silence()).warn(
            f"{row.stage} was stopped before it told its cost: {text}, its estimate, count as spent"
        )
    return Budget(store=store, settings=settings)


def _insert(connection: Connection, stage: str, cost: Cost, *, settles: int | None, note: str) -> int:
    row = insert(spend).values(
        stage=stage,
        settles=settles,
        usd=cost.usd,
        seconds=cost.seconds,
        tokens=cost.tokens,
        joules=cost.joules,
        reviewer_minutes=cost.reviewer_minutes,
        note=note,
        at=now(),
    )
    return int(connection.execute(row.returning(spend.c.seq)).scalar_one())


def _entries(connection: Connection) -> list[tuple[str, Cost]]:
    """Stage and cost of everything that counts: what was used, and reservations that are not settled."""
    rows = connection.execute(select(spend).order_by(spend.c.seq)).all()
    settled = {row.settles for row in rows}
    return [(row.stage, _cost(row)) for row in rows if row.settles is not None or row.seq not in settled]


def _orphans(connection: Connection) -> list[Row[Any]]:
    """Reservations that nobody settled."""
    rows = connection.execute(select(spend).order_by(spend.c.seq)).all()
    settled = {row.settles for row in rows}
    return [row for row in rows if row.settles is None and row.seq not in settled]


def _total(connection: Connection, *, stages: str = "%") -> Cost:
    """What counts of the stages whose names are LIKE this, summed by the database: teachers make many entries."""
    settled = select(spend.c.settles).where(spend.c.settles.is_not(None))
    counts = or_(spend.c.settles.is_not(None), spend.c.seq.not_in(settled))
    names = ("usd", "seconds", "tokens", "joules", "reviewer_minutes")
    sums = [func.sum(spend.c[name]).label(name) for name in names]
    row = connection.execute(select(*sums).where(counts, spend.c.stage.like(stages))).one()
    return Cost(
        usd=row.usd or 0.0,
        seconds=row.seconds or 0.0,
        tokens=row.tokens or 0,
        joules=row.joules,
        reviewer_minutes=row.reviewer_minutes or 0.0,
    )


def _cost(row: Row[Any]) -> Cost:
    return Cost(
        usd=row.usd,
        seconds=row.seconds,
        tokens=row.tokens,
        joules=row.joules,
        reviewer_minutes=row.reviewer_minutes,
    )


def _sum(costs: Sequence[Cost]) -> Cost:
    """The costs together; joules over those that could tell, None when none could."""
    joules = [cost.joules for cost in costs if cost.joules is not None]
    return Cost(
        usd=math.fsum(cost.usd for cost in costs),
        seconds=math.fsum(cost.seconds for cost in costs),
        tokens=sum(cost.tokens for cost in costs),
        joules=math.fsum(joules) if joules else None,
        reviewer_minutes=math.fsum(cost.reviewer_minutes for cost in costs),
    )
