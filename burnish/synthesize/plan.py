"""How many synthetic rows of which kind a round shall make: weak places first, small steps, people's rows kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.data.provenance import HUMAN, PROVENANCE, SYNTHETIC, provenance
from burnish.errors import DataError
from burnish.records import Cell, Example, Task, Weakness
from burnish.synthesize.cells import (
    ANSWER,
    NOISE,
    edge_wishes,
    prevalent_wishes,
    scarce_wishes,
    weak_wishes,
)
from burnish.synthesize.room import cells_within, room_for, split_exactly

FEWEST_HUMAN = 125
"""Rows of people that help far more than synthetic ones (Ashok and May 2024, arXiv 2410.13098)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLimits:
    """Shares and ceilings of a plan."""

    weakness_share: float = 0.6
    """Half of it by the priority of weaknesses, half to where rows are few or reality is badly covered."""
    prevalence_share: float = 0.3
    """As frequent as in people's rows; the rest, 0.1, is for edges: roughened texts and answers out of scope."""
    growth: float = 1.0
    """Most new rows, as a multiple of the rows there are: small steps beat one large one (Lee et al. 2024, LLM2LLM,
    arXiv 2403.15042)."""
    least_human_share: float = 0.1
    """Of all items after the round, each counted once: the last tenth of people's rows is what cannot be replaced
    (arXiv 2410.13098)."""
    most_per_human: float = 10.0
    """Most synthetic rows for each of people's, in every answer and every slice that a cell names."""
    most_rows: int | None = None
    """None: no such limit."""
    usd: float | None = None
    """Money for this plan; None: no limit."""
    seconds: float | None = None
    """Machine time for this plan; None: no limit."""
    usd_per_row: float = 0.0
    """Estimate for one kept row, what is dropped on the way included."""
    seconds_per_row: float = 0.0
    """Estimate for one kept row, what is dropped on the way included."""
    out_of_scope: tuple[str, ...] = ()
    """Labels that mean "none of these"; they get half of the edges where people's rows have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """What shall be made, and what it was limited by."""

    cells: tuple[Cell, ...]
    num_human: int
    num_synthetic: int
    """Synthetic rows that are there already."""
    limited_by: str
    """growth, human share, rows, money or time."""
    usd: float
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def num_rows(self) -> int:
        """Rows of all cells."""
        return sum(cell.count for cell in self.cells)

    @property
    def human_share(self) -> float:
        """Of all items after the round, each counted once."""
        return self.num_human / max(1, self.num_human + self.num_synthetic + self.num_rows)

    def as_text(self) -> str:
        """The plan as a table for people."""
        rows = [("purpose", "rows", "what", "why")]
        rows += [(cell.purpose, f"{cell.count:,}", _shown(cell), cell.why) for cell in self.cells]
        wide = [max(len(row[at]) for row in rows) for at in range(3)]
        lines = [f"{a:<{wide[0]}}  {b:>{wide[1]}}  {c:<{wide[2]}}  {d}".rstrip() for a, b, c, d in rows]
        after = self.num_human + self.num_synthetic + self.num_rows
        lines.append(f"{self.num_rows:,} rows in all (limited by {self.limited_by}), {self._cost()}")
        lines.append(f"people's rows after it: {self.num_human:,} of {after:,} items ({self.human_share:.0%})")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _cost(self) -> str:
        return f"about ${self.usd:,.2f} and {self.seconds:,.0f} s"


def plan_cells(
    weaknesses: Sequence[Weakness],
    train: Sequence[Example],
    task: Task,
    limits: PlanLimits | None = None,
    *,
    columns: Sequence[str] = (),
    coverage: Mapping[str, float] | None = None,
) -> CellPlan:
    """The cells of a round: weaknesses by priority, few or badly covered slices, prevalence, edges.

    `columns` are the slice columns reported by. `coverage` gives, by "column=value" ("answer=LABEL"), the share of real
    rows that training rows already cover; slices that it does not name, and all without it, count by how far their rows
    are below the median. What one purpose cannot place, because a slice is at its limit, goes to the next. Raises
    DataError without a row that people wrote.
    """
    limits = limits or PlanLimits()
    human = [row for row in train if provenance(row) == HUMAN]
    made = [row for row in train if provenance(row) == SYNTHETIC]
    if not human:
        raise DataError("no row for training was written by people", hint="seeds are needed: burnish data add FILE")
    total, limited_by = _most_rows(limits, len(human), len(made))
    wishes = (
        weak_wishes(weaknesses, human, task),
        scarce_wishes(human, made, task, columns, coverage),
        prevalent_wishes(human, task, columns),
        edge_wishes(human, task, limits.out_of_scope),
    )
    half = limits.weakness_share / 2
    edge = max(0.0, 1.0 - limits.weakness_share - limits.prevalence_share)
    shares = split_exactly(total, [half, half, limits.prevalence_share, edge])
    cells = cells_within(wishes, shares, room_for(wishes, human, made, limits.most_per_human))
    placed = sum(cell.count for cell in cells)
    return CellPlan(
        cells=cells,
        num_human=len(human),
        num_synthetic=len(made),
        limited_by=limited_by,
        usd=placed * limits.usd_per_row,
        seconds=placed * limits.seconds_per_row,
        notes=_notes(len(human), total - placed, limits),
    )


def rows_over_limit(train: Sequence[Example], rows: Sequence[Example], limits: PlanLimits) -> frozenset[str]:
    """Ids of synthetic rows, the last ones first, that would bring an answer or a slice over its limit.

    Cells promise only what they name; this looks at the rows as they came, over every column of theirs.
    """
    human = Counter(key for row in train if provenance(row) == HUMAN for key in _keys(row))
    made = Counter(key for row in train if provenance(row) == SYNTHETIC for key in _keys(row))
    over = set()
    for row in rows:
        keys = [key for key in _keys(row) if human[key]]
        if all(made[key] + 1 <= limits.most_per_human * human[key] for key in keys):
            made.update(keys)
        else:
            over.add(row.id)
    return frozenset(over)


# Limits ---------------------------------------------------------------------------------------------------------------


def _most_rows(limits: PlanLimits, num_human: int, num_made: int) -> tuple[int, str]:
    """The smallest of all ceilings and its name."""
    most = {
        "growth": int(limits.growth * (num_human + num_made) + 1e-9),
        "human share": int(num_human * (1.0 / limits.least_human_share - 1.0) + 1e-9) - num_made,
    }
    if limits.most_rows is not None:
        most["rows"] = limits.most_rows
    if limits.usd is not None and limits.usd_per_row > 0:
        most["money"] = int(limits.usd / limits.usd_per_row + 1e-9)
    if limits.seconds is not None and limits.seconds_per_row > 0:
        most["time"] = int(limits.seconds / limits.seconds_per_row + 1e-9)
    name = min(most, key=lambda one: most[one])
    return max(0, most[name]), name


def _keys(row: Example) -> list[tuple[str, str]]:
    """Slices of a row that a limit counts; an answer that no row of people has counts for nothing."""
    own = [(column, value) for column, value in row.slices.items() if column not in (PROVENANCE, NOISE)]
    return [*own, (ANSWER, row.answer)]


def _notes(num_human: int, unplaced: int, limits: PlanLimits) -> tuple[str, ...]:
    notes = []
    if num_human < FEWEST_HUMAN:
        notes.append(
            f"only {num_human:,} rows were written by people; up to {FEWEST_HUMAN} more of them help most. Weighting "
            "them higher (train.human_weight) does not add items"
        )
    if unplaced:
        notes.append(f"{unplaced:,} rows find no place: slices are at {limits.most_per_human:g} for each human row")
    return tuple(notes)


def _shown(cell: Cell) -> str:
    parts = [f"answer={cell.answer}"] if cell.answer else []
    parts += [f"{column}={value}" for column, value in sorted(cell.columns.items())]
    parts += [f"about {', '.join(cell.terms[:4])}"] if cell.terms else []
    return ", ".join(parts) or "as it comes"
