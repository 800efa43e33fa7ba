"""Rows out of a generator: an adapter that learns how people's rows read, held to rows that it has not seen."""

from collections.abc import Callable, Sequence
from pathlib import Path

from burnish.data.provenance import HUMAN, provenance
from burnish.loop.documents import Documents
from burnish.loop.learner import Learner
from burnish.loop.sampler import Learned, Sample, Sampler, row_from
from burnish.loop.workbench import Workbench
from burnish.records import Cell, Example, Task
from burnish.synthesize.cells import in_cell
from burnish.synthesize.generator import Kin, band_of, is_learnable
from burnish.synthesize.guards import Drop
from burnish.synthesize.made import Made
from burnish.talk import Talk

ROUNDS = 3
"""Times that a cell is asked for what it still lacks."""


class SeedGenerator:
    """The move "generator": trained when it is first asked, in the folder given; then it samples row after row.

    Deterministic in base, settings, task and arguments of the calls, on one machine. A killed training goes on from
    its checkpoint where folder/scratch survives.
    """

    def __init__(
        self,
        bench: Workbench,
        task: Task,
        columns: Sequence[str],
        folder: Path,
        talk: Talk,
        *,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.documents = Documents(bench=bench, task=task, columns=tuple(columns))
        self.sampler = Sampler(self.documents, talk, should_stop)
        self.learner = Learner(self.documents, self.sampler, folder)
        self.learned: Learned | None = None
        self.losses: dict[str, float] = {}
        self.num_sampled = self.num_malformed = self.num_astray = 0

    def make(self, cells: Sequence[Cell], seeds: Sequence[Example], seed: int) -> list[list[Made]]:
        """Rows for each cell, at most as many as it asks for, with people's rows as their only parents."""
        rows = [row for row in seeds if provenance(row) == HUMAN and is_learnable(row) and self.documents.fits(row)]
        if not rows:
            return [[] for _ in cells]
        if self.learned is None:
            self.learned = self.learner.learn(rows, seed)
        kin = Kin(rows, self.documents.task, self.documents.columns)
        pools = [[row for row in rows if in_cell(row, cell)] for cell in cells]
        made: list[dict[str, Made]] = [{} for _ in cells]
        for turn in range(ROUNDS):
            lacking = {at: cell.count - len(made[at]) for at, cell in enumerate(cells) if pools[at]}
            places = [at for at, count in lacking.items() for _ in range(count)]
            drafts = [self.sampler.draft(pools[at], kin, [seed, at, turn, number]) for number, at in enumerate(places)]
            for at, sample in zip(places, self.sampler.samples(self.learned, drafts), strict=True):
                found = self._row(sample, cells[at])
                made[at] |= {found.example.id: found} if found else {}
        return [list(own.values()) for own in made]

    @property
    def num_tokens(self) -> int:
        """Tokens that it learned and wrote."""
        return self.learner.num_tokens + self.sampler.num_tokens

    def unlikely(self, rows: Sequence[Example]) -> Sequence[Drop]:
        """The step of the sieve that drops samples which are less likely than nearly all real rows."""
        return band_of(self.losses, self.learned.real if self.learned else ())(rows)

    def notes(self) -> tuple[str, ...]:
        """What became of training and sampling, for the record; empty while nothing was asked for."""
        if self.learned is None:
            return ()
        told = f"generator: {self.num_sampled:,} sampled, {self.num_malformed:,} malformed"
        return (f"{told}, {self.num_astray:,} outside their cell; {self.learned.note}",)

    def _row(self, sample: Sample, cell: Cell) -> Made | None:
        """The row of a sample, counted; None where it is none, or none of the cell."""
        assert self.learned
        row = row_from(sample, self.documents.task, self.learned.name)
        is_astray = row is not None and not in_cell(row.example, cell)
        self.num_sampled += 1
        self.num_malformed += row is None
        self.num_astray += is_astray
        if row is None or is_astray:
            return None
        self.losses[row.example.id] = sample.loss(self.documents.base)
        return row
