"""Content hashes: the same content has the same fingerprint on every machine and in every run.

Everything that is keyed, sealed or compared by identity goes through these few functions.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SHORT = 12
"""Characters of a fingerprint that are shown to people; 48 bits, enough to tell artifacts of one project apart."""


def canonical_json(value: Any) -> bytes:
    """One byte string per JSON value: sorted keys, no spaces, UTF-8. NaN and infinity raise ValueError."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def fingerprint(value: Any) -> str:
    """sha256 of the canonical JSON of `value`, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def fingerprint_file(path: Path) -> str:
    """sha256 of a file's bytes, as 64 hex digits; memory stays flat for a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_bytes(chunks: Iterable[bytes | memoryview]) -> str:
    """sha256 of the concatenated chunks, as 64 hex digits."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
