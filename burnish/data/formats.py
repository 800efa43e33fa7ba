"""From a source to raw rows: the format is found from the first bytes, the name is only a hint.

JSON lines, a JSON array, CSV and TSV are read here and in `tables`, workbooks in `workbook`, Parquet and `datasets`
folders in `columnar`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from burnish.data.encoding import SAMPLE_BYTES, recode_hint, refuse_unmarked
from burnish.data.lines import Line, Opened, open_source, read_lines
from burnish.data.quality import snippet
from burnish.data.strict_json import JsonFault, StrictJson
from burnish.errors import DataError
from burnish.records import Rejection

BOM = b"\xef\xbb\xbf"
MAX_ARRAY_BYTES = 64_000_000
"""A JSON array is held whole; JSON lines of any size are not."""

ZIP = b"PK\x03\x04"
"""How a workbook begins, and every other zip archive; `workbook` tells them apart."""

FOREIGN = {
    b"\xd0\xcf\x11\xe0": (
        "an old Excel workbook (.xls), or one with a password",
        "save it as .xlsx, without a password",
    ),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it with `zstd -d`, or pack it with gzip"),
    b"BZh": ("compressed with bzip2", "unpack it with `bunzip2`, or pack it with gzip"),
    b"\xfd7zXZ": ("compressed with xz", "unpack it with `unxz`, or pack it with gzip"),
    b"\x80\x02": ("a Python pickle, which can run code", "write it as JSON lines or Parquet"),
    b"\x80\x03": ("a Python pickle, which can run code", "write it as JSON lines or Parquet"),
    b"\x80\x04": ("a Python pickle, which can run code", "write it as JSON lines or Parquet"),
    b"\x80\x05": ("a Python pickle, which can run code", "write it as JSON lines or Parquet"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"\x89PNG": ("an image", "give a file of texts"),
    b"%PDF": ("a PDF", "give a file of rows: JSON lines, CSV or Parquet"),
}
"""First bytes of what is no data file of ours, to what it is and what to do."""

REFUSED_SUFFIXES = {
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth", ".bin", ".npy", ".joblib"), "a format that can run code"),
    ".py": "a script; burnish never runs code that comes with data",
}


class RawRow(NamedTuple):
    """A row before anything is known about its meaning: a value, or the fault that hides it."""

    source: str
    number: int
    offset: int | None
    value: Mapping[str, Any]
    fault: str = ""
    """Reason of the rejection, "word: detail"; empty when `value` counts."""
    text: str = ""
    """Beginning of what stood there, for the snippet of a rejection."""

    def rejection(self, reason: str, text: str) -> Rejection:
        """The row as one that is not taken, with the beginning of what stood there."""
        return Rejection(
            source=self.source,
            row=self.number,
            offset_bytes=self.offset,
            reason=snippet(reason, 300),
            snippet=snippet(text),
        )


def raw_rows(source: str | Path, *, sheet: str = "") -> Iterator[RawRow]:
    """Every row of a file, a `datasets` folder or, for "-", standard input.

    Memory is flat but for a JSON array and the texts of a workbook. `sheet` names the sheet of a workbook; without it
    the only visible one with rows is read. Raises DataError when the source as a whole cannot be read: absent, of no
    known format, an archive, a workbook that leaves open which sheet is meant.
    """
    from burnish.data.columnar import read_folder

    path = None if str(source) == "-" else Path(source)
    if path is not None and path.is_dir():
        yield from read_folder(path)
        return
    if path is not None and path.suffix.lower() in REFUSED_SUFFIXES:
        raise DataError(
            f"{path.name} is {REFUSED_SUFFIXES[path.suffix.lower()]}", hint="write the rows as JSON lines or Parquet"
        )
    with open_source(path) as opened:
        rows = _rows_in(opened, path, sheet)
        yield from (row._replace(offset=None) for row in rows) if opened.is_recoded else rows


def _rows_in(opened: Opened, path: Path | None, sheet: str) -> Iterator[RawRow]:
    from burnish.data.columnar import read_parquet
    from burnish.data.tables import read_table
    from burnish.data.workbook import read_workbook

    form = _form(opened)
    if form == "parquet":
        return read_parquet(_seekable(path, opened.name, "Parquet"), opened.name)
    if form == "workbook":
        return read_workbook(_seekable(path, opened.name, "an Excel workbook"), opened.name, sheet)
    if form == "table":
        return read_table(opened)
    return _read_array(opened) if form == "array" else _read_json_lines(opened)


def _seekable(path: Path | None, name: str, what: str) -> Path:
    if path is None or path.name != name:
        raise DataError(f"{what} cannot be read from a stream", hint="save it to a plain file and add that")
    return path


def _form(opened: Opened) -> str:
    """jsonl, array, table, workbook or parquet. Raises DataError for what is none of these."""
    start, name = opened.start, opened.name
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(ZIP):
        return "workbook"
    for magic, (what, todo) in FOREIGN.items():
        if start.startswith(magic):
            raise DataError(f"{name} is {what}", hint=todo)
    refuse_unmarked(start, name, opened.place)
    suffix = Path(name).suffix.lower()
    body = start.removeprefix(BOM).lstrip()
    if suffix in (".csv", ".tsv", ".tab") and body[:1] != b"{":
        return "table"
    if body[:1] == b"[" and (suffix not in (".jsonl", ".ndjson") or body.split(b"\n", 1)[0].strip() == b"["):
        return "array"
    if suffix == ".json" and body[:1] == b"{":
        _refuse_single_object(body, name)
    if suffix in (".jsonl", ".ndjson", ".json") or body[:1] in (b"{", b""):
        return "jsonl"
    if b"\x00" in start:
        raise DataError(f"{name} is no text file", hint="give JSON lines, CSV, TSV, Parquet or a datasets folder")
    return "table"


def _refuse_single_object(body: bytes, name: str) -> None:
    """A .json file may hold JSON lines; one object over several lines is no list of rows."""
    first = body.split(b"\n", 1)[0].strip()
    if first == b"{" or (first.endswith((b",", b"[", b"{", b":")) and b"\n" in body):
        raise DataError(
            f"{name} is one JSON object over several lines, not a list of rows",
            hint=f"write one object per line, for example: jq -c '.data[]' {name} > rows.jsonl",
        )


def _read_json_lines(opened: Opened) -> Iterator[RawRow]:
    parser = StrictJson()
    for line in read_lines(opened.stream):
        data = line.data.removeprefix(BOM) if line.number == 1 else line.data
        if line.fault or data.strip():
            yield _json_row(parser, opened.name, line, data)


def _json_row(parser: StrictJson, source: str, line: Line, data: bytes) -> RawRow:
    fault = line.fault
    if not fault:
        try:
            value = parser.parse(data.decode("utf-8").strip())
            if isinstance(value, dict):
                return RawRow(source, line.number, line.offset, value)
            fault = f"json: a row must be an object with columns, this is a {type(value).__name__}"
        except UnicodeDecodeError as error:
            fault = utf8_fault(error)
        except JsonFault as error:
            is_cut = line.size_bytes == len(line.data) and not data.rstrip().endswith(b"}")
            fault = f"json: {error}" + ("; the file ends here, inside the row" if is_cut else "")
    return RawRow(source, line.number, line.offset, {}, fault, data[:4000].decode("utf-8", "replace"))


def utf8_fault(error: UnicodeDecodeError) -> str:
    """The reason of a rejection for bytes that are no UTF-8."""
    return f"utf-8: byte 0x{error.object[error.start]:02x} at position {error.start + 1} of the line is not UTF-8"


def _read_array(opened: Opened) -> Iterator[RawRow]:
    """Elements of a JSON array; the text is held whole. A fault inside an element costs that element alone."""
    name = opened.name
    data = opened.stream.read(MAX_ARRAY_BYTES + 1)
    if len(data) > MAX_ARRAY_BYTES:
        raise DataError(
            f"{name} is a JSON array of more than {MAX_ARRAY_BYTES // 1_000_000} MB, which cannot be streamed",
            hint=f"write one object per line: jq -c '.[]' {name} > rows.jsonl",
        )
    try:
        text = data.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        odd = f"byte {error.start:,} of the file, 0x{error.object[error.start]:02x},"
        raise DataError(
            f"{name}, line {line}: {odd} is not UTF-8",
            hint=recode_hint(opened.place, error.object[error.start :][:SAMPLE_BYTES]),
        ) from error
    yield from _elements(text, name)


def _elements(text: str, name: str) -> Iterator[RawRow]:
    parser, number = StrictJson(), 0
    at = _skip_space(text, text.index("[") + 1)
    while text[at : at + 1] != "]":
        number += 1
        try:
            value, end = parser.parse_at(text, at)
        except (JsonFault, RecursionError) as error:
            fault = f"json: {error or 'nested too deep'}; the rest of the array cannot be read"
            yield RawRow(name, number, None, {}, fault, text[at : at + 4000])
            return
        shown = text[at : min(end, at + 4000)]
        fault = f"json: {parser.fault}" if parser.fault else ""
        if not fault and not isinstance(value, dict):
            fault = f"json: a row must be an object with columns, this is a {type(value).__name__}"
        yield RawRow(name, number, None, {} if fault else value, fault, shown if fault else "")
        at = _skip_space(text, end)
        if text[at : at + 1] == ",":
            at = _skip_space(text, at + 1)
        elif text[at : at + 1] != "]":
            fault = "json: the array is cut or broken here; the rest cannot be read"
            yield RawRow(name, number + 1, None, {}, fault, text[at : at + 4000])
            return
    if text[at + 1 :].strip():
        fault = "json: there is more after the end of the array"
        yield RawRow(name, number + 1, None, {}, fault, text[at + 1 : at + 4000])


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r", "\n"):
        at += 1
    return at
