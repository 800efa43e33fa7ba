"""Workbooks (.xlsx, .xlsm), read with openpyxl row by row: a sheet is a table whose first row names the columns.

Values are those that the program which saved the file had computed; nothing is computed, run or fetched here.
"""

import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import IO, Any

from burnish.data.cells import cell_text
from burnish.data.formats import RawRow
from burnish.data.lines import FREE_BYTES, MAX_RATIO
from burnish.data.outline import Merged, Outline, read_outline
from burnish.data.tables import checked_header
from burnish.errors import DataError

MAX_UNPACKED_BYTES = 256_000_000
"""All parts of a workbook together, of which the texts are held; a million rows of five columns come to this."""
MAX_ROWS = 1_048_576
"""Of a sheet in Excel; a row that claims a higher number would be preceded by as many empty ones."""
AT_ONCE = 1000
AS_XLSX = "save it as an Excel workbook (.xlsx), or the sheet as CSV UTF-8"
OTHERS = {
    "xl/workbook.bin": "a binary Excel workbook (.xlsb)",
    "content.xml": "an OpenDocument file",
    "word/document.xml": "a Word document",
    "Index/Document.iwa": "a Numbers document",
}
"""A part that tells what another archive is."""
DAMAGED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError),
    *(ValueError, zipfile.BadZipFile, zlib.error),
)
"""What zipfile, ElementTree and openpyxl raise at bytes that are no workbook; ParseError is a SyntaxError."""


def read_workbook(path: Path, name: str, sheet: str) -> Iterator[RawRow]:
    """The rows of a sheet, each cell as text; a row's number is the sheet's own. Rows without a cell are no rows.

    A value that is merged over rows counts in each of them. Raises DataError when it is no workbook or damaged, when
    there is no such sheet, and for a header that names no columns or one twice.
    """
    with path.open("rb") as file:
        _refuse(file, name)
        with _openpyxl(name):
            from openpyxl import load_workbook

            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        chosen = _chosen(book, sheet, name)
        with _openpyxl(name), chosen._get_source() as part:  # it has no public way to the part of a sheet
            outline = read_outline(part)
        yield from _Table(f"{name}/{chosen.title}", outline).read(_rows(chosen, name))


@contextmanager
def _openpyxl(name: str) -> Iterator[None]:
    """Its errors become ours. It warns of styles, validation and dates; a date that is none is an error cell too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DAMAGED as error:
        shown = str(error).split("\n")[0][:200]
        raise DataError(f"{name} cannot be read as a workbook: {shown}", hint=f"open it and {AS_XLSX}") from error


def _refuse(file: IO[bytes], name: str) -> None:
    """Raises DataError for an archive that is no workbook, or one that is a bomb."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = {part.filename: part for part in archive.infolist()}
            book = archive.open("xl/workbook.xml").read(4000) if "xl/workbook.xml" in parts else b""
    except DAMAGED as error:
        raise DataError(
            f"{name} is a damaged zip archive or workbook: {error}", hint=f"open it and {AS_XLSX}"
        ) from error
    what = next((what for part, what in OTHERS.items() if part in parts), "")
    what = "a Strict Open XML workbook" if b"purl.oclc.org/ooxml" in book else what
    if what:
        raise DataError(f"{name} is {what}", hint=AS_XLSX)
    if "[Content_Types].xml" not in parts:
        raise DataError(f"{name} is a zip archive, not an Excel workbook", hint="unpack it, and give the file inside")
    unpacked = sum(part.file_size for part in parts.values())  # zipfile reads no more of a part than it declares
    packed = sum(part.compress_size for part in parts.values())
    if unpacked > MAX_UNPACKED_BYTES or (unpacked > FREE_BYTES and unpacked > MAX_RATIO * packed):
        raise DataError(
            f"{name} unpacks to {unpacked:,} bytes; {MAX_UNPACKED_BYTES:,} or {MAX_RATIO} times its size is too much",
            hint="save the sheet as CSV UTF-8; a CSV file of any size is read",
        )


def _chosen(book: Any, wanted: str, name: str) -> Any:
    """The sheet of that name, or the only visible one with rows. Raises DataError."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    for sheet in sheets.values():
        sheet.reset_dimensions()  # what a file says of its own size is wrong too often
    if wanted:
        if wanted not in sheets:
            raise DataError(f"{name} has no sheet {wanted!r}, which data.sheet names", hint=_listed(list(sheets)))
        return sheets[wanted]
    visible = [title for title, sheet in sheets.items() if sheet.sheet_state == "visible"]
    filled = [title for title in visible if len(visible) == 1 or _has_rows(sheets[title], name)]
    if len(filled) > 1:
        raise DataError(
            f"{name} has {len(filled)} sheets with rows",
            hint=f"name one: --set {quote(f'data.sheet={filled[0]}')}, or hide the others. {_listed(filled)}",
        )
    if not filled:
        raise DataError(f"{name} has no visible sheet with rows", hint=_listed(list(sheets)))
    return sheets[filled[0]]


def _has_rows(sheet: Any, name: str) -> bool:
    return any(cell.value is not None for _, cells in _rows(sheet, name) for cell in cells)


def _listed(titles: Sequence[str]) -> str:
    more = f" and {len(titles) - 20} more" if len(titles) > 20 else ""
    return f"The sheets are {', '.join(map(repr, titles[:20]))}{more}" if titles else AS_XLSX


def _rows(sheet: Any, name: str) -> Iterator[tuple[int, Sequence[Any]]]:
    """Number and cells of each row that the file holds; those before a later cell are there, and empty."""
    rows = enumerate(sheet.iter_rows(max_row=MAX_ROWS), start=1)
    while True:
        with _openpyxl(name):
            some = list(islice(rows, AT_ONCE))
        if not some:
            return
        yield from ((number, cells) for number, cells in some if cells)


class _Table:
    """What is remembered from row to row: the names of the columns, and the merged cells that reach further down."""

    def __init__(self, source: str, outline: Outline) -> None:
        self.source, self.uncomputed = source, outline.uncomputed
        self.header: list[str] = []
        self.starts: dict[int, list[Merged]] = {}
        for one in outline.merged:
            self.starts.setdefault(one.first_row, []).append(one)
        self.tall: dict[int, tuple[int, str]] = {}
        """Column to the last row of a cell that is merged over rows, and its text."""
        self.wide = (0, "")
        """Last row and place of the newest cell that is merged over columns."""

    def read(self, rows: Iterator[tuple[int, Sequence[Any]]]) -> Iterator[RawRow]:
        """The rows under the first one, which names the columns."""
        header_row, is_first = 0, True
        for number, cells in rows:
            texts = ["" if cell.data_type == "e" else cell_text(cell) for cell in cells]
            if not any(texts) and not any(self._cell_fault(number, at, cells[at], "") for at in range(len(cells))):
                continue
            if not self.header:
                header_row, self.header = number, _without_tail(checked_header(texts, self.source))
                continue
            if is_first and len(self.header) == 1 and sum(map(bool, texts)) > 1:
                raise DataError(
                    f"{self.source}: row {header_row} names only {self.header[0][:80]!r}, and row {number} is wider",
                    hint="delete what stands above the row that names the columns",
                )
            is_first = False
            yield self._row(number, cells, texts)

    def _row(self, number: int, cells: Sequence[Any], texts: list[str]) -> RawRow:
        faults = (self._cell_fault(number, at, cell, texts[at]) for at, cell in enumerate(cells))
        fault = next(filter(None, faults), "") or self._merge(number, texts)
        if fault:
            return RawRow(self.source, number, None, {}, fault, ", ".join(filter(None, texts)))
        texts += [""] * (len(self.header) - len(texts))
        named = zip(self.header, texts, strict=False)  # nothing stands right of the header
        return RawRow(self.source, number, None, {name: text for name, text in named if name})

    def _cell_fault(self, number: int, at: int, cell: Any, text: str) -> str:
        """Why a cell cannot be used, with its place and column; "" when it can."""
        is_error = cell.data_type == "e"
        if not (is_error or text or self.uncomputed):
            return ""
        name = self.header[at] if at < len(self.header) else ""
        place = f"{_letters(at)}{number}"
        if text and at >= len(self.header):
            return f"cells: {place} stands under no name of a column"
        if is_error and (name or not self.header):
            return f"error-cell: {place} ({name}) holds {cell.value}"
        if place in self.uncomputed and (name or not self.header):
            return f"formula: {place} ({name}) holds a formula without its result; open the workbook and save it"
        return "cells: a NUL character" if "\x00" in text else ""

    def _merge(self, number: int, texts: list[str]) -> str:
        """Fills in what reaches down from rows above; the fault of a row with a cell over several named columns."""
        for one in self.starts.get(number, ()):
            text = texts[one.first_column - 1] if one.first_column <= len(texts) else ""
            if text and sum(map(bool, self.header[one.first_column - 1 : one.last_column])) > 1:
                self.wide = (one.last_row, one.ref)
            elif text:
                self.tall[one.first_column] = (one.last_row, text)
        self.tall = {column: cell for column, cell in self.tall.items() if cell[0] >= number}
        for column, (_, text) in self.tall.items():
            texts += [""] * (column - len(texts))
            texts[column - 1] = texts[column - 1] or text
        last, ref = self.wide
        return f"merged: {ref} is one cell over several columns" if number <= last else ""


def _letters(at: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(at + 1))


def _without_tail(header: list[str]) -> list[str]:
    """The names without the unnamed columns after the last one."""
    while not header[-1]:
        header = header[:-1]
    return header
