"""Ingest of many short rows: rows per second and peak memory, for reading alone and for `data add`.

python benchmarks/ingest.py [ROWS]      each case in a process of its own; results are in ingest.md
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from burnish.config import Settings
from burnish.data.ingest import read_rows
from burnish.data.intake import add_files
from burnish.records import Example
from burnish.store.store import open_store
from burnish.talk import Silence


def write_rows(path: Path, num_rows: int) -> None:
    """Rows of about 100 bytes, all different."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_rows):
            row = {
                "text": f"where is my payment for week {number} please",
                "label": f"label {number % 15}",
                "channel": "web",
            }
            file.write(json.dumps(row) + "\n")


def read(path: Path) -> int:
    """Reading and checking alone."""
    return sum(isinstance(row, Example) for row in read_rows(path, Settings()))


def add(path: Path) -> int:
    """The whole of `burnish data add`: duplicates, secrets, sealing."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        return add_files(store, Settings(), [path], Silence()).num_kept


def measure(case: str, path: Path) -> None:
    """Runs one case and prints a line of the table."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    wall, cpu = time.monotonic(), time.process_time()
    num_rows = {"read": read, "add": add}[case](path)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"| {case} | {num_rows:,} | {wall:.1f} | {cpu:.1f} | {num_rows / cpu:,.0f} | {before:.0f} | {peak:.0f} |")


def main() -> None:
    """All cases for the number of rows, and for a tenth and a half of them, so that flatness shows."""
    num_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(
        "| case | rows | wall s | cpu s | rows per cpu s | MB at start | peak MB |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for size in (num_rows // 10, num_rows // 2, num_rows):
            path = Path(folder) / f"rows{size}.jsonl"
            write_rows(path, size)
            for case in ("read", "add"):
                subprocess.run([sys.executable, __file__, case, str(path)], check=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
