"""Chooses more questions in the background, one plan at a time: on many rows it takes minutes, and the page waits."""

import logging
import secrets
import threading

from burnish.errors import BurnishError
from burnish.loop.project import locked
from burnish.loop.reviewing import plan_reviews
from burnish.talk import Silence
from burnish.web.desk import Desk
from burnish.web.faults import GENERIC, LOG, told

COUNT = 40
"""Rows to ask about beside audits, as on the command line."""


class Planner:
    """The plan that is being made, and what came of the last one."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.words = ""
        """What came of the last plan, for the reviewer; empty before the first."""
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether a plan is being made now."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begins a plan; while one is being made nothing else happens."""
        with self._starting:
            if not self.is_busy:
                self.words = ""
                self._thread = threading.Thread(target=self._plan, name="plan-reviews", daemon=True)
                self._thread.start()

    def _plan(self) -> None:
        """A kill on the way leaves the queue as it was: what is new comes in one transaction at the end."""
        try:
            project = self.desk.open()
            with locked(project, Silence()):
                found = plan_reviews(project, count=COUNT)
        except Exception as error:  # the door of this thread: whoever waits is told, and the log has the rest
            words = told(error) if isinstance(error, BurnishError) else ""
            self.words = f"{words[:1].upper()}{words[1:]}." if words else _logged(error)
            return
        self.words = (
            f"{found.num_new} questions are new."
            if found.num_new
            else "There is nothing new to ask now. More data, a new synthetic batch or another round bring questions."
        )


def _logged(error: Exception) -> str:
    number = secrets.token_hex(4)
    LOG.log(logging.ERROR, "error %s while choosing questions", number, exc_info=error)
    return f"{GENERIC} Error {number}."
