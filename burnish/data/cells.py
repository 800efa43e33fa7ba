"""Cells of a workbook as text, and text as cells: as it reads on the sheet, and back without a change."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any

from burnish.data.shapes import as_text

LONGEST_CELL = 32_767
"""Characters that a cell of Excel can hold."""
DIGITS = 15
"""Significant digits that Excel keeps and shows; the file may hold two more, which are noise of its arithmetic."""
ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
"""How a workbook writes a character that XML cannot hold (ECMA-376, part 1, ST_Xstring)."""
LOOKS_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def cell_text(cell: Any) -> str:
    """The text of a cell: a date in ISO 8601, a whole number without ".0", true or false, "" for nothing."""
    value = cell.value
    if isinstance(value, str):
        return unescaped(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if _has_no_time(cell, value) else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    return as_text(float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value, "cell")


def _has_no_time(cell: Any, value: datetime) -> bool:
    """Whether a date was meant: midnight, in a format that shows no hours."""
    from openpyxl.styles.numbers import is_datetime

    return value.time() == time() and is_datetime(cell.number_format or "") == "date"


def unescaped(text: str) -> str:
    """The text with the control characters that a workbook writes as _x000D_."""
    return ESCAPED.sub(_control, text) if "_x" in text else text


def _control(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return chr(code) if UNWRITABLE.match(chr(code)) or code in (0x09, 0x0A, 0x5F) else found[0]


def escaped(text: str) -> str:
    """The text as a workbook can hold it: `unescaped` gives it back."""
    return UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", LOOKS_ESCAPED.sub("_x005F_", text))
