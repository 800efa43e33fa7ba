"""Sheets that people fill in, as spreadsheets save them: cells apart by commas, semicolons or tabs, in UTF-8.

A spreadsheet takes a file without the mark for its own code page, and shows other letters in place of umlauts.
"""

import csv
import io
from pathlib import Path

from burnish.data.tables import SAMPLE_LINES, find_delimiter
from burnish.errors import DataError

MARKED = "utf-8-sig"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so, blanks aside, is run as a formula by spreadsheet programs (OWASP, CSV injection)."""
BLANKS = " \n\xa0\ufeff"


def safe_cell(text: str) -> str:
    """The text with a ' before it when a spreadsheet program would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) or text.lstrip(BLANKS).startswith(FORMULA_STARTS) else text


def plain_cell(text: str) -> str:
    """The text that `safe_cell` was given; a quote that it would not have written stays."""
    return text[1:] if text.startswith("'") and safe_cell(text[1:]) == text else text


def sheet_bytes(text: str) -> bytes:
    """The text in UTF-8, with the mark by which spreadsheets know it."""
    return text.encode(MARKED)


def sheet_text(file: Path) -> str:
    """The text of a file in UTF-8. Raises DataError where there is none, and for one in another encoding."""
    try:
        return file.read_bytes().decode(MARKED)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", hint="check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8",
            hint="save it again as CSV UTF-8",
        ) from error


def sheet_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Each row under its header, with the line on which it ends; cells beyond the header are left out.

    Raises DataError like `sheet_text`, and for a quote that does not end, with its line.
    """
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
