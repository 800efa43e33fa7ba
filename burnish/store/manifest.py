"""The manifest of a sealed artifact: every file with its size and hash, written last, and read before anything is used.

The content hash covers files and record, never times or places, so the same work gives the same hash on every machine.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.errors import DamagedError, StorageError
from burnish.fingerprint import SHORT, canonical_json, fingerprint, fingerprint_file
from burnish.store.failpoints import failpoint
from burnish.store.files import fsync_dir, storage_errors, write_atomic

MANIFEST = "manifest.json"
SCRATCH = "scratch"
"""Subfolder of a work folder that survives a kill and is dropped at sealing: checkpoints, partial results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A whole, verified artifact."""

    path: Path
    stage: str
    key: str
    content_hash: str
    """sha256 over the files' names, sizes and hashes and the record."""
    record: Mapping[str, Any]
    """What the stage returned, as plain JSON."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Times and other facts that are no part of the content."""
    was_cached: bool = False
    """True when it was there before and no work was done."""


def write_manifest(
    folder: Path, *, stage: str, key: str, record: Mapping[str, Any], meta: Mapping[str, Any] | None = None
) -> None:
    """Makes every file of a folder durable and describes them all in its manifest, written last; see `verify`."""
    (folder / MANIFEST).unlink(missing_ok=True)
    files = [_settle_file(folder, name) for name in _file_names(folder)]
    for inner in _folders(folder):
        inner.chmod(stat.S_IMODE(folder.stat().st_mode))
        fsync_dir(inner)
    failpoint("artifact.manifest")
    write_atomic(folder / MANIFEST, _manifest(stage, key, files, record, meta or {}))


def verify(folder: Path, *, key: str | None = None) -> Sealed:
    """The sealed artifact in `folder`, after reading every byte of it.

    Raises DamagedError that names the file when anything differs from the manifest: missing, extra, longer, shorter or
    changed files, a changed manifest, another key. Paths come from the folder, never from the manifest.
    """
    sealed, files = _parse_manifest(folder)
    if key is not None and sealed.key != key:
        raise _damaged(folder, MANIFEST, f"it belongs to key {sealed.key[:SHORT]}, not {key[:SHORT]}")
    with storage_errors("verifying an artifact", folder):
        found = set(_file_names(folder))
        for name in sorted(found ^ files.keys()):
            raise _damaged(folder, name, "missing" if name in files else "not in the manifest")
        for name, (size_bytes, sha256) in files.items():
            path = folder / name
            if path.stat().st_size != size_bytes:
                raise _damaged(folder, name, f"{path.stat().st_size} bytes, sealed with {size_bytes}")
            if fingerprint_file(path) != sha256:
                raise _damaged(folder, name, "its bytes differ from what was sealed")
    return sealed


def sealed_around(folder: Path, root: Path) -> Sealed:
    """The verified artifact that `folder` is, or lies in, below `root`. Raises DamagedError when there is none."""
    for place in (folder, *folder.parents):
        if place == root or not place.is_relative_to(root):
            break
        if (place / MANIFEST).exists():
            return verify(place)
    raise _damaged(folder, MANIFEST, "no manifest, so the artifact was never sealed, or was removed")


def _settle_file(folder: Path, name: str) -> dict[str, Any]:
    """Gives the file the folder's permissions (some writers leave 0600), makes it durable and describes it."""
    path = folder / name
    failpoint("artifact.write")
    path.chmod(stat.S_IMODE(folder.stat().st_mode) & 0o666)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return {"name": name, "bytes": path.stat().st_size, "sha256": fingerprint_file(path)}


def _manifest(
    stage: str, key: str, files: list[dict[str, Any]], record: Mapping[str, Any], meta: Mapping[str, Any]
) -> bytes:
    plain = json.loads(canonical_json(dict(record)))
    body = {
        "format": 1,
        "stage": stage,
        "key": key,
        "content_hash": fingerprint({"files": files, "record": plain}),
        "files": files,
        "record": plain,
        "meta": json.loads(canonical_json(dict(meta))),
    }
    return (json.dumps({**body, "seal": fingerprint(body)}, indent=1, ensure_ascii=False) + "\n").encode()


def read_manifest(folder: Path) -> Sealed:
    """What the manifest in `folder` says, checked against its own seal only. Raises DamagedError."""
    return _parse_manifest(folder)[0]


def _parse_manifest(folder: Path) -> tuple[Sealed, dict[str, tuple[int, str]]]:
    """The manifest's own words and its files, checked against its own seal only."""
    try:
        body = json.loads((folder / MANIFEST).read_bytes())
        seal = body.pop("seal")
        if seal != fingerprint(body):
            raise _damaged(folder, MANIFEST, "its bytes differ from what was sealed")
        if body["format"] != 1:
            raise StorageError(
                f"{folder} has format {body['format']}, this burnish reads format 1", hint="upgrade burnish"
            )
        files = {entry["name"]: (int(entry["bytes"]), str(entry["sha256"])) for entry in body["files"]}
    except FileNotFoundError as error:
        raise _damaged(folder, MANIFEST, "missing") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(folder, MANIFEST, "unreadable") from error
    sealed = Sealed(
        path=folder,
        stage=body["stage"],
        key=body["key"],
        content_hash=body["content_hash"],
        record=body["record"],
        meta=body["meta"],
    )
    return sealed, files


def _file_names(folder: Path) -> list[str]:
    """Relative names of all files to be sealed, sorted; links and devices are refused."""
    names = []
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if not stat.S_ISREG(path.lstat().st_mode):
            raise _damaged(folder, name, "not a plain file")
        if name != MANIFEST:
            names.append(name)
    return sorted(names)


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.parent == folder and entry.name == SCRATCH and entry.is_dir():
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from (inner for inner in entry.rglob("*") if not inner.is_dir() or inner.is_symlink())
        else:
            yield entry


def _folders(folder: Path) -> list[Path]:
    """Every folder inside, deepest first, without scratch/, and the folder itself last."""
    inner = [path for path in folder.rglob("*") if path.is_dir() and SCRATCH not in path.relative_to(folder).parts[:1]]
    return [*sorted(inner, key=lambda path: len(path.parts), reverse=True), folder]


def _damaged(folder: Path, name: str, reason: str) -> DamagedError:
    return DamagedError(
        f"the artifact {folder.parent.name}/{folder.name} is damaged: {name}: {reason}",
        hint="run the same command again: the stage is redone and gives the same result",
    )
