"""The examples of a project: batches that came in together, each a sealed artifact that is never changed.

A file is added whole or not at all, and memory stays flat: what was seen before is looked up in a file, not held.
"""

import json
import os
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TextIO

from burnish.config import Settings
from burnish.data.ingest import SHOWN, encoding_hint, read_rows
from burnish.data.provenance import PROVENANCE_FILE
from burnish.data.quality import inspect_text, snippet
from burnish.data.shapes import SUPPORTED
from burnish.errors import DataError, UsageError
from burnish.fingerprint import fingerprint, fingerprint_file
from burnish.grammar import agree
from burnish.records import Example, Message, Rejection, as_json, from_json
from burnish.store.artifacts import verify
from burnish.store.barred import barred
from burnish.store.batches import Batch, add_batch, batches
from burnish.store.failpoints import failpoint
from burnish.store.files import safe_name, storage_errors
from burnish.store.stage import run_stage
from burnish.store.store import Store
from burnish.talk import Talk

DATA_VERSION = 1
ROWS, REJECTS = "rows.jsonl", "rejects.jsonl"
DUPLICATE = "duplicate"
SAID_EVERY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AddReport:
    """What came of adding files."""

    num_kept: int
    num_rejected: int
    """Rows that are no example; duplicates are counted apart."""
    num_duplicates: int
    by_reason: Mapping[str, int]
    """Rows not taken by the stable word of their reason, duplicates included, most frequent first."""
    batches: tuple[str, ...]
    """Names of the batches that were made, one for each file with something new."""
    secrets: Mapping[str, int] = field(default_factory=dict)
    """Kept rows that hold a secret or personal data, by kind."""
    num_control_tokens: int = 0
    """Kept rows that hold something like <|im_start|>; it is read as plain text."""
    num_conflicts: int = 0
    """Kept rows whose prompt an earlier row answers otherwise."""
    num_renamed: int = 0
    """Kept rows whose id was taken by another example; a hash was put behind it."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know, one sentence each."""
        told = []
        if self.secrets:
            found = ", ".join(f"{kind} in {count:,}" for kind, count in self.secrets.items())
            told.append(f"rows hold secrets or personal data ({found}); they are masked in reports, not in training")
        if self.num_control_tokens:
            told.append(
                f"{agree(self.num_control_tokens, 'row holds', 'rows hold')} control tokens of a chat format; "
                "they count as plain text"
            )
        if self.num_conflicts:
            told.append(
                f"{agree(self.num_conflicts, 'row answers', 'rows answer')} a prompt differently from an earlier row "
                "with the same one"
            )
        if self.num_renamed:
            told.append(
                f"{agree(self.num_renamed, 'row', 'rows')} had an id that another example has; a hash was put behind it"
            )
        return tuple(told)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, the warnings with it."""
        return {**as_json(self), "warnings": list(self.warnings)}

    def as_text(self) -> str:
        """A few lines for people."""
        kept = agree(self.num_kept, "example", "examples")
        lines = [
            f"{kept} kept, {self.num_rejected:,} rejected, {agree(self.num_duplicates, 'duplicate', 'duplicates')}"
        ]
        lines += [f"  {reason}: {count:,}" for reason, count in self.by_reason.items() if reason != DUPLICATE]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def add_files(
    store: Store, settings: Settings, paths: Sequence[Path | str], talk: Talk, *, skip_bad: bool = False
) -> AddReport:
    """Adds files, one batch each, and says what was kept; rows that the project has already are left out.

    Raises DataError at the first file with a bad row, listing how many there are by reason and the first five, unless
    `skip_bad` keeps the good rows and records the others. Files before that one stay added. BusyError while another
    process works on the project.
    """
    reports = []
    with store.lock(talk):
        for path in paths:
            with _spool(store) as spool:
                report = _read(store, settings, path, spool, talk)
                _refuse_bad(report, path, spool, skip_bad=skip_bad)
                reports.append(_seal(store, path, spool, report, talk))
    return _joined(reports)


def load_examples(store: Store) -> Iterator[Example]:
    """Every example that came from outside and is not barred, in the order in which they came. Raises DamagedError."""
    return (example for _, example in _in_use(store, made=False))


def load_made(store: Store) -> Iterator[tuple[Batch, Example]]:
    """Every row that burnish made itself and that is not barred, with its batch. Raises DamagedError."""
    return _in_use(store, made=True)


def is_made(store: Store, batch: Batch) -> bool:
    """Whether burnish made a batch itself: then it says where each of its rows is from."""
    return (store.path_of(batch.artifact) / PROVENANCE_FILE).exists()


def _in_use(store: Store, *, made: bool) -> Iterator[tuple[Batch, Example]]:
    """Rows of the one kind of batch; files of the other are not read."""
    left_out = {one.example for one in barred(store)}
    wanted = (batch for batch in batches(store) if is_made(store, batch) == made)
    rows = (pair for batch in wanted for pair in _rows_of(store, batch))
    return ((batch, example) for batch, example in rows if example.id not in left_out)


def every_row(store: Store) -> Iterator[tuple[Batch, Example]]:
    """Every row that was ever added, barred ones too, each with its batch: for erasure and for finding twins."""
    return (pair for batch in batches(store) for pair in _rows_of(store, batch))


def _rows_of(store: Store, batch: Batch) -> Iterator[tuple[Batch, Example]]:
    folder = store.path_of(batch.artifact)
    verify(folder)
    with (folder / ROWS).open("rb") as file:
        for line in file:
            yield batch, _example(json.loads(line))


def rejects(store: Store) -> Iterator[Rejection]:
    """Every row that was not taken, with its reason; of batches that came from outside and had a new example."""
    for batch in (one for one in batches(store) if not is_made(store, one)):
        with (store.path_of(batch.artifact) / REJECTS).open("rb") as file:
            for line in file:
                yield from_json(Rejection, json.loads(line))


def set_hash(examples: Iterable[Example]) -> str:
    """Identity of a set of examples, whatever their order, names and files."""
    return fingerprint(sorted(example.content_hash for example in examples))


# Reading --------------------------------------------------------------------------------------------------------------


class _Seen:
    """Contents, prompts and ids that are taken, on disk, so that memory stays flat at any number of rows."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=off", "synchronous=off", "cache_size=-32000", "locking_mode=exclusive"):
            self.db.execute(f"pragma {pragma}")
        self.db.execute("create table content (hash blob primary key, source text) without rowid")
        self.db.execute("create table prompt (hash blob primary key, answer blob) without rowid")
        self.db.execute("create table name (id text primary key) without rowid")
        self.db.execute("begin")

    def twin(self, example: Example) -> str | None:
        """Where the same conversation stood before; None the first time."""
        key = _hash("\x1f".join(f"{turn.role}\x1e{turn.content}" for turn in example.messages))
        if self._add("insert or ignore into content values (?, ?)", key, example.source):
            return None
        row = self.db.execute("select source from content where hash = ?", (key,)).fetchone()
        return str(row[0])

    def is_conflict(self, example: Example) -> bool:
        """Whether the same prompt was answered otherwise before."""
        key = _hash("\x1f".join(f"{turn.role}\x1e{turn.content}" for turn in example.prompt))
        answer = _hash(example.answer)
        if self._add("insert or ignore into prompt values (?, ?)", key, answer):
            return False
        row = self.db.execute("select answer from prompt where hash = ?", (key,)).fetchone()
        return bool(row[0] != answer)

    def free_id(self, example: Example) -> str:
        """The example's own id, with a mark behind it when another example has it."""
        if self._add("insert or ignore into name values (?)", example.id):
            return example.id
        content = example.content_hash
        names = (f"{example.id}-{content[:8]}", f"{example.id}-{content}")
        return next(name for name in names if self._add("insert or ignore into name values (?)", name))

    def _add(self, statement: str, *values: bytes | str) -> bool:
        return self.db.execute(statement, values).rowcount == 1


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8"), digest_size=16).digest()


class _Counts:
    """What is counted while rows go by."""

    def __init__(self) -> None:
        self.kept = self.control_tokens = self.conflicts = self.renamed = 0
        self.reasons: Counter[str] = Counter()
        self.secrets: Counter[str] = Counter()


def _read(store: Store, settings: Settings, path: Path | str, spool: Path, talk: Talk) -> AddReport:
    """Writes kept and rejected rows to the spool, and counts them."""
    counts = _Counts()
    with storage_errors("adding data", spool):
        seen = _Seen(spool / "seen.db")
        for batch, example in every_row(store):
            if not is_made(store, batch):  # a person's row that says the same as a made one is no duplicate
                seen.twin(example)
                seen.is_conflict(example)
            seen.free_id(example)
        with (
            (spool / ROWS).open("w", encoding="utf-8") as rows,
            (spool / REJECTS).open("w", encoding="utf-8") as bad,
            talk.track(f"read {Path(path).name}", 0, "rows") as advance,
        ):
            number = 0
            for number, row in enumerate(read_rows(path, settings), start=1):
                taken = _take(row, seen, counts, rows)
                if isinstance(taken, Rejection):
                    counts.reasons[taken.reason.split(":")[0]] += 1
                    bad.write(json.dumps(as_json(taken), ensure_ascii=False) + "\n")
                if number % SAID_EVERY == 0:
                    advance(SAID_EVERY, f"{counts.kept:,} kept")
            advance(number % SAID_EVERY, f"{counts.kept:,} kept")
        seen.db.close()
        (spool / "seen.db").unlink()
    return _report(counts)


def _take(row: Example | Rejection, seen: _Seen, counts: _Counts, rows: TextIO) -> Example | Rejection:
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
    rows.write(_line(row, identity))
    return row


def _report(counts: _Counts) -> AddReport:
    num_duplicates = counts.reasons[DUPLICATE]
    return AddReport(
        num_kept=counts.kept,
        num_rejected=counts.reasons.total() - num_duplicates,
        num_duplicates=num_duplicates,
        by_reason={reason: count for reason, count in counts.reasons.most_common() if count},
        batches=(),
        secrets=dict(sorted(counts.secrets.items())),
        num_control_tokens=counts.control_tokens,
        num_conflicts=counts.conflicts,
        num_renamed=counts.renamed,
    )


def _line(example: Example, identity: str) -> str:
    data = {
        "id": identity,
        "messages": [[turn.role, turn.content] for turn in example.messages],
        "group": example.group if example.group != example.id else identity,
        "slices": dict(example.slices),
        "source": example.source,
        "weight": example.weight,
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def _example(data: dict[str, Any]) -> Example:
    turns = tuple(Message(role=role, content=content) for role, content in data.pop("messages"))
    return Example(messages=turns, **data)


def _refuse_bad(report: AddReport, path: Path | str, spool: Path, *, skip_bad: bool) -> None:
    total = report.num_rejected + report.num_kept + report.num_duplicates
    if not total:
        raise DataError(f"{path} holds no row", hint="give a file with at least 20 examples")
    if not report.num_rejected or (skip_bad and total > report.num_rejected):
        return
    first = _first_bad(spool)
    shown = "\n".join(f"  {_place(row)}  {row.reason}" for row in first)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.by_reason.items() if reason != DUPLICATE)
    more = f"\n  and {report.num_rejected - SHOWN:,} more" if report.num_rejected > SHOWN else ""
    raise DataError(
        f"{report.num_rejected:,} of {total:,} rows of {path} cannot be used ({reasons}), so nothing of it was added:\n"
        f"{shown}{more}",
        hint=encoding_hint(path, first) or "mend them, or give --skip-bad to keep the good rows and record the others"
        if total > report.num_rejected
        else f"no row of it is an example; these shapes are read: {SUPPORTED}",
    )


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


def _seal(store: Store, path: Path | str, spool: Path, report: AddReport, talk: Talk) -> AddReport:
    if not report.num_kept:
        talk.say(f"{path}: all {report.num_duplicates:,} rows are in the project already")
        return report

    def work(folder: Path) -> dict[str, Any]:
        for name in (ROWS, REJECTS):
            os.replace(spool / name, folder / name)
        failpoint("data.moved")
        return {"num_rows": report.num_kept, "num_rejects": report.num_rejected}

    with storage_errors("sealing new data", spool):
        hashes = {name: fingerprint_file(spool / name) for name in (ROWS, REJECTS)}
    sealed = run_stage(
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
    failpoint("data.sealed")
    batch = add_batch(
        store,
        name=_free_name(store, path),
        artifact=store.relative(sealed.path),
        content_hash=sealed.content_hash,
        num_rows=report.num_kept,
        num_rejects=report.num_rejected,
        sources=(_file_name(path),),
    )
    return replace(report, batches=(batch.name,))


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


def _joined(reports: Sequence[AddReport]) -> AddReport:
    reasons: Counter[str] = Counter()
    secrets: Counter[str] = Counter()
    for report in reports:
        reasons.update(report.by_reason)
        secrets.update(report.secrets)
    return AddReport(
        num_kept=sum(report.num_kept for report in reports),
        num_rejected=sum(report.num_rejected for report in reports),
        num_duplicates=sum(report.num_duplicates for report in reports),
        by_reason=dict(reasons.most_common()),
        batches=tuple(name for report in reports for name in report.batches),
        secrets=dict(sorted(secrets.items())),
        num_control_tokens=sum(report.num_control_tokens for report in reports),
        num_conflicts=sum(report.num_conflicts for report in reports),
        num_renamed=sum(report.num_renamed for report in reports),
    )
