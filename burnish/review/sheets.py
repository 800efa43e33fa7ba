"""The queue as a workbook, CSV or JSONL file, to be filled in offline; no cell of it can act as a formula.

What a reviewer must not know is not in a sheet: the answer on file, who wrote a draft, and which drafts are checks.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast, get_args

from burnish.data.sheet import plain_cell, sheet_rows, sheet_text, write_table
from burnish.errors import BurnishError, DataError
from burnish.store.claims import Claim, Wish, decide_item
from burnish.store.files import write_atomic
from burnish.store.reviews import Kind, review_log
from burnish.store.store import Store

COLUMNS = ("item", "turn", "queue", "why", "text", "draft", "other", "decision", "answer", "note")
FILLED = ("item", "turn", "decision", "answer", "note")
LONGEST_CELL = 1_000_000


class Filled(NamedTuple):
    """A line of a sheet that somebody has filled in."""

    line: int
    item: str
    turn: int
    wish: Wish


class Refused(NamedTuple):
    """A line that was not taken."""

    line: int
    item: str
    why: str


class Imported(NamedTuple):
    """What came of a sheet."""

    num_new: int
    num_known: int
    """Decisions that were there already, as they are."""
    refused: tuple[Refused, ...]


def write_sheet(file: Path, claims: Sequence[Claim]) -> None:
    """Writes what a reviewer holds as a sheet: JSONL or a workbook where the file is named so, else CSV.

    An old file is replaced.
    """
    rows = [_row(claim) for claim in claims]
    if file.suffix == ".jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        write_atomic(file, "".join(f"{line}\n" for line in lines).encode())
        return
    write_table(file, COLUMNS, [[str(row[name]) for name in COLUMNS] for row in rows])


def read_sheet(file: Path) -> list[Filled]:
    """The lines that were filled in. An answer without a decision is a label in the blind queue, an edit elsewhere.

    Raises DataError, naming the line, on a file that is no sheet.
    """
    rows = _jsonl(file) if file.suffix == ".jsonl" else _table(file)
    return [_filled(file, line, row) for line, row in rows if str(row.get("decision", "") or row.get("answer", ""))]


def import_sheet(store: Store, filled: Sequence[Filled], reviewer: str, *, now_s: float) -> Imported:
    """Writes the decisions of a sheet down, each as if it came from the page; taken in twice, it is taken in once.

    A line that others were faster with, or that was decided otherwise before, is refused with the reason.
    """
    known = {(entry.item, entry.reviewer, entry.turn) for entry in review_log(store)}
    refused: list[Refused] = []
    num_new = num_known = 0
    for one in filled:
        try:
            decide_item(store, one.item, reviewer, one.turn, one.wish, now_s=now_s)
        except BurnishError as error:
            refused.append(Refused(one.line, one.item, error.message))
            continue
        is_known = (one.item, reviewer, one.turn) in known
        known.add((one.item, reviewer, one.turn))
        num_known, num_new = num_known + is_known, num_new + (not is_known)
    return Imported(num_new, num_known, tuple(refused))


def _row(claim: Claim) -> dict[str, object]:
    item = claim.item
    prompt = (
        item.messages[-1].content
        if len(item.messages) == 1
        else "\n\n".join(f"{turn.role}: {turn.content}" for turn in item.messages)
    )
    shown = dict.fromkeys(COLUMNS, "") | {"item": item.name, "queue": item.queue, "why": item.reason, "text": prompt}
    is_blind = item.queue == "blind"
    drafts = {} if is_blind else {"draft": item.draft, "other": item.other}
    return {**shown, "turn": claim.turn, **drafts}


def _jsonl(file: Path) -> list[tuple[int, Mapping[str, object]]]:
    rows: list[tuple[int, Mapping[str, object]]] = []
    for number, line in enumerate(sheet_text(file).splitlines(), start=1):
        try:
            row = json.loads(line) if line.strip() else None
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}", hint="one JSON object a line, as exported") from error
        if row is not None:
            rows.append((number, _checked(file, number, row)))
    return rows


def _table(file: Path) -> list[tuple[int, Mapping[str, object]]]:
    return [
        (line, _checked(file, line, {name: plain_cell(cell) for name, cell in row.items()}))
        for line, row in sheet_rows(file)
    ]


def _checked(file: Path, line: int, row: object) -> Mapping[str, object]:
    if not isinstance(row, dict) or not {"item", "turn"} <= row.keys():
        raise DataError(
            f"{file}, line {line} has no columns item and turn",
            hint="fill in the sheet that `burnish review export` wrote, and keep its columns",
        )
    return row


def _filled(file: Path, line: int, row: Mapping[str, object]) -> Filled:
    item, turn, told, answer, note = (str(row.get(name, "") or "").strip() for name in FILLED)
    kind = told.lower() or ("label" if row.get("queue") == "blind" else "edit")
    if kind not in get_args(Kind) or kind == "undo":
        known = ", ".join(one for one in get_args(Kind) if one != "undo")
        raise DataError(f"{file}, line {line}: {told[:40]!r} is no decision", hint=f"write one of {known}")
    if not turn.isdecimal() or len(turn) > 9 or len(answer) > LONGEST_CELL:
        raise DataError(f"{file}, line {line}: turn or answer is not as exported", hint="export the sheet again")
    return Filled(line, item, int(turn), Wish(cast(Kind, kind), answer, note))
