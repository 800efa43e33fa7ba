"""Checkpoints that survive a kill, a power cut and a flipped bit: a resumed run ends with the same bytes.

folder/step-000123/ holds tensors, state.json and, written last, manifest.json with the size and sha256 of each file.
It is made under another name, synced and renamed; a folder without a true manifest is no checkpoint. The usual
trainers write in place, sync nothing and resume from the highest number whatever it holds.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from torch import Tensor

from burnish.errors import ConfigError, DamagedError
from burnish.fingerprint import canonical_json, fingerprint_bytes
from burnish.store.failpoints import failpoint
from burnish.store.files import fsync_dir, storage_errors, write_atomic
from burnish.talk import Talk

KEPT = 2
"""Checkpoints that stay: the newest, and the one before in case the newest is damaged."""
PREFIX = "step-"
PARTIAL = ".partial"
MANIFEST = "manifest.json"
STATE = "state.json"
SUFFIX = ".safetensors"


class Checkpoint(NamedTuple):
    """What a run needs to go on: named groups of tensors, and plain JSON data."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes folder/step-N so that it is there whole or not at all, then removes all but the newest two.

    Raises StorageError when the disk is full; earlier checkpoints are untouched then.
    """
    target = folder / f"{PREFIX}{checkpoint.step:06d}"
    partial = folder / (target.name + PARTIAL)
    with storage_errors("saving a checkpoint", folder):
        try:
            _write(partial, checkpoint)
            shutil.rmtree(target, ignore_errors=True)
            failpoint("train.ckpt.rename")
            partial.rename(target)
            fsync_dir(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    for old in _steps(folder)[KEPT:]:
        shutil.rmtree(old)
    return target


def _write(partial: Path, checkpoint: Checkpoint) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    contents = {name + SUFFIX: safetensors.torch.save(group) for name, group in checkpoint.tensors.items()}
    contents[STATE] = canonical_json(checkpoint.state)
    for name, content in contents.items():
        failpoint("train.ckpt.tensors")
        write_atomic(partial / name, content)
    files = {name: {"bytes": len(body), "sha256": fingerprint_bytes([body])} for name, body in contents.items()}
    failpoint("train.ckpt.manifest")
    write_atomic(partial / MANIFEST, canonical_json({"step": checkpoint.step, "files": files}))


def last_good_checkpoint(folder: Path, talk: Talk) -> Checkpoint | None:
    """The newest checkpoint whose every byte is as it was written; None when there is none.

    A damaged one is named aloud, removed and passed over for the one before it.
    """
    for path in _steps(folder):
        try:
            return _read(path)
        except DamagedError as error:
            talk.warn(f"checkpoint {path.name} is damaged: {error}; looking for the one before it")
            shutil.rmtree(path)
    return None


def claim_folder(folder: Path, job: Mapping[str, Any]) -> None:
    """Marks the folder as belonging to this job; a rerun of the same job passes, any other is refused with the diff.

    Raises ConfigError: a run is never continued with other settings, data or another base.
    """
    path = folder / "job.json"
    ours = json.loads(canonical_json(job))
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, canonical_json(job))
        return
    theirs = json.loads(path.read_bytes())
    if theirs == ours:
        return
    before, now = _leaves(theirs), _leaves(ours)
    changed = [
        f"{key} {before.get(key, 'absent')} -> {now.get(key, 'absent')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    raise ConfigError(
        f"unfinished training in {folder} was started with something else: {'; '.join(changed[:8])}",
        hint="Undo the change to go on with it, or remove that folder to begin anew.",
    )


def _steps(folder: Path) -> list[Path]:
    """Checkpoint folders, newest step first; by number, never by the clock."""
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True)


def _read(path: Path) -> Checkpoint:
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        bodies = {name: (path / name).read_bytes() for name in manifest["files"]}
        step = int(manifest["step"])
        for name, body in bodies.items():
            if fingerprint_bytes([body]) != manifest["files"][name]["sha256"]:
                raise DamagedError(f"{name} differs from its manifest")
        state = json.loads(bodies.pop(STATE))
    except FileNotFoundError as error:
        raise DamagedError(f"{Path(error.filename).name} is missing") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{MANIFEST} cannot be read") from error
    tensors = {name.removesuffix(SUFFIX): safetensors.torch.load(body) for name, body in bodies.items()}
    return Checkpoint(step, tensors, state)


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    if isinstance(value, dict):
        return {key: leaf for part in value for key, leaf in _leaves(value[part], f"{name}.{part}".lstrip(".")).items()}
    return {name: value}
