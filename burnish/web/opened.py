"""The store that all requests share: opened anew each second, and at once where its database is another file.

Opening looks for damage, a newer format and the day's backup, which costs more than all that a page reads.
"""

import threading
import time
from pathlib import Path

from burnish.store.db import SMALLEST_PAGE
from burnish.store.store import Store, open_store

FOR_S = 1.0


class Opened:
    """A store, and until when it is taken for whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # two threads that made a daily backup at once would be in each other's way
        self._store: Store | None = None
        self._file: tuple[int, int] | None = None
        self._until_s = 0.0

    def store(self, folder: Path) -> Store:
        """The store of the project in `folder`. Raises what `open_store` raises."""
        with self._lock:
            known = self._store
            if known is None or time.monotonic() > self._until_s or _file_of(known) != self._file:
                self._store = None
                known = open_store(folder)
                self._store, self._file = known, _file_of(known)
                self._until_s = time.monotonic() + FOR_S
            return known


def _file_of(store: Store) -> tuple[int, int] | None:
    """Which file the database is; None where it is on a server, gone, or too short for one."""
    if store.db.url is not None:
        return None
    try:
        found = store.db.path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size >= SMALLEST_PAGE else None
