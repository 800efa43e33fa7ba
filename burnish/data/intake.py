"""The intake of files: each becomes a sealed batch, whole or not at all, and memory stays flat on the way."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from burnish.config import Settings
from burnish.data.add_report import DUPLICATE, AddReport, Counts
from burnish.data.batch_files import REJECTS, ROWS, example_line
from burnish.data.columns import ColumnUse
from burnish.data.dataset import every_row, is_made
from burnish.data.ingest import SHOWN, encoding_hint, read_rows
from burnish.data.quality import inspect_text, snippet
from burnish.data.seen import Seen
from burnish.data.shapes import SUPPORTED
from burnish.errors import DataError, UsageError
from burnish.fingerprint import fingerprint_file
from burnish.records import Example, Rejection, as_json, from_json
from burnish.store.batches import add_batch, batches
from burnish.store.failpoints import failpoint
from burnish.store.files import safe_name, storage_errors
from burnish.store.manifest import Sealed
from burnish.store.stage import run_stage
from burnish.store.store import Store
from burnish.talk import Talk

DATA_VERSION = 1
SAID_EVERY = 1000


def add_files(
    store: Store, settings: Settings, paths: Sequence[Path | str], talk: Talk, *, skip_bad: bool = False
) -> AddReport:
    """Adds files, one batch each, and says what was kept; rows that the project has already are left out.

    Raises DataError at the first file with a bad row, listing how many there are by reason and the first five, unless
    `skip_bad` keeps the good rows and records the others. Files before that one stay added. BusyError while another
    process works on the project.
    """
    total, names = Counts(), list[str]()
    with store.lock(talk):
        for path in paths:
            with _spool(store) as spool:
                counts = _read(store, settings, path, spool, talk)
                _refuse_bad(counts, path, spool, skip_bad=skip_bad)
                names += _seal(store, path, spool, counts, talk)
                total.add(counts)
    return total.report(names)


# Reading --------------------------------------------------------------------------------------------------------------


def _read(store: Store, settings: Settings, path: Path | str, spool: Path, talk: Talk) -> Counts:
    """Writes kept and rejected rows to the spool, and counts them."""
    counts, use = Counts(), ColumnUse()
    with storage_errors("adding data", spool):
        seen = _seen_before(store, spool / "seen.db")
        with (
            (spool / ROWS).open("w", encoding="utf-8") as rows,
            (spool / REJECTS).open("w", encoding="utf-8") as bad,
            talk.track(f"read {Path(path).name}", 0, "rows") as advance,
        ):
            number = 0
            for number, row in enumerate(read_rows(path, settings, use), start=1):
                taken = _take(row, seen, counts, rows)
                if isinstance(taken, Rejection):
                    counts.reasons[taken.reason.split(":")[0]] += 1
                    bad.write(json.dumps(as_json(taken), ensure_ascii=False) + "\n")
                if number % SAID_EVERY == 0:
                    advance(SAID_EVERY, f"{counts.kept:,} kept")
            advance(number % SAID_EVERY, f"{counts.kept:,} kept")
        seen.close()
    if warning := use.warning():
        talk.warn(f"{_file_name(path)}: {warning}")
    return counts


def _seen_before(store: Store, path: Path) -> Seen:
    """What the rows of the project take already, noted in a file at `path`."""
    seen = Seen(path)
    for batch, example in every_row(store):
        if not is_made(store, batch):  # a person's row that says the same as a made one is no duplicate
            seen.twin(example)
            seen.is_conflict(example)
        seen.free_id(example)
    return seen


def _take(row: Example | Rejection, seen: Seen, counts: Counts, rows: TextIO) -> Example | Rejection:
    """Writes a new example; a twin of an earlier one becomes a rejection."""
    if isinstance(row, Rejection):
        return row
    if (twin := seen.twin(row)) is not None:
        name, _, number = row.source.rpartition(":")
        return Rejection(
            source=name, row=int(number), offset_bytes=None, reason=f"{DUPLICATE}: same as {twin}", snippet=""
        )
    identity = seen.free_id(row)
    counts.kept += 1
    counts.renamed += identity != row.id
    counts.conflicts += seen.is_conflict(row)
    found = inspect_text("\n".join(turn.content for turn in row.messages))
    counts.secrets.update({*found.secrets, *found.personal})
    counts.control_tokens += found.control_tokens > 0
    group = row.group if row.group != row.id else identity
    rows.write(example_line(replace(row, id=identity, group=group)))
    return row


def _refuse_bad(counts: Counts, path: Path | str, spool: Path, *, skip_bad: bool) -> None:
    total = counts.rejected + counts.kept + counts.duplicates
    if not total:
        raise DataError(f"{path} holds no row", hint="give a file with at least 20 examples")
    if not counts.rejected or (skip_bad and total > counts.rejected):
        return
    first = _first_bad(spool)
    shown = "\n".join(f"  {_place(row)}  {row.reason}" for row in first)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.reasons.most_common() if reason != DUPLICATE)
    more = f"\n  and {counts.rejected - SHOWN:,} more" if counts.rejected > SHOWN else ""
    raise DataError(
        f"{counts.rejected:,} of {total:,} rows of {path} cannot be used ({reasons}), so nothing of it was added:\n"
        f"{shown}{more}",
        hint=encoding_hint(path, first) or _way_on(has_good=total > counts.rejected),
    )


def _way_on(*, has_good: bool) -> str:
    if has_good:
        return "mend them, or give --skip-bad to keep the good rows and record the others"
    return f"no row of it is an example; these shapes are read: {SUPPORTED}"


def _place(row: Rejection) -> str:
    return f"{row.source}:{row.row}" + (f" (byte {row.offset_bytes:,})" if row.offset_bytes is not None else "")


def _first_bad(spool: Path) -> list[Rejection]:
    """The first five rejections that are no duplicates."""
    found: list[Rejection] = []
    with (spool / REJECTS).open(encoding="utf-8") as file:
        for line in file:
            row = from_json(Rejection, json.loads(line))
            if not row.reason.startswith(DUPLICATE):
                found.append(row)
            if len(found) == SHOWN:
                break
    return found


# Sealing --------------------------------------------------------------------------------------------------------------


@contextmanager
def _spool(store: Store) -> Iterator[Path]:
    """A folder for half-read files; what a killed process left there goes first."""
    folder = store.root / "work" / "incoming"
    with storage_errors("making room for new data", store.root):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _seal(store: Store, path: Path | str, spool: Path, counts: Counts, talk: Talk) -> list[str]:
    """Makes what is in the spool a batch of the project, and returns its name; none where nothing of it is new."""
    if not counts.kept:
        talk.say(f"{path}: all {counts.duplicates:,} rows are in the project already")
        return []
    sealed = _sealed(store, spool, counts, talk)
    failpoint("data.sealed")
    batch = add_batch(
        store,
        name=_free_name(store, path),
        artifact=store.relative(sealed.path),
        content_hash=sealed.content_hash,
        num_rows=counts.kept,
        num_rejects=counts.rejected,
        sources=(_file_name(path),),
    )
    return [batch.name]


def _sealed(store: Store, spool: Path, counts: Counts, talk: Talk) -> Sealed:
    """The artifact of what is in the spool."""

    def work(folder: Path) -> dict[str, Any]:
        for name in (ROWS, REJECTS):
            os.replace(spool / name, folder / name)
        failpoint("data.moved")
        return {"num_rows": counts.kept, "num_rejects": counts.rejected}

    with storage_errors("sealing new data", spool):
        hashes = {name: fingerprint_file(spool / name) for name in (ROWS, REJECTS)}
    return run_stage(
        store,
        stage="data",
        version=DATA_VERSION,
        settings={},
        inputs=hashes,
        seed=0,
        work=work,
        talk=talk,
        libraries=(),
    )


def _file_name(path: Path | str) -> str:
    return "stdin" if str(path) == "-" else snippet(Path(path).name, 200)


def batch_name(path: Path | str) -> str:
    """The name that the first batch of a file gets: its file name in small letters, odd characters as dashes."""
    name = re.sub(r"[^a-z0-9._-]+", "-", _file_name(path).casefold()).strip("._-")[:48].rstrip("._-")
    try:
        return safe_name(name)
    except UsageError:
        return safe_name(f"data-{name}".rstrip("-"))


def _free_name(store: Store, path: Path | str) -> str:
    """The batch name of the file, numbered when an earlier file had the same."""
    name, taken = batch_name(path), {batch.name for batch in batches(store)}
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in numbered if other not in taken)
