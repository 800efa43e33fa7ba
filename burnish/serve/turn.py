"""What may begin between two tokens of the others: so many rows, prompts and adapters that none of them waits long."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from burnish.model.generator import PROMPT_TOKENS
from burnish.serve.pool import Pool

if TYPE_CHECKING:
    from burnish.serve.engine import Job

MOST_CHOICES = 16
"""Prompts of label tasks that go through together between two tokens of the others."""


TURNS_BETWEEN_LOADS = 16
"""Loading and checking an adapter takes about as long as that many tokens, so others keep half their speed."""


class Turn:
    """The room between two tokens.

    A project without a row gets one even where all are taken, so there are at most as many rows more as there are other
    projects. With several projects, no more prompts come in than one pass reads, so that whoever asks next stands
    behind one pass and not behind all that others have sent. Loading stops the batch: one adapter is loaded in a turn,
    and while another project writes, one in so many turns.
    """

    def __init__(self, pool: Pool, *, max_rows: int, active: Sequence[str], num_unread: int, since_load: int) -> None:
        """`active` are the projects of the rows that are taken; `num_unread` tokens of their prompts are not read.

        `since_load` turns have gone by since an adapter was loaded.
        """
        self._pool, self._max_rows, self._since_load = pool, max_rows, since_load
        self._num_rows, self._with_rows = len(active), set(active)
        self._num_unread, self._num_choices = num_unread, 0
        self._is_shared = len(pool.sources) > 1
        self._loads = self._num_loads
        self.was_full = False
        """Whether something had no room, which may have some in the next turn."""

    def has_room(self, job: "Job") -> bool:
        """Whether the request may begin in this turn."""
        has_room = self._has_room(job)
        self.was_full = self.was_full or not has_room
        return has_room

    def _has_room(self, job: "Job") -> bool:
        if not self._pool.is_here(job.project, job.versions[0]) and not self._may_load(job.project):
            return False
        if job.choices:
            return self._num_choices < MOST_CHOICES
        if self._num_rows >= self._max_rows and job.project in self._with_rows:
            return False
        fits = self._num_unread + len(job.request.prompt) <= PROMPT_TOKENS
        return fits or not self._is_shared or not self._num_unread

    def note(self, job: "Job") -> None:
        """The request begins."""
        if job.choices:
            self._num_choices += 1
            return
        self._num_rows += 1
        self._with_rows.add(job.project)
        self._num_unread += len(job.request.prompt)

    @property
    def has_loaded(self) -> bool:
        """Whether an adapter was loaded, or refused, in this turn."""
        return self._num_loads > self._loads

    def _may_load(self, project: str) -> bool:
        others_write = bool(self._with_rows - {project})
        return not self.has_loaded and (self._since_load >= TURNS_BETWEEN_LOADS or not others_write)

    @property
    def _num_loads(self) -> int:
        return self._pool.loads.loaded + self._pool.loads.refused
