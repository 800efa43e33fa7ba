"""What may begin between two tokens of the others: so many rows, prompts and adapters that none of them waits long."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from burnish.model.generator import PROMPT_TOKENS
from burnish.serve.pool import Pool

if TYPE_CHECKING:
    from burnish.serve.engine import Job

MOST_CHOICES = 16
"""Prompts of label tasks that go through together between two tokens of the others."""


class Turn:
    """The room between two tokens.

    A project without a row gets one even where all are taken, so there are at most as many rows more as there are other
    projects. One adapter is loaded in a turn. With several projects, no more prompts come in than one pass reads, so
    that whoever asks next stands behind one pass and not behind all that others have sent.
    """

    def __init__(self, pool: Pool, *, max_rows: int, active: Sequence[str], num_unread: int) -> None:
        """`active` are the projects of the rows that are taken; `num_unread` tokens of their prompts are not read."""
        self._pool, self._max_rows = pool, max_rows
        self._num_rows, self._with_rows = len(active), set(active)
        self._num_unread, self._num_choices = num_unread, 0
        self._is_shared = len(pool.sources) > 1
        self._loads = self._num_loads

    def has_room(self, job: "Job") -> bool:
        """Whether the request may begin in this turn."""
        if self._num_loads > self._loads and not self._pool.is_here(job.project, job.versions[0]):
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
    def _num_loads(self) -> int:
        return self._pool.loads.loaded + self._pool.loads.refused
