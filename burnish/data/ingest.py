"""Rows of a source as examples or rejections, one at a time: the one way in for data add, check, try and eval."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from burnish.config import Settings
from burnish.data.answers import compact_fields
from burnish.data.columns import ColumnUse
from burnish.data.encoding import SAMPLE_BYTES, recode_hint
from burnish.data.formats import RawRow, raw_rows
from burnish.data.lines import BROKEN_GZIP, open_source
from burnish.data.shapes import ABSENT, SUPPORTED, Conversation, RowFault, as_text, no_column, read_conversation
from burnish.errors import DataError
from burnish.fingerprint import SHORT, fingerprint
from burnish.records import Example, Message, Rejection

LONGEST_SLICE = 80
"""Characters; a longer value is a text, not a slice, and is dropped."""

KEPT_WHOLE = {"facts": 2000}
"""Metadata columns that a scorer reads, with the length up to which they are kept."""

LONGEST_ID = 128
MAX_COLUMNS = 64
"""Metadata columns of a row that are kept."""

SHOWN = 5
"""Rows that an error lists."""

HOPELESS = 20
"""Rows with unknown columns after which a source is given up, when none before them was good."""


def read_rows(source: str | Path, settings: Settings, use: ColumnUse | None = None) -> Iterator[Example | Rejection]:
    """Every row of a file, a `datasets` folder or "-" (standard input): an example, or why it is none.

    Formats and shapes are found per file and may be mixed within one. Answers are stripped; of the metadata, `id`,
    `group` and `weight` have a meaning and every other column of short plain values becomes a slice; `use` notes what
    becomes of columns. Memory is flat.
    Raises DataError when the source as a whole cannot be read, or its columns do not say what is text and answer.
    """
    reader = _RowReader(settings, use or ColumnUse())
    held: list[Rejection] = []
    has_good = False
    for raw in raw_rows(source, sheet=settings.data.sheet):
        row = reader.read(raw)
        if has_good:
            yield row
        elif isinstance(row, Example):
            has_good = True
            yield from held
            yield row
        else:
            held.append(row)
            _refuse_hopeless(held, raw, at_end=False)
            if len(held) > HOPELESS:
                has_good = True
                yield from held
    if not has_good:
        _refuse_hopeless(held, None, at_end=True)
        yield from held


def nothing_read(file: str | Path, rows: Sequence[Example | Rejection]) -> DataError:
    """The error for a source none of whose rows is an example: how many there are, and why the first are none."""
    bad = [row for row in rows if isinstance(row, Rejection)]
    if not bad:
        return DataError(f"{file} holds no row", hint="give a file with at least 20 examples")
    shown = "\n".join(f"  {row.source}:{row.row}  {row.reason}" for row in bad[:SHOWN])
    more = f"\n  and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else ""
    return DataError(
        f"no row of {file} can be used:\n{shown}{more}",
        hint=encoding_hint(file, bad) or f"no row of it is an example; these shapes are read: {SUPPORTED}",
    )


def encoding_hint(file: str | Path, bad: Iterable[Rejection]) -> str:
    """What to do about rows that are no UTF-8, as spreadsheets on Windows write them; "" where there are none."""
    first = next((row for row in bad if row.reason.startswith("utf-8:")), None)
    return recode_hint(str(file), _bytes_at(file, first.offset_bytes or 0)) if first else ""


def _bytes_at(file: str | Path, offset: int) -> bytes:
    """The beginning of a row and what follows, to tell the encoding by; nothing of a stream, which is over."""
    if str(file) == "-":
        return b""
    with suppress(*BROKEN_GZIP), open_source(Path(file)) as opened:
        while offset > 0 and (skipped := opened.stream.read(min(offset, SAMPLE_BYTES))):
            offset -= len(skipped)
        return opened.stream.read(SAMPLE_BYTES)
    return b""


def _refuse_hopeless(held: list[Rejection], raw: RawRow | None, *, at_end: bool) -> None:
    """Raises DataError when most rows so far failed for their columns: then the file is meant otherwise."""
    faults = [row.reason.removeprefix("columns: ") for row in held if row.reason.startswith("columns:")]
    if 2 * len(faults) <= len(held) or (len(held) < HOPELESS and not at_end):
        return
    raise DataError(f"{held[0].source}: {faults[0]}", hint=_columns_hint(faults[0]))


def _columns_hint(fault: str) -> str:
    if ABSENT in fault:
        return "mend the name, where --set or burnish.yaml has it"
    wanted = "data.text" if "which column is the text" in fault else "data.answer"
    also = "" if wanted == "data.text" else ", and --set 'data.text=COLUMN' where the text is not found either"
    shapes = f"Shapes that need no setting: {SUPPORTED}"
    return f"add --set '{wanted}=COLUMN'{also}, or write it into burnish.yaml. {shapes}"


class _RowReader:
    """What is remembered from row to row: the order of fields, so that every answer of a file has the same one."""

    def __init__(self, settings: Settings, use: ColumnUse) -> None:
        self.settings = settings
        self.use = use
        self.group_column = settings.data.group or "group"
        self.fields: tuple[str, ...] = tuple(settings.task.fields)

    def read(self, raw: RawRow) -> Example | Rejection:
        """The example, or the rejection."""
        if raw.fault:
            return raw.rejection(raw.fault, raw.text)
        try:
            found = read_conversation(raw.value, self.settings.data)
            return self._example(raw, self._in_field_order(found))
        except RowFault as fault:
            return raw.rejection(str(fault), _shown(raw.value))

    def _in_field_order(self, found: Conversation) -> Conversation:
        if self.settings.task.kind != "fields":
            return found
        answer, fields = compact_fields(found.messages[-1].content, self.fields)
        self.fields = self.fields or fields
        last = Message(role="assistant", content=answer)
        return found._replace(messages=(*found.messages[:-1], last))

    def _example(self, raw: RawRow, found: Conversation) -> Example:
        row = raw.value
        example = Example(
            id="",
            messages=found.messages,
            group="",
            slices=_slices(row, {*found.used, self.group_column}),
            source=f"{raw.source}:{raw.number}",
            weight=_weight(row.get("weight")),
        )
        name = clean_key(row.get("id")) or example.content_hash[:SHORT]
        if self.settings.data.group and self.group_column not in row:
            raise RowFault(f"columns: {no_column(row, self.group_column, 'data.group')}")
        group = clean_key(row.get(self.group_column)) or name
        self.use.note(found, row, {*example.slices, *KEPT_WHOLE, self.group_column, "id", "weight"})
        return Example(
            id=name,
            messages=example.messages,
            group=group,
            slices=example.slices,
            source=example.source,
            weight=example.weight,
        )


def clean_key(value: Any) -> str:
    """An id or a group as it is kept: plain text of at most 128 characters; "" for nothing and for what is no scalar.

    It is data and never a path. Control and invisible characters are replaced, too long ones cut; a hash keeps what
    was changed apart from its neighbours.
    """
    if value is None or isinstance(value, dict | list | bytes):
        return ""
    raw = as_text(value, "id").strip() if isinstance(value, str | bool | int | float) else str(value)
    clean = "".join(char if char.isprintable() else "�" for char in raw)
    if clean == raw and len(raw) <= LONGEST_ID:
        return raw
    return f"{clean[: LONGEST_ID - 9]}-{fingerprint(raw.encode('utf-8', 'replace').hex())[:8]}"


def _slices(row: Mapping[str, Any], used: Set[str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in row.items():
        if name in used or name in ("id", "weight") or not isinstance(value, str | bool | int | float):
            continue
        text = as_text(value, name).strip()
        if text and len(text) <= KEPT_WHOLE.get(name, LONGEST_SLICE) and len(kept) < MAX_COLUMNS and len(name) <= 80:
            kept[_printable(name)] = _printable(text)
    return kept


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def _weight(value: Any) -> float:
    """How much a row counts in training; absent and empty mean 1. Raises RowFault."""
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RowFault(f"weight: {str(value)[:40]!r} is no number") from error
    if not (math.isfinite(weight) and 0 < weight <= 1000):
        raise RowFault(f"weight: {weight:g} is not above 0 and at most 1000")
    return weight


def _shown(row: Mapping[str, Any]) -> str:
    """The row as text for a snippet, cut early: a value can be megabytes long."""
    return ", ".join(f"{name}: {str(value)[:400]}" for name, value in list(row.items())[:12])
