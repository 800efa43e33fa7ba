"""One writer per project: an advisory lock on .burnish/lock, freed by the kernel when its holder dies, however it dies.

The file's content only tells people who holds it; the lock itself is the flock, so a stale file never blocks anyone.
Nobody can ask whether a flock is held without trying to take it, so its holder marks the file with a second lock that
can be asked about (an open file description lock): who only looks takes nothing and is in nobody's way.
"""

import fcntl
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from burnish.errors import BusyError
from burnish.store.failpoints import failpoint
from burnish.store.files import storage_errors
from burnish.talk import Silence, Talk

NETWORK_FILE_SYSTEMS = frozenset(
    ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs"]
)
PATIENCE_S = 0.3
"""How long the lock is tried for: its holder may be letting go, or a child of it be on its way to another program."""
MARK = "hhqqi4x"
"""Linux' struct flock: kind, whence, start, length (0: all of the file), process (0 for an open file description)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that works on a project."""

    host: str
    pid: int
    boot_id: str
    started: str
    """When it took the lock, UTC."""
    command: str


class ProjectLock:
    """The lock of one project folder; entering it again in the same process is free."""

    def __init__(self, root: Path) -> None:
        self.path = root / "lock"
        self._file: IO[bytes] | None = None
        self._pid = 0
        self._depth = 0

    @contextmanager
    def held(self, talk: Talk | None = None) -> Iterator[None]:
        """Holds the project. Raises BusyError at once, naming the holder, when another process has it."""
        if self._depth == 0 or self._pid != os.getpid():
            self._take(talk or Silence())
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._free()

    def holder(self) -> Holder | None:
        """Who works on the project now, this process included; None when nobody does, whatever the file says."""
        if self._depth and self._pid == os.getpid():
            return this_process()
        if not self.path.exists():
            return None
        with storage_errors("reading the lock", self.path.parent), self.path.open("rb") as file:
            held = is_marked(file)
            failpoint("lock.looked")
            return _read_holder(file) if held else None

    def _take(self, talk: Talk) -> None:
        kind = file_system_of(self.path.parent)
        if kind in NETWORK_FILE_SYSTEMS:
            talk.warn(
                f"{self.path.parent} lies on a network file system ({kind}): never run two machines on it at once"
            )
        with storage_errors("taking the lock", self.path.parent):
            file = self.path.open("a+b")
        if not _flock(file, patience_s=PATIENCE_S):
            with file:
                raise _busy(self.path.parent.parent, _read_holder(file))
        self._file, self._pid, self._depth = file, os.getpid(), 0
        mark_held(file)
        try:
            with storage_errors("taking the lock", self.path.parent):
                file.truncate(0)
                file.write(json.dumps(asdict(this_process())).encode())
                file.flush()
                failpoint("lock.taken")
        except BaseException:
            self._free()
            raise

    def _free(self) -> None:
        """Lets go; the kernel does the same for a process that dies."""
        file, self._file = self._file, None
        if file is not None:
            with file:
                file.truncate(0)


_locks: dict[Path, ProjectLock] = {}


def lock_of(root: Path) -> ProjectLock:
    """The one lock object of a .burnish folder in this process: two Stores on one folder do not block each other."""
    return _locks.setdefault(root.resolve(), ProjectLock(root.resolve()))


@contextmanager
def exclusive(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Waits for the lock file `path` and holds it, for moments such as a migration. BusyError after timeout_s."""
    with storage_errors(f"opening {path.name}", path.parent), path.open("a+b") as file:
        if not _flock(file, patience_s=timeout_s):
            raise BusyError(
                f"another process has been opening {path.parent} for over {timeout_s:.0f} s", hint="try again"
            )
        yield


def mark_held(file: IO[bytes]) -> None:
    """Lets others see that the holder of the flock on `file` has it, for as long as it is open; only Linux can."""
    if sys.platform == "linux":
        with suppress(OSError):  # Where a file system knows no such lock, the flock still keeps others out.
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack(MARK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


def is_marked(file: IO[bytes]) -> bool:
    """Whether somebody holds the lock file; nothing is taken, but where Linux is not, a shared flock for an instant."""
    if sys.platform == "linux":
        asked = struct.pack(MARK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        with suppress(OSError):
            kind: int = struct.unpack(MARK, fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))[0]
            return kind != fcntl.F_UNLCK
    return not _flock(file, kind=fcntl.LOCK_SH)


def this_process() -> Holder:
    """What others are told about this process when it holds the lock."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        boot_id=_boot_id(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command[:200],
    )


def file_system_of(folder: Path, mounts: str | None = None) -> str:
    """Type of the file system that holds `folder` (ext4, nfs4, ...) from the text of /proc/mounts; "" where unknown."""
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    best, kind = -1, ""
    place = str(folder.resolve())
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\").rstrip("/")
        if (place == point or place.startswith(point + "/")) and len(point) >= best:
            best, kind = len(point), fields[2]
    return kind


def _flock(file: IO[bytes], *, patience_s: float = 0.0, kind: int = fcntl.LOCK_EX) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)


def _read_holder(file: IO[bytes]) -> Holder:
    """The holder as the file tells it; one that is just being written reads as unknown."""
    file.seek(0)
    try:
        return Holder(**json.loads(file.read()))
    except (ValueError, TypeError):
        return Holder(host="unknown", pid=0, boot_id="", started="unknown", command="unknown")


def _busy(project: Path, holder: Holder) -> BusyError:
    return BusyError(
        f"{project} is in use by process {holder.pid} on {holder.host} since {holder.started}: {holder.command}",
        hint="wait until it is done, or stop it; it goes on where it was when its command is run again",
    )


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
