"""CSV and TSV: the delimiter is found from the header and checked on the rows, quotes and line breaks in cells count.

A row is read strictly: a wrong number of cells or a stray quote costs that row and says so, never the next ones.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from burnish.data.encoding import recode_hint
from burnish.data.formats import BOM, RawRow, utf8_fault
from burnish.data.lines import MAX_LINE_BYTES, Line, Opened, read_lines
from burnish.errors import DataError

DELIMITERS = (",", "\t", ";", "|")
SAMPLE_LINES = 40


class _BadLine(Exception):
    """A line that is no text; the reason is its message."""


class _Texts:
    """Lines as text for csv.reader, which keeps on after one that had to be refused."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self.lines = lines
        self.last: Line | None = None

    def __iter__(self) -> "_Texts":
        return self

    def __next__(self) -> str:
        self.last = next(self.lines)
        if self.last.fault:
            raise _BadLine(self.last.fault)
        data = self.last.data.removeprefix(BOM) if self.last.number == 1 else self.last.data
        try:
            return data.decode("utf-8") + "\n"
        except UnicodeDecodeError as error:
            raise _BadLine(utf8_fault(error)) from error


def read_table(opened: Opened) -> Iterator[RawRow]:
    """The rows of a table with a header; a row's number is the line on which it begins.

    Raises DataError when there is no header, a column name stands there twice, or no delimiter fits.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    name, lines = opened.name, read_lines(opened.stream, keep_empty=True)
    first = list(islice(lines, SAMPLE_LINES))
    if not first:
        return
    delimiter = find_delimiter([line.data.decode("utf-8", "replace") for line in first], name)
    texts = _Texts(chain(first, lines))
    rows = csv.reader(texts, delimiter=delimiter, strict=True)
    header = _header(rows, opened, first)
    while True:
        start = texts.last
        assert start is not None, "the header was read"
        try:
            cells, fault = next(rows), ""
        except StopIteration:
            return
        except (_BadLine, csv.Error) as error:
            cells, fault = [], str(error) if isinstance(error, _BadLine) else f"csv: {error}"
        number, offset = start.number + 1, start.offset + start.size_bytes
        if fault or cells:
            yield _table_row(name, number, offset, header, cells, fault, texts.last)


def _table_row(
    name: str, number: int, offset: int, header: Sequence[str], cells: Sequence[str], fault: str, last: Line | None
) -> RawRow:
    if not fault and len(cells) != len(header):
        fault = f"cells: {len(cells)} cells, the header has {len(header)}"
    if not fault and any("\x00" in cell for cell in cells):
        fault = "cells: a NUL character"
    if fault:
        data = last.data[:4000] if last else b""
        return RawRow(name, number, offset, {}, fault, data.decode("utf-8", "replace"))
    return RawRow(name, number, offset, {key: cell for key, cell in zip(header, cells, strict=True) if key})


def _header(rows: Iterator[list[str]], opened: Opened, first: Sequence[Line]) -> list[str]:
    try:
        cells = next(rows, [])
    except (_BadLine, csv.Error) as error:
        is_foreign = str(error).startswith("utf-8:")
        sample = b"\n".join(line.data for line in first)
        hint = recode_hint(opened.place, sample) if is_foreign else "the first line names the columns"
        raise DataError(f"{opened.name}, line 1: the header cannot be read: {error}", hint=hint) from error
    return checked_header(cells, opened.name)


def checked_header(cells: Sequence[str], name: str) -> list[str]:
    """The names of columns without blanks around them; DataError where there is none, or one stands there twice."""
    header = [cell.strip() for cell in cells]
    named = [cell for cell in header if cell]
    if not named:
        raise DataError(f"{name} has no header", hint="the first line names the columns, for example: text,label")
    twice = sorted({cell for cell in named if named.count(cell) > 1})
    if twice:
        raise DataError(f"{name} has the column {twice[0]!r} twice", hint="give every column its own name")
    return header


def find_delimiter(sample: Sequence[str], name: str) -> str:
    """Comma, tab, semicolon or bar: the one under which most rows are as wide as the header, then the widest header."""
    best = (0.0, 0, ",")
    for delimiter in DELIMITERS:
        widths = _widths(sample, delimiter)
        if widths and widths[0] > 1:
            share = sum(width == widths[0] for width in widths) / len(widths)
            preferred = 1.0 if name.lower().endswith((".tsv", ".tab")) and delimiter == "\t" else 0.0
            best = max(best, (share + preferred, widths[0], delimiter), key=lambda found: found[:2])
    return best[2]


def _widths(sample: Sequence[str], delimiter: str) -> list[int]:
    """Cells per row; the last row of a longer sample may be cut, and is left out."""
    rows = csv.reader((line + "\n" for line in sample), delimiter=delimiter)
    try:
        widths = [len(row) for row in rows if row]
    except csv.Error:
        return []
    return widths[:-1] if len(sample) >= SAMPLE_LINES else widths
