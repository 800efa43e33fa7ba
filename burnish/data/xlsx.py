"""A table as the bytes of an Excel workbook in which every cell is text, whatever it begins with."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

from burnish.data.cells import LONGEST_CELL, escaped
from burnish.errors import DataError

WIDEST = 60
"""Characters that a column is wide at most; longer texts are wrapped."""


def xlsx_bytes(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """The workbook: one sheet, the header in its first row and kept in view.

    Raises DataError for a text that no cell can hold; Excel would cut it without a word.
    """
    from openpyxl import Workbook
    from openpyxl.utils import get_column_letter

    lines = [list(header), *map(list, rows)]
    _refuse_long(lines)
    book = Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    sheet.freeze_panes = "A2"
    for at, column in enumerate(zip(*lines, strict=True), start=1):
        longest = max(len(part) for text in column for part in text.split("\n"))
        sheet.column_dimensions[get_column_letter(at)].width = min(longest + 2, WIDEST)
    for line in lines:
        sheet.append([_cell(sheet, text) for text in line])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _refuse_long(lines: Sequence[Sequence[str]]) -> None:
    for number, line in enumerate(lines, start=1):
        for name, text in zip(lines[0], line, strict=True):
            if len(escaped(text)) > LONGEST_CELL:
                raise DataError(
                    f"row {number}: {name} has {len(text):,} characters, a cell of a workbook holds {LONGEST_CELL:,}",
                    hint="write a .jsonl or a .csv file instead",
                )


def _cell(sheet: Any, text: str) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment

    cell = WriteOnlyCell(sheet, escaped(text))
    cell.data_type = "s"  # else a text that begins with = would be a formula, and #N/A an error
    cell.quotePrefix = True  # so that it stays text when somebody edits it
    cell.alignment = Alignment(wrap_text=True, vertical="top")
    return cell
