"""A line of any length, a bomb or a very long file cannot fill the memory."""

import gzip
import subprocess
import sys

import pyarrow
import pytest
from pyarrow import parquet

from burnish.config import Settings
from burnish.data.ingest import read_rows
from burnish.errors import DataError
from burnish.records import Rejection

CHILD = """
import sys
import pyarrow.parquet
from burnish.config import Settings
from burnish.data.ingest import read_rows

def peak_kb():
    # Not getrusage: a child begins with the peak of the process that started it.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

before = peak_kb()
outcomes = {}
for row in read_rows(sys.argv[1], Settings()):
    outcome = getattr(row, "reason", "good").split(":")[0]
    outcomes[outcome] = outcomes.get(outcome, 0) + 1
print(peak_kb() - before, *outcomes, *outcomes.values())
"""


def grown_kb(path):
    """Growth of the peak memory of a process that reads the file, and what became of its rows."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    kb, *rest = done.stdout.split()
    outcomes, counts = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    return int(kb), dict(zip(outcomes, map(int, counts), strict=True))


def test_a_line_of_300_megabytes_is_skipped_in_flat_memory(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "a", "label": "b"}\n')
        file.truncate(300_000_000)  # zeros that take no disk
        file.seek(0, 2)
        file.write(b'\n{"text": "c", "label": "d"}\n')
    kb, outcomes = grown_kb(path)
    assert outcomes == {"good": 2, "too-long": 1}
    # The limit of a line is 4 MB; bytes, their copy and buffers make a few times that, never 300 MB.
    assert kb < 40_000


@pytest.mark.parametrize("kind", ["parquet", "folder"])
def test_a_much_larger_columnar_file_takes_no_more_memory_even_as_one_row_group(kind, tmp_path):
    small, large = (grown_kb(columnar(tmp_path / str(count), kind, count)) for count in (10_000, 25_000))
    assert small[1] == {"good": 10_000}
    assert large[1] == {"good": 25_000}
    # The larger file has 50 MB more. Reading it whole would take these; a page cache that still fills, a few.
    assert large[0] - small[0] < 25_000


def columnar(path, kind, num_rows):
    """A Parquet file in one row group, or a saved dataset, of 3.4 kB a row."""
    texts = [f"{number} " + "words that fill a page " * 150 for number in range(num_rows)]
    table = pyarrow.table({"text": texts, "label": ["a", "b"] * (num_rows // 2)})
    if kind == "parquet":
        parquet.write_table(table, path, compression="none", use_dictionary=["label"])
        return path
    path.mkdir()
    (path / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    with pyarrow.ipc.new_stream(path / "data.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    return path


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
