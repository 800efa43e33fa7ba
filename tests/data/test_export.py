"""What is exported comes back the same, a spreadsheet runs nothing of it, and a sealed vault stays sealed."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.config import Settings
from burnish.data.export import as_csv, export_examples
from burnish.data.ingest import read_rows
from burnish.data.sheet import safe_cell
from burnish.errors import UsageError
from burnish.records import Example, Message

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=cmd|' /C calc'!A0"]
NASTY = [*FORMULAS, 'a "quoted", text', "two\nlines", "é \u2028", "plain"]


def example(text, answer="x", **slices):
    turns = (Message(role="user", content=text), Message(role="assistant", content=answer))
    return Example(id=text[:20], group="g", messages=turns, slices=slices, weight=2.0)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_json_lines_and_parquet_come_back_unchanged(name, tmp_path):
    rows = [example(text, "=answer", channel=f"+{n}") for n, text in enumerate(NASTY)]
    export_examples(tmp_path / name, rows)
    back = list(read_rows(tmp_path / name, Settings()))
    assert [row.messages for row in back] == [row.messages for row in rows]
    assert [(row.group, row.weight, dict(row.slices)) for row in back] == [("g", 2.0, dict(row.slices)) for row in rows]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.sampled_from(FORMULAS))
def test_no_cell_of_a_csv_begins_as_a_formula(text):  # D9
    cells = next(csv.reader(io.StringIO(as_csv([example(text, text, column=text)]).split("\r\n", 1)[1])))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert cells[3] in (text, f"'{text}")


def test_a_harmless_cell_stays_as_it_is_and_a_dangerous_column_name_does_not():
    assert safe_cell("a=b") == "a=b"
    assert safe_cell("") == ""
    assert as_csv([example("q", **{"=cmd": "1"})]).startswith("id,group,prompt,answer,'=cmd\r\n")


@pytest.mark.parametrize("name", ["rows.csv", "rows.xlsx"])
def test_a_table_can_be_added_again(name, tmp_path):
    rows = [example("where is it", channel="web"), example("two\nlines", "y", channel="post")]
    export_examples(tmp_path / name, rows)
    back = list(read_rows(tmp_path / name, Settings()))
    assert [(row.messages, row.slices) for row in back] == [(row.messages, dict(row.slices)) for row in rows]


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no known ending"):
        export_examples(tmp_path / "rows.xls", [example("a")])
