"""From a plan to rows: each cell is shared out over the moves that suit the task and what there is.

What one move cannot give, the next one is asked for; a cell without a seed is left and said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from burnish.config import Settings
from burnish.data.provenance import HUMAN, provenance
from burnish.records import Cell, Example, Task
from burnish.synthesize.cells import NOISE, in_cell
from burnish.synthesize.made import Made
from burnish.synthesize.moves import fill_cell
from burnish.synthesize.plan import split_exactly

OVERSAMPLED = 1.5
"""Rows made for each one that is wanted: filters and verifiers drop some."""
RULES: Mapping[str, tuple[str, ...]] = {
    "label": ("augment", "compose"),
    "fields": ("counterfactual", "noise"),
    "text": ("noise",),
}
"""Moves by rule for each kind of task."""

Maker = Callable[[Sequence[Cell], Sequence[Example], int], Sequence[Sequence[Made]]]
"""Rows for each of some cells from the seeds, at most as many as each asks for; the number decides what is drawn."""


@dataclass(slots=True, kw_only=True)
class Making:
    """Rows as they were made, and which cell each was made for."""

    made: list[Made] = field(default_factory=list)
    cell_of: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, rows: Sequence[Made], cell: int) -> int:
        """Adds rows that are not there yet; returns how many."""
        fresh = [one for one in rows if one.example.id not in self.cell_of]
        self.made += fresh
        self.cell_of |= {one.example.id: cell for one in fresh}
        return len(fresh)


def moves_of(settings: Settings, task: Task, *, models: Sequence[str]) -> tuple[str, ...]:
    """The moves of a project: those it asks for, or the rules for its task and the models that there are."""
    return settings.synthesize.moves or (*models, *RULES[task.kind])


def asked_of(cell: Cell) -> int:
    """Rows that are made for a cell, some of which fall."""
    return round(OVERSAMPLED * cell.count + 0.5)


def make_rows(
    cells: Sequence[Cell],
    seeds: Sequence[Example],
    moves: Sequence[str],
    makers: Mapping[str, Maker],
    *,
    seed: int,
) -> Making:
    """Rows for the cells, half as many again as wanted, by each move its share. Same arguments, same rows."""
    human = [row for row in seeds if provenance(row) == HUMAN]
    fitting = [at for at, cell in enumerate(cells) if any(in_cell(row, cell) for row in human)]
    making = Making()
    if len(fitting) < len(cells):
        making.notes.append(f"{len(cells) - len(fitting)} of {len(cells)} cells have no row that people wrote")
    owed = {at: asked_of(cells[at]) for at in fitting}
    rough = {at: count for at, count in owed.items() if NOISE in cells[at].columns}
    plain = {at: count for at, count in owed.items() if at not in rough}
    _give(making, cells, rough, lambda asked: _by_rule(asked, human, NOISE, seed))
    for place, move in enumerate(moves):
        part = {at: split_exactly(count, [1.0] * (len(moves) - place))[0] for at, count in plain.items()}
        given = _give(making, cells, part, partial(_made_by, move, makers, human, seed))
        plain = {at: count - given.get(at, 0) for at, count in plain.items()}
    return making


def _give(
    making: Making,
    cells: Sequence[Cell],
    counts: Mapping[int, int],
    make: Callable[[Sequence[Cell]], Sequence[Sequence[Made]]],
) -> dict[int, int]:
    """Asks for so many rows of each cell; returns how many new ones came."""
    places = [at for at, count in counts.items() if count > 0]
    rows = make([replace(cells[at], count=counts[at]) for at in places]) if places else []
    return {at: making.take(found, at) for at, found in zip(places, rows, strict=True)}


def _made_by(
    move: str, makers: Mapping[str, Maker], seeds: Sequence[Example], seed: int, cells: Sequence[Cell]
) -> Sequence[Sequence[Made]]:
    return makers[move](cells, seeds, seed) if move in makers else _by_rule(cells, seeds, move, seed)


def _by_rule(cells: Sequence[Cell], seeds: Sequence[Example], move: str, seed: int) -> list[list[Made]]:
    return [fill_cell(cell, seeds, move=move, seed=seed) for cell in cells]
