"""What openpyxl's rows do not tell of a sheet: which cells are merged, and which formulas have no result.

Both stand in the sheet's XML, which is walked once before its rows are read; entities that would grow without end are
stopped by expat itself.
"""

from typing import IO, NamedTuple
from xml.etree.ElementTree import Element, iterparse

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


class Merged(NamedTuple):
    """Cells that are shown as one; its value stands in the first."""

    ref: str
    """Such as A1:B3."""
    first_column: int
    first_row: int
    last_column: int
    last_row: int


class Outline(NamedTuple):
    """What has to be known of a sheet before its rows are read."""

    merged: tuple[Merged, ...]
    uncomputed: frozenset[str]
    """Cells such as C5 with a formula and no result of it, as programs leave them that write but do not compute."""


def read_outline(stream: IO[bytes]) -> Outline:
    """The outline of a sheet, from its XML. Raises what ElementTree and openpyxl raise for what is no sheet."""
    from openpyxl.utils import range_boundaries

    merged, uncomputed = [], set()
    rows: Element | None = None
    for event, element in iterparse(stream, events=("start", "end")):
        if event == "start":
            rows = element if element.tag == f"{MAIN}sheetData" else rows
        elif element.tag == f"{MAIN}c" and _is_uncomputed(element):
            uncomputed.add(element.get("r", ""))
        elif element.tag == f"{MAIN}mergeCell":
            ref = element.get("ref", "")
            merged.append(Merged(ref, *range_boundaries(ref)))
        elif element.tag == f"{MAIN}row" and rows is not None:
            rows.clear()
    return Outline(tuple(merged), frozenset(uncomputed))


def _is_uncomputed(cell: Element) -> bool:
    """A formula without a result; an empty text is a result, and has the type of a text."""
    return cell.find(f"{MAIN}f") is not None and not cell.findtext(f"{MAIN}v") and cell.get("t") != "str"
