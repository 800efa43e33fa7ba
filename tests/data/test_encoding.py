"""UTF-16 with its mark is read as it stands; of another encoding the likely one and its conversion are named."""

import gzip
import io
import shlex
import subprocess
import sys

import pytest

from burnish.config import Settings
from burnish.data.encoding import likely_encoding
from burnish.data.formats import raw_rows
from burnish.data.ingest import nothing_read, read_rows
from burnish.data.sheet import sheet_rows
from burnish.errors import DataError

TABLE = 'text\tlabel\nWo bleibt "mein" Paket? 😀\tLieferung\nFür wen?\tKündigung\n'
LINES = '{"text": "Grüße", "label": "a"}\n{"text": "世界 😀", "label": "b"}\n'
GERMAN = "Die Rückzahlung für größere Beträge, äußerst spät; „bitte“ übermitteln – Straße, München."
TEXTS = {
    "WINDOWS-1252": [
        GERMAN,
        "L’été dernier, j’ai reçu ça à Besançon: très bien, mais où est ma pièce?",
        "El niño añadió 5 €",
    ],
    "WINDOWS-1250": [
        "Gdzie jest moja przesyłka? Zażółć gęślą jaźń, proszę o zwrot pieniędzy.",
        "Příliš žluťoučký kůň úpěl",
    ],
    "WINDOWS-1251": ["Где моя посылка? Верните деньги."],
    "CP850": [GERMAN.replace("„", "").replace("“", "").replace("–", "-"), "déjà reçu à Besançon"],
    "MACINTOSH": [GERMAN, "déjà reçu, très bien"],
    "SHIFT_JIS": ["荷物はどこですか。返金してください。"],
    "GB18030": ["我的包裹在哪里？请退款。"],
}


def encoded(text, encoding):
    return text.encode("mac_roman" if encoding == "MACINTOSH" else encoding)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_utf16_with_its_mark_gives_the_rows_of_utf8(encoding, pack, tmp_path):
    for name, text in (("rows.txt", TABLE), ("rows.csv", TABLE), ("rows.jsonl", LINES), ("long.jsonl", LINES * 4000)):
        (tmp_path / "utf8").mkdir(exist_ok=True)
        (tmp_path / "utf8" / name).write_text(text, encoding="utf-8")
        (tmp_path / name).write_bytes(pack(f"\ufeff{text}".encode(encoding)))
        told = [(row.number, row.value, row.fault, row.offset) for row in raw_rows(tmp_path / name)]
        plain = [(row.number, row.value, row.fault, None) for row in raw_rows(tmp_path / "utf8" / name)]
        assert told == plain
        assert len(told) > 1
    assert sheet_rows(tmp_path / "rows.csv")[-1][1] == {"text": "Für wen?", "label": "Kündigung"}


def test_utf16_that_ends_inside_a_character_is_told_with_line_and_byte(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(f"\ufeff{LINES * 3000}".encode("utf-16-le")[:-1])
    size, line = path.stat().st_size - 1, 6000
    with pytest.raises(DataError, match=f"line {line}: byte {size:,} of the file is not UTF-16"):
        list(raw_rows(path))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_without_the_mark_the_command_that_converts_is_told_and_works(encoding, tmp_path):
    path = tmp_path / "my rows.jsonl"
    path.write_bytes(LINES.encode(encoding))
    _assert_the_hint_mends(path, LINES.encode(), lambda: list(raw_rows(path)))


def _assert_the_hint_mends(path, wanted, read):
    with pytest.raises(DataError) as caught:
        read()
    command = caught.value.hint.partition("convert it: ")[2]
    subprocess.run(["bash", "-c", command], cwd=path.parent, check=True)
    assert (path.parent / f"utf8-{path.name.removesuffix('.gz')}").read_bytes() == wanted


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts])
def test_the_likely_encoding_is_named(encoding, text):
    assert likely_encoding(encoded(f"text,label\n{text},a\n", encoding)) == encoding


def test_what_looks_like_no_encoding_is_not_named():
    assert likely_encoding(bytes(range(128, 256))) == ""
    assert likely_encoding(b"") == ""


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("head", ["text,label", "Größe,label", '[{"text": "'])
def test_rows_in_a_code_page_are_told_with_line_and_byte_and_the_hint_mends_them(head, pack, tmp_path):
    table = "\n".join([head, *[f"{GERMAN.replace(',', '')},a"] * 30]) + '"}]' * head.startswith("[") + "\n"
    path = tmp_path / ("rows.csv.gz" if pack is gzip.compress else "rows.csv")
    path.write_bytes(pack(table.encode("cp1252")))

    def read():
        raise nothing_read(path, list(read_rows(path, Settings())))

    with pytest.raises(DataError, match=r"line 1: |line 2: byte 30|rows\.csv:2 ") as caught:
        read()
    assert "it reads like WINDOWS-1252" in caught.value.hint
    _assert_the_hint_mends(path, table.encode(), read)


def test_a_stream_in_a_code_page_is_told_the_filter(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Größe,label\na,b\n".encode("cp1252"))))
    with pytest.raises(DataError) as caught:
        list(read_rows("-", Settings()))
    assert shlex.join(["iconv", "-f", "WINDOWS-1252", "-t", "UTF-8"]) in caught.value.hint
    assert "in the pipe" in caught.value.hint
