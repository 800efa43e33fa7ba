"""How work tells people what it does, without knowing whether a terminal, a log or nobody listens.

Parts get a `Talk` as an argument; the doors decide which one. Nothing here prints.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int, str], None]
"""advance(number of units done since the last call, short note such as "loss 1.23")."""


def unheard(done: int, note: str) -> None:
    """An Advance that moves nothing."""


class Talk(Protocol):
    """Somebody who listens to progress."""

    def say(self, text: str) -> None:
        """A line of ordinary progress."""

    def warn(self, text: str) -> None:
        """A line that a user should not miss."""

    def step(self, name: str, steps: Sequence[str]) -> None:
        """The work comes to `name`, one of all its `steps`; those before it are done."""

    def track(self, name: str, total: int, unit: str = "") -> AbstractContextManager[Advance]:
        """A bar of `total` units, named `name`; the context gives the function that moves it."""


class Silence:
    """A Talk that tells nobody."""

    def say(self, text: str) -> None:
        """Drops the line."""

    def warn(self, text: str) -> None:
        """Drops the line."""

    def step(self, name: str, steps: Sequence[str]) -> None:
        """Drops the step."""

    @contextmanager
    def track(self, name: str, total: int, unit: str = "") -> Iterator[Advance]:
        """Gives a function that does nothing."""
        yield unheard
