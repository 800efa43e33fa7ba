"""A workbook gives the rows that its sheet shows; a cell that holds no value is named with sheet, row and column."""

import csv
import gzip
import zipfile
from contextlib import suppress
from datetime import datetime, time, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

from burnish.config import DataSettings, Settings
from burnish.data.formats import raw_rows
from burnish.data.ingest import read_rows
from burnish.data.sheet import sheet_rows, write_table
from burnish.errors import DataError
from burnish.records import Example, Rejection

PLAIN = [["text", "label"], ["where is it", "order"], ["pay me back", "refund"]]


def saved(path, *sheets, change=lambda sheet: None):
    """A workbook of (title, rows) pairs."""
    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
        change(sheet)
    book.save(path)
    return path


def values(path, **chosen):
    return [(row.number, dict(row.value) or row.fault) for row in raw_rows(path, **chosen)]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=20) | st.sampled_from(
    ["=1+1", "+x", "@a", "#N/A", "-1", "'=a", "_x000D_", "1.0", " a ", "two\nlines", "TRUE", "\x0b", "\ufeff", "\ufffe"]
)
NAMES = st.lists(st.text("abcdef ö_=+", min_size=1, max_size=8).map(str.strip), min_size=2, max_size=5, unique=True)


@st.composite
def tables(draw):
    header = [name for name in draw(NAMES) if name] or ["a"]
    row = st.lists(CELLS, min_size=len(header), max_size=len(header)).filter(any)
    return header, draw(st.lists(row, max_size=8))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_csv_and_workbook_of_one_table_give_equal_rows_and_no_cell_is_a_formula(tmp_path, table):
    header, rows = table
    write_table(tmp_path / "rows.xlsx", header, rows)
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    from_csv, from_xlsx = ([row.value for row in raw_rows(tmp_path / f"rows.{end}")] for end in ("csv", "xlsx"))
    assert from_xlsx == from_csv == [dict(zip(header, row, strict=True)) for row in rows]
    with zipfile.ZipFile(tmp_path / "rows.xlsx") as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")


def test_dates_numbers_and_truth_values_read_as_the_sheet_shows_them(tmp_path):
    typed = [datetime(2025, 1, 31), datetime(2025, 1, 31, 8, 30), time(7, 5), timedelta(hours=26), 1.0, 0.1 + 0.2, True]

    def dates_only(sheet):
        sheet["A2"].number_format = "dd.mm.yyyy"

    path = saved(tmp_path / "rows.xlsx", ("Orders", [list("abcdefg"), typed]), change=dates_only)
    shown = ["2025-01-31", "2025-01-31T08:30:00", "07:05:00", "26:00:00", "1", "0.3", "true"]
    assert values(path) == [(2, dict(zip("abcdefg", shown, strict=True)))]


def test_rows_have_the_numbers_of_the_sheet_and_rows_without_a_cell_are_none(tmp_path):
    def stray(sheet):
        sheet.row_dimensions[900].height = 12

    rows = [[], ["text", "label"], ["a", "x"], [], [None, None], ["b", 2.0]]
    path = saved(tmp_path / "rows.xlsm", ("Orders", rows), change=stray)
    assert [row.source for row in read_rows(path, Settings())] == ["rows.xlsm/Orders:3", "rows.xlsm/Orders:6"]


def test_a_cell_without_a_value_is_named_with_sheet_row_and_column(tmp_path):
    rows = [*PLAIN, ["=A2", "order"], ["b", "#N/A"], ["c", "order", "stray"], ["fine", "order"]]

    def error_cell(sheet):
        sheet["B5"].data_type = "e"

    found = list(read_rows(saved(tmp_path / "rows.xlsx", ("Orders", rows), change=error_cell), Settings()))
    bad = [(row.source, row.row, row.reason) for row in found if isinstance(row, Rejection)]
    assert bad == [
        (
            "rows.xlsx/Orders",
            4,
            "formula: A4 (text) holds a formula without its result; open the workbook and save it",
        ),
        ("rows.xlsx/Orders", 5, "error-cell: B5 (label) holds #N/A"),
        ("rows.xlsx/Orders", 6, "cells: C6 stands under no name of a column"),
    ]
    assert [row.source.rpartition(":")[2] for row in found if isinstance(row, Example)] == ["2", "3", "7"]


def test_the_stored_result_of_a_formula_is_its_value_an_empty_one_too(tmp_path):
    path = saved(tmp_path / "rows.xlsx", ("Orders", [["text", "label"], ["=1", "=2"]]))
    computed = {b"<f>1</f><v />": b"<f>1</f><v>41.0</v>", b'<c r="B2"><f>2</f>': b'<c r="B2" t="str"><f>2</f>'}
    rewrite(path, "xl/worksheets/sheet1.xml", computed)
    assert values(path) == [(2, {"text": "41", "label": ""})]


def test_texts_are_read_as_excel_stores_them_shared_in_runs_and_with_escapes(tmp_path):
    path = saved(tmp_path / "rows.xlsx", ("Orders", [["text", "label"], [7, 8]]))
    shared = {
        b'<c r="A2" t="n"><v>7</v>': b'<c r="A2" t="s"><v>1</v>',
        b'<c r="B2" t="n"><v>8</v>': b'<c t="s"><v>0</v>',
    }
    rewrite(path, "xl/worksheets/sheet1.xml", shared)
    part = b'<Override PartName="/xl/sharedStrings.xml" ContentType="%s"/></Types>' % SHARED_STRINGS.encode()
    rewrite(path, "[Content_Types].xml", {b"</Types>": part})
    runs = "<r><t>two</t></r><r><rPr><b/></rPr><t xml:space='preserve'>_x000D_\n lines</t></r>"
    runs += "<rPh sb='0' eb='1'><t>how it is said</t></rPh>"
    with zipfile.ZipFile(path, "a") as archive:
        texts = f'<sst xmlns="{SHEET_MAIN_NS}"><si><t>order</t></si><si>{runs}</si></sst>'
        archive.writestr("xl/sharedStrings.xml", texts)
    assert values(path) == [(2, {"text": "two\r\n lines", "label": "order"})]


def test_a_workbook_that_cannot_be_sought_through_is_refused(tmp_path):
    packed = tmp_path / "rows.xlsx.gz"
    packed.write_bytes(gzip.compress(saved(tmp_path / "rows.xlsx", ("Orders", PLAIN)).read_bytes()))
    with pytest.raises(DataError, match="an Excel workbook cannot be read from a stream"):
        list(raw_rows(packed))


def rewrite(path, part, changes):
    """Replaces bytes in a part of a workbook, each of which has to be there."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for before, after in changes.items():
        assert before in parts[part], parts[part]
        parts[part] = parts[part].replace(before, after)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def test_a_cell_merged_over_rows_counts_in_each_and_one_merged_over_columns_in_none(tmp_path):
    def merge(sheet):
        sheet.merge_cells("B2:B3")
        sheet.merge_cells("A4:B4")

    path = saved(tmp_path / "rows.xlsx", ("Orders", [*PLAIN, ["both", "x"], ["d", "order"]]), change=merge)
    assert values(path) == [
        (2, {"text": "where is it", "label": "order"}),
        (3, {"text": "pay me back", "label": "order"}),
        (4, "merged: A4:B4 is one cell over several columns"),
        (5, {"text": "d", "label": "order"}),
    ]


def test_which_sheet_is_meant_is_asked_and_answered_and_hidden_ones_do_not_count(tmp_path):
    def hide(sheet):
        sheet.sheet_state = "hidden" if sheet.title == "Lists" else "visible"

    path = saved(tmp_path / "rows.xlsx", ("Notes", []), ("Orders", PLAIN), ("Lists", [["a"], ["b"]]), change=hide)
    assert [row.source for row in raw_rows(path)] == ["rows.xlsx/Orders"] * 2
    assert values(path, sheet="Lists") == [(2, {"a": "b"})]
    two = saved(tmp_path / "two.xlsx", ("My orders", PLAIN), ("Labels", PLAIN))
    with pytest.raises(DataError, match="2 sheets with rows") as caught:
        list(read_rows(two, Settings()))
    assert "--set 'data.sheet=My orders'" in caught.value.hint
    assert "'Labels'" in caught.value.hint
    assert len(list(read_rows(two, Settings(data=DataSettings(sheet="My orders"))))) == 2
    with pytest.raises(DataError, match=r"no sheet 'orders', which data\.sheet names") as caught:
        list(read_rows(two, Settings(data=DataSettings(sheet="orders"))))
    assert "'My orders', 'Labels'" in caught.value.hint


def test_a_title_above_the_header_is_told(tmp_path):
    path = saved(tmp_path / "rows.xlsx", ("Orders", [["Orders of 2025"], *PLAIN]))
    with pytest.raises(DataError, match="row 1 names only 'Orders of 2025', and row 2 is wider"):
        list(raw_rows(path))


def test_what_is_no_workbook_or_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    def packed(name, **parts):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, data in parts.items():
                archive.writestr(part, data)
        return tmp_path / name

    bomb = saved(tmp_path / "bomb.xlsx", ("Orders", PLAIN))
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", b" " * 10_000_000)
    entities = saved(tmp_path / "entities.xlsx", ("Orders", PLAIN))
    laughs = b"<!DOCTYPE d [<!ENTITY a0 'ha'>" + b"".join(
        b"<!ENTITY a%d '%s'>" % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 10)
    )
    with zipfile.ZipFile(entities) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    rewrite(
        entities,
        "xl/worksheets/sheet1.xml",
        {sheet: laughs + b"]>" + sheet.replace(b"<sheetData>", b"&a9;<sheetData>")},
    )
    old = tmp_path / "old.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100)
    for path, told in [
        (packed("rows.zip", a="b"), "a zip archive, not an Excel workbook"),
        (packed("rows.xlsb", **{"xl/workbook.bin": "b"}), r"a binary Excel workbook \(.xlsb\)"),
        (packed("rows.ods", **{"content.xml": "b"}), "an OpenDocument file"),
        (
            packed("strict.xlsx", **{"xl/workbook.xml": "<a xmlns='http://purl.oclc.org/ooxml/x'/>"}),
            "a Strict Open XML",
        ),
        (packed("empty.xlsx", **{"[Content_Types].xml": "<a/>"}), "cannot be read as a workbook"),
        (bomb, "unpacks to 10,"),
        (entities, "cannot be read as a workbook: limit on input amplification"),
        (old, "an old Excel workbook"),
    ]:
        with pytest.raises(DataError, match=told):
            list(raw_rows(path))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_to_a_workbook_is_an_error_of_data_or_of_rows(tmp_path, data):
    path = saved(tmp_path / "rows.xlsx", ("Orders", [*PLAIN, ["=A2", datetime(2025, 1, 31)]]))
    with zipfile.ZipFile(path) as archive:
        part = data.draw(st.sampled_from(archive.namelist()))
        whole = archive.read(part)
    at = data.draw(st.integers(0, len(whole) - 1))
    length = data.draw(st.integers(0, 12))
    odd = data.draw(st.sampled_from([b"", b"9" * 12, b'"', b"<", b"\xff", b"A1:XFD1048576", b"-1"]))
    rewrite(path, part, {whole: whole[:at] + odd + whole[at + length :]})
    with suppress(DataError):
        assert len(list(raw_rows(path))) < 10


def test_a_sheet_that_people_filled_in_comes_back_from_a_workbook(tmp_path):
    path = tmp_path / "sheet.xlsx"
    write_table(path, ["id", "text", "answer"], [["1", "=1+1", ""], ["2", "two\r\nlines", "-x"]])
    assert sheet_rows(path) == [
        (2, {"id": "1", "text": "=1+1", "answer": ""}),
        (3, {"id": "2", "text": "two\r\nlines", "answer": "-x"}),
    ]
    with pytest.raises(DataError, match="row 2: text has 32,768 characters, a cell of a workbook holds 32,767"):
        write_table(path, ["text"], [["x" * 32_768]])
