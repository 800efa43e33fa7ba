"""The task of a project, and what its answers may state without support; kept until the data changes."""

import threading
from typing import Any, NamedTuple

from burnish.data.dataset import load_examples
from burnish.data.task import task_of
from burnish.evaluate.groundedness import taught
from burnish.loop.project import Project
from burnish.records import Task
from burnish.store.barred import newest_barred
from burnish.store.batches import newest_batch
from burnish.store.roles import current_roles

MOST_ROWS = 300
"""Rows of train that are read for what the trade knows: a third of a second."""


class Taught(NamedTuple):
    """What a page has to know to show an item."""

    task: Task
    known: frozenset[str]
    """What needs no support in a draft, since answers of people state it again and again."""


class TaskKeeper:
    """Reads all rows once for as long as they stay the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: Any = None
        self._kept: Taught | None = None

    def of(self, project: Project) -> Taught:
        """The task as the data states it now. Raises DataError without data."""
        store = project.store
        state = (project.settings.task, newest_batch(store), newest_barred(store))
        with self._lock:
            if self._kept is None or self._of != state:
                self._of, self._kept = state, _read(project)
            return self._kept


def _read(project: Project) -> Taught:
    rows = list(load_examples(project.store))
    task, roles = task_of(rows, project.settings), current_roles(project.store)
    train = [row for row in rows if roles.get(row.id) == "train"][:MOST_ROWS]
    return Taught(task, taught(task, train))
