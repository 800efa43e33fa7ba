"""A table as the bytes of an Excel workbook in which every cell is text, whatever it begins with."""

import io
from collections.abc import Iterable, Iterator, Sequence
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

    book = Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    sheet.freeze_panes = "A2"
    lines = [list(header), *map(list, rows)]
    for at, name in enumerate(header):
        longest = max(len(part) for line in lines for part in line[at].split("\n"))
        sheet.column_dimensions[get_column_letter(at + 1)].width = min(max(longest, len(name)) + 2, WIDEST)
    for number, line in enumerate(lines, start=1):
        sheet.append(list(_cells(sheet, number, header, line)))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _cells(sheet: Any, number: int, header: Sequence[str], texts: Sequence[str]) -> Iterator[Any]:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment

    for name, text in zip(header, texts, strict=True):
        written = escaped(text)
        if len(written) > LONGEST_CELL:
            raise DataError(
                f"row {number}: {name} has {len(written):,} characters, a cell of a workbook holds {LONGEST_CELL:,}",
                hint="write a .jsonl or a .csv file instead",
            )
        cell = WriteOnlyCell(sheet, written)
        cell.data_type = "s"  # else a text that begins with = would be a formula, and #N/A an error
        cell.quotePrefix = True  # so that it stays text when somebody edits it
        cell.alignment = Alignment(wrap_text=True, vertical="top")
        yield cell
