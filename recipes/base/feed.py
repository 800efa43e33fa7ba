"""The feed: which rows come when. Laps over all documents, and in the decay phase laps in which dialogues come oftener.

Each lap cuts, packs and shuffles anew, by a seed of its own, so a place in the feed is three small numbers.
"""

from typing import NamedTuple

import numpy as np

from recipes.base.documents import Documents
from recipes.base.packing import Batch, Row, batch_of, cut, pack
from recipes.base.plan import Plan


class Place(NamedTuple):
    """Where the feed is: the next row of a lap of a phase."""

    is_decaying: int = 0
    lap: int = 0
    row: int = 0


class Feed:
    """Batches without end, from a place on."""

    def __init__(self, documents: Documents, plan: Plan, place: Place | None = None) -> None:
        self.documents = documents
        self.plan = plan
        self.place = place or Place()
        self._rows: list[Row] = []
        self._lap: tuple[int, int] | None = None

    def next(self, *, is_decaying: bool) -> Batch:
        """The next rows of this phase; a new phase begins with a new lap."""
        if is_decaying != bool(self.place.is_decaying):
            self.place = Place(is_decaying=int(is_decaying))
        taken: list[Row] = []
        while len(taken) < self.plan.rows:
            rows = self._rows_here()
            some = rows[self.place.row : self.place.row + self.plan.rows - len(taken)]
            taken += some
            self.place = self.place._replace(row=self.place.row + len(some))
            if self.place.row == len(rows):
                self.place = self.place._replace(lap=self.place.lap + 1, row=0)
        return batch_of(taken, self.documents.ids, self.plan.context)

    def _rows_here(self) -> list[Row]:
        """The rows of the lap that the place is in."""
        if self._lap != self.place[:2]:
            self._lap = self.place[:2]
            self._rows = lap_rows(self.documents, self.plan, *self._lap)
        return self._rows


def lap_rows(documents: Documents, plan: Plan, is_decaying: int, lap: int) -> list[Row]:
    """The rows of one lap, shuffled: every document once, or a dialogue `dialogue_weight` times."""
    drawn = np.random.default_rng([plan.seed, is_decaying, lap])
    times = np.where(documents.is_dialogue, plan.dialogue_weight if is_decaying else 1, 1)
    which = np.repeat(np.arange(len(times)), times)
    rows = pack(cut(documents, which, plan.context, drawn), plan.context)
    return [rows[index] for index in drawn.permutation(len(rows))]
