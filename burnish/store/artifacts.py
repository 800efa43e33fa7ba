"""Artifacts: folders that are absent, or whole and verified. A stage works in a work folder; sealing makes it one.

Order of sealing: hash and fsync every file, write the manifest (from here on nothing is redone), drop scratch/, rename.
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from burnish.errors import DamagedError
from burnish.fingerprint import SHORT
from burnish.store.failpoints import failpoint
from burnish.store.files import fsync_dir, safe_join, safe_name, storage_errors
from burnish.store.manifest import MANIFEST, SCRATCH, Sealed, read_manifest, verify, write_manifest
from burnish.talk import Silence, Talk


class Artifacts:
    """The artifacts of one project, under its .burnish folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def work_folder(self, stage: str, key: str) -> Path:
        """The folder in which a stage works, made if absent. It survives a kill; only what is sealed leaves it."""
        folder = self._work(stage, key)
        with storage_errors(f"reserving space for {stage}", self.root):
            failpoint("artifact.reserve")
            (folder / SCRATCH).mkdir(parents=True, exist_ok=True)
        return folder

    def restart_work(self, stage: str, key: str) -> Path:
        """The work folder with nothing but scratch/ in it: what a killed run left cannot slip into the artifact."""
        folder = self.work_folder(stage, key)
        with storage_errors(f"clearing the work folder of {stage}", folder):
            for entry in sorted(folder.iterdir()):
                if entry.name == SCRATCH:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
        return folder

    def seal(self, stage: str, key: str, record: Mapping[str, Any], meta: Mapping[str, Any] | None = None) -> Sealed:
        """Turns the work folder into an artifact: whole after this returns, whatever happens to the machine.

        A kill before the manifest is written leaves the work folder as it was; a kill after it is mended by `recover`.
        Raises StorageError with free and needed space when the disk is full.
        """
        folder = self._work(stage, key)
        assert folder.is_dir(), f"nothing to seal: {folder} does not exist"
        with storage_errors(f"sealing the result of {stage}", folder):
            write_manifest(folder, stage=stage, key=key, record=record, meta=meta)
        return self._rename(stage, key)

    def recover(self, stage: str, key: str, talk: Talk | None = None) -> Sealed | None:
        """Finishes a sealing that was killed after its manifest was written; None when there is none to finish."""
        folder = self._work(stage, key)
        if not (folder / MANIFEST).exists():
            return None
        try:
            verify(folder, key=key)
        except DamagedError as error:
            (talk or Silence()).warn(f"an unfinished result of {stage} does not verify and is made again: {error}")
            return None
        return self._rename(stage, key)

    def find(self, stage: str, key: str, talk: Talk | None = None) -> Sealed | None:
        """The artifact, every byte verified against its manifest, or None when there is none.

        A damaged one counts as absent: it is moved to .burnish/damaged/ and `talk` is warned. Reads every file once.
        """
        folder = self._home(stage, key)
        if not folder.is_dir():
            return None
        try:
            return verify(folder, key=key)
        except DamagedError as error:
            aside = self._move_aside(folder, f"{stage}-{key[:SHORT]}")
            (talk or Silence()).warn(f"{error.message}. Moved to {aside.relative_to(self.root)}; the stage runs again.")
            return None

    def _work(self, stage: str, key: str) -> Path:
        return self.root / "work" / f"{safe_name(stage)}-{safe_name(key)[:SHORT]}"

    def _home(self, stage: str, key: str) -> Path:
        return safe_join(self.root, "artifacts", stage, safe_name(key)[:SHORT])

    def _rename(self, stage: str, key: str) -> Sealed:
        folder, home = self._work(stage, key), self._home(stage, key)
        with storage_errors(f"sealing the result of {stage}", self.root):
            failpoint("artifact.scratch")
            if (folder / SCRATCH).exists():
                shutil.rmtree(folder / SCRATCH)
            home.parent.mkdir(parents=True, exist_ok=True)
            assert not home.exists(), f"{home} is sealed already and must not be replaced"
            failpoint("artifact.rename")
            folder.rename(home)
            fsync_dir(home.parent)
            fsync_dir(home.parent.parent)
            fsync_dir(folder.parent)
            failpoint("artifact.renamed")
        return replace(read_manifest(home), path=home)

    def _move_aside(self, folder: Path, name: str) -> Path:
        place = self.root / "damaged"
        with storage_errors("moving a damaged artifact aside", self.root):
            place.mkdir(exist_ok=True)
            taken = {entry.name for entry in place.iterdir()}
            aside = place / next(f"{name}-{n}" for n in range(1, len(taken) + 2) if f"{name}-{n}" not in taken)
            folder.rename(aside)
        return aside
