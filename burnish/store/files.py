"""Files that are either whole or absent, and names that cannot leave their folder.

An fsync that fails leaves the page cache in doubt (Rebello et al., 2020, USENIX ATC, "Can Applications Recover from
fsync Failures?"), so the file is dropped and the error told; it is never retried.
"""

import errno
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from burnish.errors import AccessError, BurnishError, StorageError, UsageError
from burnish.store.failpoints import failpoint

NAME_RULE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
RESERVED = frozenset(["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))])
"""Names that are devices on Windows, with any extension; a project folder may travel there."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FAILING_DISK = (*FULL, errno.EIO)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def write_atomic(path: Path, data: bytes) -> None:
    """Writes the whole file, or leaves what was there before, even through a power cut. Mode follows the umask.

    Raises StorageError when the disk is full or the write fails, AccessError when it is not permitted.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with storage_errors(f"writing {path.name}", path.parent, needed_bytes=len(data)):
        try:
            failpoint("file.write")
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                failpoint("file.fsync")
                os.fsync(file.fileno())
            failpoint("file.rename")
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        fsync_dir(path.parent)


def fsync_dir(folder: Path) -> None:
    """Makes the names in a folder durable: a rename is only on disk after this."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        failpoint("file.fsync_dir")
        os.fsync(handle)
    finally:
        os.close(handle)


def safe_name(name: str) -> str:
    """The name itself when it fits [a-z0-9][a-z0-9._-]{0,63} and is safe on every file system; else UsageError.

    The one rule for stages, models, batches and candidates: no separators, no case or Unicode twins, no device names.
    """
    if NAME_RULE.fullmatch(name) and not name.endswith(".") and name.split(".")[0] not in RESERVED:
        return name
    shown = repr(name if len(name) <= 80 else name[:77] + "...")
    raise UsageError(
        f"{shown} cannot be used as a name",
        hint="use 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit, for example claims-2",
    )


def safe_join(root: Path, *parts: str) -> Path:
    """root/part/part..., every part a safe name, and the place inside `root` even when links are followed."""
    path = root.joinpath(*(safe_name(part) for part in parts))
    if not path.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{'/'.join(parts)} leads out of {root} through a link", hint="remove the symbolic link")
    return path


@contextmanager
def storage_errors(
    doing: str, folder: Path, *, needed_bytes: int | None = None, only: Collection[int] | None = None
) -> Iterator[None]:
    """Turns an OSError raised inside into a StorageError or AccessError that says what failed, where, and what to do.

    `doing` completes the sentence "... failed"; `needed_bytes` is shown beside the free space when the disk is full;
    `only` leaves errors with other codes as they are.
    """
    try:
        yield
    except BurnishError:
        raise
    except OSError as error:
        if only is not None and error.errno not in only:
            raise
        raise told_error(error, doing, folder, needed_bytes) from error


def require_space(folder: Path, needed_bytes: int, doing: str) -> None:
    """Raises StorageError when the disk has no room for `needed_bytes`; what lies in the folder already counts."""
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if needed_bytes - there > shutil.disk_usage(place).free:
        raise StorageError(
            f"{doing} needs about {shown_size(needed_bytes - there)} on the disk of {folder}: {_free(place)} free",
            hint="free some space and run the same command again; nothing of this was begun",
        )


def told_error(error: OSError, doing: str, folder: Path, needed_bytes: int | None = None) -> BurnishError:
    """The BurnishError that a user can act on, for an error of the operating system."""
    if error.errno in FULL:
        need = "" if needed_bytes is None else f", {shown_size(needed_bytes)} needed"
        return StorageError(
            f"no space left on the disk of {folder} while {doing}: {_free(folder)} free{need}",
            hint="free some space and run the same command again; what was finished before is kept",
        )
    if error.errno in DENIED:
        return AccessError(
            f"not permitted while {doing} in {folder}: {error.strerror}",
            hint=f"make {folder} writable for this user, or use another project folder",
        )
    return StorageError(
        f"{doing} failed in {folder}: {error.strerror or error}",
        hint="the file counts as lost; check the disk (`dmesg`), then run the same command again",
    )


def shown_size(size_bytes: float) -> str:
    """A size as people read it: 1.5 MB, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size_bytes) < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def _free(folder: Path) -> str:
    try:
        return shown_size(shutil.disk_usage(folder).free)
    except OSError:
        return "unknown"
