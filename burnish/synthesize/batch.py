"""A synthetic batch on disk: rows, where each is from, what was dropped and why. Sealed with its stage's artifact.

The files are those of any data batch and two more, so that a batch can be added to a project like one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from burnish.data.batch_files import REJECTS, ROWS, example_line, example_of
from burnish.data.provenance import BATCH, PROVENANCE, PROVENANCE_FILE, SYNTHETIC
from burnish.errors import DamagedError, DataError
from burnish.records import Cell, Example, Provenance, Rejection, as_json, from_json
from burnish.store.files import safe_name, storage_errors, write_atomic
from burnish.synthesize.audit import Audit
from burnish.synthesize.coverage import Coverage
from burnish.synthesize.guards import HALF_CHARACTER, Drop

REPORT = "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """How a batch came to be."""

    batch: str
    num_made: int
    """Rows that moves or a generator wrote, dropped ones too."""
    num_kept: int
    by_reason: Mapping[str, int] = field(default_factory=dict)
    """Dropped rows by the stable word of their reason."""
    cells: tuple[Cell, ...] = ()
    """What had been asked for."""
    coverage: Coverage | None = None
    """None: too few rows to compare."""
    audit: Audit | None = None
    """None: judged later, or not at all; such a batch trains nothing."""
    usd: float = 0.0
    seconds: float = 0.0
    num_asked: int = 0
    """Rows that the decontamination was asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticBatch:
    """A batch as it is read back."""

    rows: tuple[Example, ...]
    provenance: tuple[Provenance, ...]
    """One for each row, in their order."""
    report: BatchReport


def write_batch(
    folder: Path,
    rows: Sequence[Example],
    provenance: Sequence[Provenance],
    report: BatchReport,
    drops: Sequence[Drop] = (),
) -> dict[str, Any]:
    """Writes a batch into a stage's folder and returns the record of the stage: name, counts, reasons.

    Every row gets the columns provenance=synthetic and batch=NAME. Same arguments, same bytes. Raises DataError when a
    row lacks its provenance, has no parent, has a row of this batch as one, or when the counts do not add up.
    """
    name = safe_name(report.batch)
    _check(rows, provenance, report, drops)
    marked = [replace(row, slices={**row.slices, PROVENANCE: SYNTHETIC, BATCH: name}) for row in rows]
    rejections = [
        Rejection(source=f"synthesize:{name}", row=at, offset_bytes=None, reason=drop.reason, snippet=drop.example)
        for at, drop in enumerate(drops)
    ]
    with storage_errors(f"writing the batch {name}", folder):
        write_atomic(folder / ROWS, "".join(example_line(row) for row in marked).encode())
        write_atomic(folder / REJECTS, _lines(as_json(one) for one in rejections))
        write_atomic(folder / PROVENANCE_FILE, _lines(as_json(one) for one in provenance))
        write_atomic(folder / REPORT, (json.dumps(as_json(report), ensure_ascii=False, indent=1) + "\n").encode())
    return {"batch": name, "num_rows": len(rows), "num_rejects": len(drops), "by_reason": dict(report.by_reason)}


def read_batch(folder: Path) -> SyntheticBatch:
    """The batch in a folder; `store.manifest.verify` tells whether its bytes are those that were sealed.

    Raises DamagedError when a file is missing or unreadable, or rows and provenance do not belong together.
    """
    try:
        rows = tuple(example_of(line) for line in _read_lines(folder / ROWS))
        provenance = tuple(from_json(Provenance, json.loads(line)) for line in _read_lines(folder / PROVENANCE_FILE))
        report = from_json(BatchReport, json.loads((folder / REPORT).read_bytes()))
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            f"{folder.name} is no synthetic batch: {error}", hint="make the batch again: the stage is redone"
        ) from error
    if [row.id for row in rows] != [one.example for one in provenance]:
        raise DamagedError(
            f"rows and provenance of {report.batch} do not belong together",
            hint="make the batch again: the stage is redone",
        )
    return SyntheticBatch(rows=rows, provenance=provenance, report=report)


def _check(
    rows: Sequence[Example], provenance: Sequence[Provenance], report: BatchReport, drops: Sequence[Drop]
) -> None:
    ids = [row.id for row in rows]
    faults = {
        "two rows have one id": len(set(ids)) < len(ids),
        "rows and provenance differ": ids != [one.example for one in provenance],
        "a row has no parent": any(not one.parents for one in provenance),
        "a synthetic row is a parent": any(set(ids).intersection(one.parents) for one in provenance),
        "a row holds half a character": any(
            HALF_CHARACTER.search(turn.content) for row in rows for turn in row.messages
        ),
        "the counts do not add up": report.num_kept != len(rows)
        or sum(report.by_reason.values()) + len(rows) != report.num_made
        or len(drops) > report.num_made - len(rows),
    }
    told = [fault for fault, is_so in faults.items() if is_so]
    if told:
        raise DataError(
            f"the batch {report.batch} cannot be written: {'; '.join(told)}",
            hint="give every row the provenance of its making, and every drop a reason",
        )


def _lines(items: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in items).encode()


def _read_lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return list(file)
