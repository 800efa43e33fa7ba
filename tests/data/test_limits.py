"""A line of any length, a bomb or a very long file cannot fill the memory."""

import gzip
import subprocess
import sys

import pytest

from burnish.config import Settings
from burnish.data.ingest import read_rows
from burnish.errors import DataError
from burnish.records import Rejection

CHILD = """
import resource, sys
from burnish.config import Settings
from burnish.data.ingest import read_rows
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = list(read_rows(sys.argv[1], Settings()))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(after - before, *[getattr(row, "reason", "good").split(":")[0] for row in rows])
"""


def grown_kb(path):
    """Growth of the peak memory of a process that reads the file, and what became of its rows."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    kb, *outcomes = done.stdout.split()
    return int(kb), outcomes


def test_a_line_of_300_megabytes_is_skipped_in_flat_memory(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "a", "label": "b"}\n')
        file.truncate(300_000_000)  # zeros that take no disk
        file.seek(0, 2)
        file.write(b'\n{"text": "c", "label": "d"}\n')
    kb, outcomes = grown_kb(path)
    assert outcomes == ["good", "too-long", "good"]
    # The limit of a line is 4 MB; bytes, their copy and buffers make a few times that, never 300 MB.
    assert kb < 40_000


def test_a_row_just_under_the_limit_is_read_and_one_just_over_is_not(tmp_path):
    path = tmp_path / "rows.jsonl"
    frame = len('{"text": "", "label": "b"}\n')
    with path.open("w") as file:
        for size in (4_000_001, 4_000_002):  # with the line end
            file.write('{"text": "' + "a" * (size - frame) + '", "label": "b"}\n')
    rows = list(read_rows(path, Settings()))
    assert isinstance(rows[1], Rejection)
    assert rows[1].reason == "too-long: 4,000,002 bytes in one line, the limit is 4,000,000"
    assert not isinstance(rows[0], Rejection)


SPACED = b'{"text":"a","label":"b"}' + b" " * 999_975 + b"\n"


@pytest.mark.parametrize(
    ("name", "piece"),
    [(f"rows.{end}.gz", piece) for end in ("jsonl", "csv") for piece in (b"\0", b" ", SPACED)] + [("rows.gz", b"\n")],
)
def test_a_gzip_bomb_is_refused_after_its_first_part(name, piece, tmp_path):
    path = tmp_path / name
    start = b"text,label\n" if "csv" in name else b""
    packer = gzip.compress(piece * (1_000_000 // len(piece)), compresslevel=6)
    path.write_bytes(gzip.compress(start) + packer * 40 + b"this is no gzip, and is never reached")
    with pytest.raises(DataError, match="more than 250 times its size"):
        list(read_rows(path, Settings()))


def test_a_csv_cell_that_never_ends_is_refused_at_the_limit(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('text,label\na,b\n"open' + "x" * 100 + "\n" + ("y" * 100 + "\n") * 60_000)
    rows = list(read_rows(path, Settings()))
    assert any(isinstance(row, Rejection) and "field larger than field limit" in row.reason for row in rows)


def test_a_json_array_too_large_to_hold_names_the_way_out(tmp_path):
    path = tmp_path / "rows.json"
    with path.open("wb") as file:
        file.write(b'[{"text": "a", "label": "b"}')
        file.truncate(64_000_001)
    with pytest.raises(DataError, match="cannot be streamed") as caught:
        list(read_rows(path, Settings()))
    assert "jq" in caught.value.hint
