"""A stage: a function from frozen inputs to one sealed artifact. Finished work is never redone, a killed one goes on.

Its key is the hash of everything that decides the result: a changed setting, input, seed or library is another stage.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy import select

from burnish.errors import Interrupted, StorageError
from burnish.fingerprint import fingerprint
from burnish.store.db import now, upsert
from burnish.store.failpoints import failpoint
from burnish.store.files import FAILING_DISK, storage_errors
from burnish.store.manifest import Sealed
from burnish.store.store import Store
from burnish.store.tables import stage_run
from burnish.talk import Silence, Talk

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
"""Libraries whose version can change a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """What became of a stage."""

    key: str
    stage: str
    version: int
    status: str
    """running, done, failed, interrupted, or stopped: it was running and its process is gone."""
    attempts: int
    started: str
    seconds: float
    """Over all attempts that could tell."""
    content_hash: str
    note: str


def stage_key(
    stage: str,
    version: int,
    settings: Any,
    inputs: Mapping[str, str],
    seed: int,
    libraries: Sequence[str] = LIBRARIES,
) -> str:
    """The key of a stage, 64 hex digits, over its name, code version, settings, input hashes, seed and libraries."""
    return fingerprint(
        {
            "stage": stage,
            "version": version,
            "settings": settings,
            "inputs": dict(inputs),
            "seed": seed,
            "libraries": {name: _version_of(name) for name in libraries},
        }
    )


def run_stage(
    store: Store,
    *,
    stage: str,
    version: int,
    settings: Any,
    inputs: Mapping[str, str],
    seed: int,
    work: Callable[[Path], Mapping[str, Any]],
    talk: Talk | None = None,
    libraries: Sequence[str] = LIBRARIES,
) -> Sealed:
    """The stage's sealed artifact: the one that is there (`was_cached`, `work` not called), or the one `work` makes.

    `work` gets a folder, writes its files there and returns its record (plain JSON, deterministic). What goes under
    the record's key "meta" is kept beside it and not hashed: times, paths, machines. `folder/scratch/` survives a kill
    and is dropped at the end: checkpoints belong there; everything else in the folder is cleared before `work` runs
    again, so that an undisturbed and a resumed stage seal the same bytes. Takes the project's lock while it works.
    """
    talk = talk or Silence()
    key = stage_key(stage, version, settings, inputs, seed, libraries)
    with store.lock(talk):
        sealed = store.artifacts.find(stage, key, talk)
        if sealed is None:
            sealed = store.artifacts.recover(stage, key, talk)
        if sealed is not None:
            _note_done(store, sealed, version)
            return replace(sealed, was_cached=True)
        return _run(store, stage, version, key, work, talk)


def stage_runs(store: Store) -> list[StageRun]:
    """Every stage that was ever begun, oldest first, with what became of it."""
    idle = store.holder() is None
    with store.db.read() as connection:
        rows = connection.execute(select(stage_run).order_by(stage_run.c.seq)).mappings().all()
    runs = [StageRun(**{name: row[name] for name in StageRun.__slots__}) for row in rows]
    return [replace(run, status="stopped") if idle and run.status == "running" else run for run in runs]


def _run(
    store: Store, stage: str, version: int, key: str, work: Callable[[Path], Mapping[str, Any]], talk: Talk
) -> Sealed:
    folder = store.artifacts.restart_work(stage, key)
    if any((folder / "scratch").iterdir()):
        talk.say(f"{stage}: going on from where it was stopped")
    _note(store, stage, key, version, status="running", attempt=1)
    start = time.monotonic()
    try:
        with storage_errors(f"working on {stage}", folder, only=FAILING_DISK):
            failpoint("stage.started")
            record = dict(work(folder))
    except BaseException as error:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        status = "interrupted" if stopped else "failed"
        text = f"{type(error).__name__}: {error}"[:500]
        with suppress(StorageError):  # On a full disk the row stays "running"; `stage_runs` tells that it is not.
            _note(store, stage, key, version, status=status, seconds=time.monotonic() - start, note=text)
        raise
    seconds = time.monotonic() - start
    meta = {**record.pop("meta", {}), "sealed_at": now(), "seconds": round(seconds, 3)}
    sealed = store.artifacts.seal(stage, key, record, meta)
    with storage_errors(f"finishing {stage}", store.root):
        failpoint("stage.sealed")
        _note(store, stage, key, version, status="done", seconds=seconds, content_hash=sealed.content_hash)
        failpoint("stage.done")
    return sealed


def _note_done(store: Store, sealed: Sealed, version: int) -> None:
    """Writes down that a stage is done when a kill came between its sealing and its row."""
    with store.db.read() as connection:
        status = connection.execute(select(stage_run.c.status).where(stage_run.c.key == sealed.key)).scalar()
    if status != "done":
        seconds = float(sealed.meta.get("seconds", 0.0))
        _note(
            store, sealed.stage, sealed.key, version, status="done", seconds=seconds, content_hash=sealed.content_hash
        )


def _note(
    store: Store,
    stage: str,
    key: str,
    version: int,
    *,
    status: str,
    attempt: int = 0,
    seconds: float = 0.0,
    content_hash: str = "",
    note: str = "",
) -> None:
    """Keeps one row per key: the newest status, attempts and seconds added up."""
    values = {"status": status, "content_hash": content_hash, "note": note}
    row = {"key": key, "stage": stage, "version": version, "started": now(), "seconds": seconds, "attempts": 1}
    again: dict[str, Any] = {
        **values,
        "attempts": stage_run.c.attempts + attempt,
        "seconds": stage_run.c.seconds + seconds,
    }
    if status == "running":
        again["started"] = row["started"]
    with store.db.write() as connection:
        upsert(connection, stage_run, "key", {**row, **values}, again)


def _version_of(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
