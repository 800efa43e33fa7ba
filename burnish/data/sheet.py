"""Sheets that people fill in, as spreadsheets save them: workbooks, or cells apart by commas, semicolons or tabs.

A spreadsheet takes a CSV file without the mark for its own code page, and shows other letters in place of umlauts.
Where a comma separates decimals it shows the file in one column. A workbook has neither fault.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from burnish.data.encoding import SAMPLE_BYTES, recode_hint
from burnish.data.formats import ZIP
from burnish.data.lines import open_source
from burnish.data.tables import SAMPLE_LINES, find_delimiter
from burnish.errors import DataError
from burnish.store.files import write_atomic

MARKED = "utf-8-sig"
MAX_BYTES = 256_000_000
"""Of a sheet, which is held whole."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so, blanks aside, is run as a formula by spreadsheet programs (OWASP, CSV injection)."""
BLANKS = " \n\xa0\ufeff"


def safe_cell(text: str) -> str:
    """The text with a ' before it when a spreadsheet program would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) or text.lstrip(BLANKS).startswith(FORMULA_STARTS) else text


def plain_cell(text: str) -> str:
    """The text that `safe_cell` was given; a quote that it would not have written stays."""
    return text[1:] if text.startswith("'") and safe_cell(text[1:]) == text else text


def write_table(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a table as a workbook where the file is named .xlsx, else as CSV in UTF-8 with its mark.

    No cell is a formula in either: in CSV it gets a ' before it, in a workbook it is a text. An old file is replaced.
    """
    if file.suffix.lower() == ".xlsx":
        from burnish.data.xlsx import xlsx_bytes

        write_atomic(file, xlsx_bytes(header, rows))
        return
    write_atomic(file, csv_text(header, rows).encode(MARKED))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as CSV in which no cell begins as a formula."""
    out = io.StringIO()
    csv.writer(out).writerows([safe_cell(cell) for cell in row] for row in (header, *rows))
    return out.getvalue()


def sheet_text(file: Path) -> str:
    """The text of a file in UTF-8 or marked UTF-16. Raises DataError for none, an empty one, and another encoding."""
    with open_source(file) as opened:
        data = opened.stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DataError(f"{file} holds more than {MAX_BYTES:,} bytes", hint="give the sheet that was filled in")
    if not data.strip():
        raise DataError(f"{file} is empty", hint="give the sheet that was filled in")
    try:
        return data.decode(MARKED)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}, line {line}: byte {error.start:,} of the file, 0x{data[error.start]:02x}, is not UTF-8",
            hint=recode_hint(str(file), data[error.start :][:SAMPLE_BYTES]),
        ) from error


def sheet_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Each row under its header, with the line on which it ends, or its number in a workbook.

    Cells beyond the header of a CSV are left out. Raises DataError like `sheet_text`, for a quote that does not end,
    with its line, and for a cell of a workbook that holds no text or number, with its place.
    """
    with open_source(file) as opened:
        if opened.start.startswith(ZIP):
            return _workbook_rows(file)
    text = sheet_text(file)
    delimiter = find_delimiter(text.split("\n", SAMPLE_LINES)[:SAMPLE_LINES], file.name)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        for row in reader:
            rows.append((reader.line_num, {name: cell or "" for name, cell in row.items() if name}))
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: {error}", hint="save it again as CSV UTF-8") from error
    return rows


def _workbook_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    from burnish.data.workbook import read_workbook

    rows = []
    for row in read_workbook(file, file.name, ""):
        if row.fault:
            raise DataError(f"{file}, row {row.number}: {row.fault}", hint="mend the cell, and save the workbook")
        rows.append((row.number, dict(row.value)))
    return rows
