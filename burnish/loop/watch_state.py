"""What the monitor remembers between looks, and the log of alarms; kept so that a kill at any moment loses nothing.

Alarms are on disk before the place up to which was looked. A look that was killed between is taken again: it finds the
same alarms, which are in the log under their names already.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from burnish.errors import DamagedError
from burnish.loop.project import Project
from burnish.monitor.alarms import Alarm, Signal
from burnish.monitor.outsider import Bets
from burnish.records import as_json, from_json
from burnish.store.failpoints import failpoint
from burnish.store.files import fsync_dir, storage_errors, write_atomic
from burnish.store.lock import exclusive

FOLDER, STATE_FILE, LOG_FILE, LOCK_FILE = "logs", "watch.json", "alarms.jsonl", "watch.lock"
PATIENCE_S = 30.0
MOST_UNSENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchState:
    """Where the monitor stands with one model."""

    model: str = ""
    reference: str = ""
    """Identity of what traffic is compared with."""
    seq: int = 0
    """Place of the last request that was looked at."""
    feedback: int = 0
    window: int = 0
    """Windows looked at since the reference."""
    bets: Bets | None = None
    """None: the next window starts them."""
    wrong: tuple[float, ...] = ()
    """Feedback of this stretch of windows."""
    alarmed: tuple[Signal, ...] = ()
    """Signals that alarmed in this stretch."""
    first: dict[Signal, tuple[float, ...]] = field(default_factory=dict)
    """Seconds and tokens of the first window, which have no reference in the project's rows."""
    newest: tuple[tuple[int, int], ...] = ()
    """First and last request of the newest windows, up to five."""
    accepted: tuple[int, int] | None = None
    """Requests that somebody called normal."""
    unsent: tuple[str, ...] = ()
    """Names of alarms that the webhook has not taken yet, the newest hundred."""

    def raised(self, alarms: Sequence[Alarm]) -> "WatchState":
        """The same after these alarms; one that only goes on is not sent."""
        fresh = [alarm.id for alarm in alarms if alarm.is_new and alarm.id not in self.unsent]
        signals = dict.fromkeys([*self.alarmed, *(alarm.reading.signal for alarm in alarms)])
        return replace(self, alarmed=tuple(signals), unsent=(*self.unsent, *fresh)[-MOST_UNSENT:])


@contextmanager
def watching_alone(project: Project) -> Iterator[None]:
    """Keeps a second look from running beside this one. It waits a while, then raises BusyError."""
    with exclusive(_folder(project) / LOCK_FILE, timeout_s=PATIENCE_S):
        yield


def load_state(project: Project) -> WatchState:
    """Where the last look ended; from the start where there was none."""
    path = project.store.root / FOLDER / STATE_FILE
    if not path.exists():
        return WatchState()
    try:
        return from_json(WatchState, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DamagedError(
            f"{path.name} cannot be read: {error}", hint="remove it; `burnish watch` then looks at all traffic again"
        ) from error


def save_state(project: Project, state: WatchState) -> None:
    """Writes where the look ended, durably."""
    failpoint("watch.state")
    write_atomic(_folder(project) / STATE_FILE, json.dumps(as_json(state), allow_nan=False).encode())


def log_alarms(project: Project, alarms: Sequence[Alarm]) -> None:
    """Appends the alarms that the log does not hold yet, on disk when this returns; half a line of a kill goes."""
    if not alarms:
        return
    path = _folder(project) / LOG_FILE
    known = {alarm.id for alarm in logged_alarms(project)}
    fresh = [alarm for alarm in alarms if alarm.id not in known]
    if not fresh:
        return
    lines = "".join(json.dumps(as_json(alarm), ensure_ascii=False, allow_nan=False) + "\n" for alarm in fresh).encode()
    with storage_errors("writing the log of alarms", path.parent, needed_bytes=len(lines)), path.open("a+b") as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        failpoint("watch.alarm")
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
        fsync_dir(path.parent)


def logged_alarms(project: Project) -> list[Alarm]:
    """Every alarm there was, oldest first."""
    path = project.store.root / FOLDER / LOG_FILE
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        return [from_json(Alarm, json.loads(line)) for line in lines if line]
    except (ValueError, TypeError) as error:
        raise DamagedError(
            f"{path.name} cannot be read: {error}", hint="move it aside; `burnish watch` starts another one"
        ) from error


def _folder(project: Project) -> Path:
    folder = project.store.root / FOLDER
    with storage_errors("making the folder of logs", project.store.root):
        folder.mkdir(exist_ok=True)
    return folder
