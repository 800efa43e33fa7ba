"""A sheet comes back from any spreadsheet with its rows and letters, or the line that is at fault is named."""

import pytest

from burnish.data.sheet import sheet_rows, write_table
from burnish.errors import DataError

ROWS = [{"id": "1", "text": 'Grüße, "ja";\nnein', "answer": "Kündigung"}, {"id": "2", "text": "b", "answer": ""}]
FORMS = [
    ("utf-8-sig", ",", "\n"),
    ("utf-8-sig", ";", "\r\n"),
    ("utf-8", "\t", "\n"),
]


def written(path, encoding, delimiter, end):
    cells = [["id", "text", "answer"], *[list(row.values()) for row in ROWS]]
    quoted = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in cells]
    path.write_bytes(end.join([*quoted, ""]).encode(encoding))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_a_sheet_is_read_whatever_separates_its_cells_and_lines(form, tmp_path):
    assert sheet_rows(written(tmp_path / "sheet.csv", *form)) == [(3, ROWS[0]), (4, ROWS[1])]


def test_a_sheet_is_written_with_the_mark_by_which_spreadsheets_know_its_letters(tmp_path):
    path = tmp_path / "sheet.csv"
    write_table(path, ["id", "answer"], [["1", "ü"]])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert sheet_rows(path) == [(2, {"id": "1", "answer": "ü"})]


def test_another_encoding_and_an_absent_file_are_told_without_the_words_of_python(tmp_path):
    with pytest.raises(DataError, match=r"line 2: byte 28 of the file, 0xfc, is not UTF-8") as caught:
        sheet_rows(written(tmp_path / "sheet.csv", "cp1252", ";", "\n"))
    assert "iconv -f WINDOWS-1252 -t UTF-8 " in caught.value.hint
    with pytest.raises(DataError, match=r"there is no file .*nowhere\.csv"):
        sheet_rows(tmp_path / "nowhere.csv")
