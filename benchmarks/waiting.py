"""What waiting threads cost: training tokens a second alone and in company, by how long OpenMP threads spin.

    python -m benchmarks.waiting [--runs 3]

Each worker is a process with two threads that trains an adapter on the built-in base (engine.py). The ways of waiting
take turns; the figure of several workers is the mean over them. Prints a Markdown table.
GOMP_SPINCOUNT is understood by GNU's OpenMP, which the usual torch for Linux brings.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WAYS = {
    "default": {},
    "10,000 turns": {"GOMP_SPINCOUNT": "10000"},
    "3,000 turns": {"GOMP_SPINCOUNT": "3000"},
    "1,000 turns": {"GOMP_SPINCOUNT": "1000"},
    "300 turns": {"GOMP_SPINCOUNT": "300"},
    "PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
COMPANY = (1, 2)
NUM_ROWS, THREADS = 200, 2


def render(folder: Path) -> Path:
    """The rows that every worker trains on."""
    from burnish.model.base import load_base
    from burnish.records import Message

    chat = load_base("builtin:english-10m", precision="float32").chat
    rows = []
    for line in Path("examples/claims/claims.jsonl").read_text(encoding="utf-8").splitlines()[:NUM_ROWS]:
        row = json.loads(line)
        turns = [Message(role="user", content=row["text"]), Message(role="assistant", content=row["intent"])]
        rendered = chat.render(turns)
        rows.append({"tokens": list(rendered.tokens), "learned": list(rendered.learned)})
    path = folder / "rows.json"
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    return path


def together(rows: Path, way: str, count: int) -> float:
    """Mean tokens a second of `count` workers at once."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment = {**kept, **WAYS[way], "OMP_NUM_THREADS": str(THREADS)}
    command = [sys.executable, "-m", "benchmarks.engine", str(rows)]
    workers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    done = [json.loads(worker.communicate()[0].strip().splitlines()[-1]) for worker in workers]
    return statistics.mean(one["tokens"] / one["seconds"] for one in done)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    found: dict[tuple[str, int], list[float]] = {(way, count): [] for way in WAYS for count in COMPANY}
    with tempfile.TemporaryDirectory() as folder:
        rows = render(Path(folder))
        for _ in range(asked.runs):
            for (way, count), rates in found.items():
                rates.append(together(rows, way, count))
    print("| waiting | alone | two at once |\n|---|--:|--:|")
    for way in WAYS:
        cells = [
            f"{statistics.median(rates):,.0f} [{min(rates):,.0f}-{max(rates):,.0f}]"
            for rates in (found[way, count] for count in COMPANY)
        ]
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
