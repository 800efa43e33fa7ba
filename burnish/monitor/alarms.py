"""One budget of false alarms, shared by all signals: what a signal may conclude from a window, and what to do then."""

from dataclasses import dataclass, field
from typing import Literal

from burnish.records import Interval

Signal = Literal["risk", "input", "labels", "outsiders", "length", "refusals", "unsupported", "seconds", "tokens"]
FAMILIES: dict[str, tuple[Signal, ...]] = {
    "risk": ("risk",),
    "input": ("input",),
    "labels": ("labels",),
    "outsiders": ("outsiders",),
    "outputs": ("length", "refusals", "unsupported", "seconds", "tokens"),
}
"""Signals that share a part of the budget; each family gets the same."""
ACTIONS: dict[Signal, str] = {
    "risk": "go back to the champion before, or open a round",
    "input": "label rows of this window, and open a round on them",
    "labels": "nothing to train: weigh results by the new shares, watch labels that were rare, then accept these",
    "outsiders": "label these rows as a slice of their own, or as out of scope, and open a round",
    "length": "read some answers; if they are worse, go back to the champion before, else accept them",
    "refusals": "read what was refused; label those rows, and open a round",
    "unsupported": "read the answers named; go back to the champion before if they are wrong",
    "seconds": "look at the server and at the length of texts, not at the model; accept what has to be so",
    "tokens": "look at the length of texts; every answer costs by its tokens; accept what has to be so",
}
"""The likely answer to an alarm of each signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many false alarms there may be.

    In each stretch of `windows` windows one after the other, the chance of any false alarm is at most `alpha`, by
    Bonferroni over families, signals and, for tests that look at a window alone, windows. Evidence that goes on from
    window to window (risk, outsiders) starts anew with each stretch.
    """

    alpha: float
    windows: int

    def level(self, signal: Signal) -> float:
        """p-value of one window at which a signal alarms."""
        return self.share(signal) / self.windows

    def share(self, signal: Signal) -> float:
        """Chance of a false alarm of a signal in a whole stretch; 1 / it is the e-value at which it alarms."""
        family = next(names for names in FAMILIES.values() if signal in names)
        return self.alpha / len(FAMILIES) / len(family)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one signal says of one window."""

    signal: Signal
    is_alarm: bool
    what: str
    """In a sentence: what was, what is."""
    effect: float | None = None
    """Size of the change in the signal's own unit; None where nothing could be measured."""
    floor: float | None = None
    """Effect below which there is no alarm however sure it is; None: there is none."""
    p: float | None = None
    level: float | None = None
    """p-value at which it alarms."""
    e_value: float | None = None
    bar: float | None = None
    """e-value at which it alarms."""
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Texts of a window that belong together, named by the terms that set them apart."""

    terms: tuple[str, ...]
    rows: tuple[int, ...]
    """Numbers of its requests, strangest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A signal's alarm about one window, with what it rests on and what to do."""

    id: str
    at: str
    model: str
    window: int
    """Number of the window since the reference, from 1."""
    first: int
    last: int
    """Numbers of its first and last request."""
    reading: Reading
    action: str
    command: str
    """To be typed as it stands; empty for a file, of whose requests no command knows."""
    is_new: bool = True
    """Whether this signal had not alarmed before in this stretch of windows; only the first is sent."""
    rows: tuple[int, ...] = ()
    """Numbers of the requests to look at, strangest first, at most 50."""
    clusters: tuple[Cluster, ...] = field(default=())
    """The same, as far as they have terms in common."""
