"""A sheet goes out and comes back: nothing in it is a formula, and taking it in twice is taking it in once."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.data.sheet import FORMULA_STARTS, plain_cell, safe_cell, sheet_rows, write_table
from burnish.errors import DataError
from burnish.records import Message
from burnish.review.sheets import COLUMNS, import_sheet, read_sheet, write_sheet
from burnish.store.claims import Wish, claim_items, decide_item
from burnish.store.reviews import ReviewItem, add_items, review_log
from burnish.store.store import Store, open_store

QUEUES = ("blind", "correction", "preference")
HOSTILE = ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n+1", '=HYPERLINK("http://x","y")']


def asked(name: str, text: str = "question", **changes) -> ReviewItem:
    fields = {"queue": "correction", "purpose": "gold", "draft": "draft", "given": "SECRET", **changes}
    prompt = (Message(role="user", content=text),)
    return ReviewItem(name=name, example=name, role="train", messages=prompt, **fields)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def exported(store: Store, file: Path, reviewer: str = "ann") -> list[dict[str, str]]:
    write_sheet(file, claim_items(store, reviewer, now_s=0, queues=QUEUES, count=50))
    if file.suffix == ".xlsx":
        return [row for _, row in sheet_rows(file)]
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    with file.open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines))


def filled(file: Path, rows: list[dict[str, str]]) -> Path:
    if file.suffix == ".xlsx":
        write_table(file, COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
        return file
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return file


@settings(deadline=None)
@given(st.text() | st.sampled_from(HOSTILE) | st.sampled_from(HOSTILE).map(lambda text: f"'{text}"))
def test_no_cell_begins_like_a_formula_and_a_formula_comes_back_as_it_was(text):
    assert not safe_cell(text).startswith(FORMULA_STARTS)
    if text.startswith(FORMULA_STARTS) or not text.startswith("'"):
        assert plain_cell(safe_cell(text)) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_rows_are_text_in_csv_and_unchanged_in_jsonl(store, tmp_path, text):  # D9
    add_items(store, [asked("a", text, draft=text, reason=text)])
    row = exported(store, tmp_path / "sheet.csv")[0]
    assert not [cell for cell in row.values() if cell.startswith(FORMULA_STARTS)]
    assert [row["text"], row["draft"], row["why"]] == [f"'{text}"] * 3
    assert exported(store, tmp_path / "sheet.jsonl")[0]["draft"] == text


@pytest.mark.parametrize("name", ["sheet.csv", "sheet.jsonl", "sheet.xlsx"])
def test_a_sheet_taken_in_twice_is_taken_in_once(store, tmp_path, name):
    add_items(store, [asked("a"), asked("b", queue="blind", draft=""), asked("c")])
    rows = exported(store, tmp_path / name)
    told = {"a": ("", "=better", ""), "b": ("", "label one", ""), "c": ("", "", "no time")}
    for row in rows:
        row["decision"], row["answer"], row["note"] = told[row["item"]]
    file = filled(tmp_path / name, rows)
    assert import_sheet(store, read_sheet(file), "ann", now_s=1) == (2, 0, ())
    before = review_log(store)
    assert {one.item: (one.kind, one.text) for one in before} == {"a": ("edit", "=better"), "b": ("label", "label one")}
    assert import_sheet(store, read_sheet(file), "ann", now_s=2) == (0, 2, ())
    assert review_log(store) == before


def test_a_line_that_somebody_was_faster_with_is_refused_and_the_others_are_taken(store, tmp_path):
    add_items(store, [asked("a"), asked("b")])
    rows = exported(store, tmp_path / "sheet.csv")
    decide_item(store, "a", "bob", 1, Wish("reject"), now_s=10_000)
    for row in rows:
        row["decision"] = "accept"
    found = import_sheet(store, read_sheet(filled(tmp_path / "sheet.csv", rows)), "ann", now_s=20_000)
    assert (found.num_new, [one.item for one in found.refused]) == (1, ["a"])
    assert "decided by bob" in found.refused[0].why


def test_a_sheet_does_not_say_what_the_answer_on_file_is_or_who_wrote_the_draft(store, tmp_path):
    add_items(store, [asked("a", is_check=True, draft_by="SECRET"), asked("b", queue="blind", draft="SECRET")])
    exported(store, tmp_path / "sheet.csv")
    assert "SECRET" not in (tmp_path / "sheet.csv").read_text()
    assert "check" not in (tmp_path / "sheet.csv").read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "line 2 has no columns item and turn"),
        ("item,turn,decision\nx,1,perhaps\n", "line 2: 'perhaps' is no decision"),
        ("item,turn,decision\nx,1,undo\n", "'undo' is no decision"),
        ("item,turn,decision\nx,one,skip\n", "turn or answer is not as exported"),
        ('item,turn,decision\n"x,1,skip\n', "line"),
    ],
)
def test_what_is_no_sheet_is_refused_by_line(tmp_path, text, told):
    (tmp_path / "sheet.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        read_sheet(tmp_path / "sheet.csv")
