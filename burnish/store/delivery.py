"""A folder handed to others: made beside its place and moved there whole, never over what burnish did not write.

A kill at any moment leaves the place as it was, or whole and new; the same command again finishes and clears up.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from burnish.errors import DamagedError, UsageError
from burnish.store.failpoints import failpoint
from burnish.store.files import fsync_dir, storage_errors
from burnish.store.manifest import Sealed, verify, write_manifest

MINE = ("burnish.yaml", ".burnish", ".git")
"""What a folder holds that is never replaced, whatever is asked for."""


def delivered(place: Path, stage: str, key: str) -> Sealed | None:
    """What an earlier call delivered to this place, every byte verified; None when it is not this, or not whole.

    What a killed call left beside it is cleared up.
    """
    if place.parent.is_dir():
        _mend(place)
    try:
        found = verify(place, key=key) if place.is_dir() else None
    except DamagedError:
        return None
    return found if found and found.stage == stage else None


@contextmanager
def drafted(place: Path, stage: str, *, force: bool) -> Iterator[Path]:
    """An empty folder beside the place, to be filled and handed to `deliver`; gone again where that did not happen.

    Raises UsageError when the place holds something else than an untouched delivery of this stage, unless forced, and
    always for a file, a link, and a folder that holds a project or the working folder.
    """
    with storage_errors(f"preparing {place.name}", place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        _mend(place)
        _demand_free(place, stage, force=force)
        draft = _beside(place, "draft")
        draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def deliver(draft: Path, place: Path, *, stage: str, key: str, record: Mapping[str, Any]) -> Sealed:
    """Describes the draft in a manifest and moves it to its place, durably; what lay there is gone afterwards."""
    with storage_errors(f"writing {place.name}", place.parent):
        write_manifest(draft, stage=stage, key=key, record=record)
        failpoint("deliver.sealed")
        before = _beside(place, "before")
        if place.exists():
            place.rename(before)
            failpoint("deliver.aside")
        draft.rename(place)
        fsync_dir(place.parent)
        failpoint("deliver.renamed")
        shutil.rmtree(before, ignore_errors=True)
    return verify(place, key=key)


def _beside(place: Path, what: str) -> Path:
    return place.with_name(f".{place.name}.{os.getpid()}.{what}")


def _mend(place: Path) -> None:
    """Undoes what a killed process left: its draft goes, and what it had moved aside comes back."""
    for path in sorted(place.parent.iterdir()):
        found = re.fullmatch(rf"\.{re.escape(place.name)}\.(\d+)\.(draft|before)", path.name)
        if found is None or _is_alive(int(found[1])):
            continue
        if found[2] == "before" and not place.exists():
            path.rename(place)
        else:
            shutil.rmtree(path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _demand_free(place: Path, stage: str, *, force: bool) -> None:
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise UsageError(f"{place} is a {'link' if place.is_symlink() else 'file'}", hint="name a new folder")
    if Path.cwd().is_relative_to(place.resolve()) or any((place / name).exists() for name in MINE):
        raise UsageError(f"{place} holds a project, or is where you are", hint="name a new folder")
    if not force and place.exists() and any(place.iterdir()) and not _is_untouched(place, stage):
        raise UsageError(
            f"{place} is not empty, and holds something else than an earlier export as it was written",
            hint="name a new folder, or add --force to replace all that is in it",
        )


def _is_untouched(place: Path, stage: str) -> bool:
    try:
        return verify(place).stage == stage
    except DamagedError:
        return False
