"""A table whose columns have names of their own: they are said once, by --set, and the project keeps them."""

import pytest
from openpyxl import Workbook

from burnish.loop.project import open_project
from tests.cli.calls import burnish

NAMED = [
    f"--set=data.{role}={name}" for role, name in [("text", "Was"), ("answer", "Art (intern)"), ("group", "Kunde")]
]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{n % 8:03};Die Lieferung für {n} fehlt;{('Lieferung', 'Rücktritt')[n % 2]}" for n in range(40)]
    path = tmp_path / "anfragen.csv"
    path.write_text("\n".join(["Kunde;Was;Art (intern)", *rows]), encoding="utf-8-sig")
    return path


def test_columns_named_by_set_are_heard_outside_a_project_and_kept_by_a_new_one(table):
    assert burnish("data", "check", table, *NAMED).out.startswith("40 examples in 8 groups")
    assert burnish("init", "desk", "--from", table, *NAMED).code == 0
    data = open_project(table.parent / "desk").settings.data
    assert (data.text, data.answer, data.group) == ("Was", "Art (intern)", "Kunde")
    assert burnish("data", "add", table, "--project", "desk").code == 0
    assert "40 examples in 8 groups" in burnish("data", "check", "--project", "desk").out
    assert "Kunde=" not in burnish("power", "--project", "desk").out


def test_the_sheet_of_a_workbook_is_named_once_and_kept_by_a_new_project(table):
    rows = [line.split(";") for line in table.read_text(encoding="utf-8-sig").splitlines()]
    file, book = table.with_suffix(".xlsx"), Workbook()
    for title, of in (("Alle Anfragen", rows), ("Arten", [["Art"], ["Lieferung"]])):
        sheet = book.create_sheet(title)
        for row in of:
            sheet.append(row)
    book.save(file)
    asked = burnish("init", "desk", "--from", file, *NAMED)
    assert (asked.code, "name one: --set 'data.sheet=Alle Anfragen'" in asked.err) == (65, True)
    assert burnish("init", "desk", "--from", file, *NAMED, "--set=data.sheet=Alle Anfragen").code == 0
    added = burnish("data", "add", file, "--project", "desk", "--json").data
    assert (added["num_kept"], added["num_rejected"]) == (40, 0)
    shown = burnish("data", "show", "--limit", "1", "--project", "desk", "--json").data["examples"][0]
    assert shown["source"] == "anfragen.xlsx/Alle Anfragen:2"


def test_a_name_that_no_column_has_is_told_with_the_setting_that_has_it(table):
    told = burnish("data", "check", table, *NAMED[:2], "--set=data.group=Kundin").err
    assert "there is no column 'Kundin', which data.group names; the columns are 'Kunde', 'Was', 'Art (intern)'" in told
    assert "no setting" not in told


def test_columns_are_asked_for_though_a_row_before_is_broken(table):
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], "only one cell", *lines[1:]]), encoding="utf-8")
    for words in (["data", "check", table], ["try", table], ["init", "desk", "--from", table]):
        told = burnish(*words).err
        assert "which column is the answer? The columns are 'Kunde'" in told
        assert "--set 'data.answer=COLUMN'" in told


def test_a_table_in_a_code_page_is_told_how_to_be_converted(table):
    table.write_bytes(table.read_text(encoding="utf-8-sig").encode("cp1252"))
    told = burnish("data", "check", table, *NAMED).err
    assert "no row of" in told
    assert f"{table.name}:2  utf-8: byte 0xfc" in told
    assert "iconv -f WINDOWS-1252 -t UTF-8" in told


def test_an_empty_cell_is_told_by_its_column(table):
    with table.open("a", encoding="utf-8") as file:
        file.write("\n007;Wo ist mein Paket;\n")
    told = burnish("data", "check", table, *NAMED).out
    assert f"{table.name}:42  empty-answer: the column 'Art (intern)' is empty" in told


def test_slices_of_the_plan_are_columns_of_few_values_in_all_rows(table):
    rows = [f"day {n};Die Lieferung für {n} fehlt;{('Lieferung', 'Rücktritt')[n % 2]}" for n in range(60)]
    table.write_text("\n".join(["Tag;Was;Art (intern)", *rows]), encoding="utf-8")
    assert burnish("init", "days", "--from", table, *NAMED[:2]).code == 0
    assert burnish("data", "add", table, "--project", "days").code == 0
    assert "Tag=" not in burnish("power", "--project", "days").out


def test_rows_that_share_an_id_are_checked_as_they_would_be_added(table):
    rows = [f"7,where is parcel {n * 7919},{'xy'[n % 2]}" for n in range(40)]
    table.write_text("\n".join(["id,text,label", *rows, rows[0]]), encoding="utf-8")
    told = burnish("data", "check", table).out
    assert told.startswith("41 examples in 40 groups")
    assert "vault_1" in told
