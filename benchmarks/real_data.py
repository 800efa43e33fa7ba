"""Whole rounds on real public sets, against what a user would try first: TF-IDF and logistic regression.

    python benchmarks/real_data.py --data FOLDER [--sets clinc_banking,sms_spam] [--out table.md]

FOLDER (or $BURNISH_REAL_DATA) holds one folder a set with SPLIT.jsonl.gz files; a set that is not there is skipped with
a word. The project gets rows of the official train and validation splits, capped and drawn by seed; all numbers are on
rows of the official test split, which no round has seen. Each command is a process of its own, for its peak memory.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from burnish.fingerprint import fingerprint
from burnish.stats.pairs import paired_interval
from burnish.stats.rates import mean_interval

Row = dict[str, str]
Pairs = Sequence[tuple[str, str]]
BURNISH = (sys.executable, "-c", "from burnish.cli.main import main; main()")
MAX_TEST_ROWS = 1000


class Source(NamedTuple):
    """A set as the benchmark uses it."""

    folder: str
    splits: tuple[str, ...]
    """What the project gets."""
    read: Callable[[dict[str, Any]], Row]
    per_label: int
    """At most this many rows of each label go into the project."""
    settings: tuple[str, ...] = ()


def labelled(row: dict[str, Any]) -> Row:
    """A row that already is a text and a label."""
    return {"text": row["text"], "label": row["label"]}


def pubmed(row: dict[str, Any]) -> Row:
    """A question with the abstract it is asked about; the answer is yes, no or maybe."""
    return {"text": "\n".join([*row["contexts"], row["question"]]), "label": row["final_decision"]}


SOURCES = {
    "clinc_banking": Source("clinc_banking_oos", ("train", "valid"), labelled, per_label=100),
    "clinc150": Source("clinc150", ("train", "val"), labelled, per_label=20),
    "sms_spam": Source("sms_spam", ("train", "valid"), labelled, per_label=600),
    "snips": Source("snips", ("train", "valid"), labelled, per_label=100),
    "pubmedqa": Source(
        "pubmedqa",
        ("dev",),
        pubmed,
        per_label=500,
        settings=("data.max_tokens=1024", "train.epochs=4", "train.search=[1.0]"),
    ),
}


class Ran(NamedTuple):
    """A finished process."""

    answer: dict[str, Any]
    seconds: float
    peak_mb: float


class Line(NamedTuple):
    """One line of the table: a model's right and wrong answers on the test rows, in their order."""

    name: str
    scores: list[float]
    seconds: float
    peak_mb: float
    note: str = ""


def run(*command: str) -> Ran:
    """Runs a process that prints one JSON object last, and measures it. Exit codes 3 and 6 are the gate's."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    printed = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code not in (0, 3, 6):
        raise SystemExit(f"{' '.join(command[3:])} ended with {code}")
    lines = printed.strip().splitlines()
    answer = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Ran(answer, time.monotonic() - started, usage.ru_maxrss / 1024)


def draw(rows: Sequence[Row], per_label: int) -> list[Row]:
    """At most so many rows of each label, the same ones every time."""
    taken: dict[str, int] = {}
    kept = []
    for row in sorted(rows, key=lambda row: fingerprint(row)):
        taken[row["label"]] = taken.get(row["label"], 0) + 1
        if taken[row["label"]] <= per_label:
            kept.append(row)
    return kept


def prepare(source: Source, data: Path, work: Path) -> tuple[Path, Path]:
    """Writes the project's file and the test file of a set."""
    files = []
    for name, splits in (("project", source.splits), ("test", ("test",))):
        rows = []
        for split in splits:
            with gzip.open(data / source.folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
                rows += [source.read(json.loads(line)) for line in file]
        kept = draw(rows, source.per_label) if name == "project" else sorted(rows, key=fingerprint)[:MAX_TEST_ROWS]
        path = work / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"id": f"{name}-{at}", **row}) + "\n" for at, row in enumerate(kept)))
        files.append(path)
    return files[0], files[1]


def open_project(folder: Path, file: Path, settings: Sequence[str]) -> list[str]:
    """Makes a project with one file in it; returns the --set options of its commands."""
    options = [part for setting in settings for part in ("--set", setting)]
    run(*BURNISH, "init", str(folder), "--task", "label")
    run(*BURNISH, "data", "add", str(file), "--project", str(folder), "--skip-bad", *options)
    return options


def evaluated(name: str, project: Path, test: Path, options: Sequence[str], model: str, shots: int = 0) -> Line:
    """A model of the project on the test rows."""
    rows = project / "rows.jsonl"
    command = ("eval", "--project", str(project), "--model", model, "--data", str(test), "--shots", str(shots))
    ran = run(*BURNISH, *command, "--rows", str(rows), "--json", "--quiet", *options)
    scores = [json.loads(line)["score"] or 0.0 for line in rows.read_text(encoding="utf-8").split("\n") if line]
    return Line(name, scores, ran.seconds, ran.peak_mb)


def tuned(name: str, project: Path, test: Path, options: Sequence[str]) -> Line:
    """A whole round, then its challenger on the test rows, promoted or not; time and memory are the round's."""
    ran = run(*BURNISH, "round", "--project", str(project), "--json", "--quiet", *options)
    line = evaluated(name, project, test, options, ran.answer["challenger"])
    return line._replace(seconds=ran.seconds, peak_mb=ran.peak_mb, note=ran.answer["decision"])


def plain(name: str, project: Path, test: Path, roles: str) -> Line:
    """TF-IDF and logistic regression on the rows of these roles, in a process of its own."""
    ran = run(sys.executable, __file__, "--plain", str(project), str(test), roles)
    return Line(name, ran.answer["scores"], ran.seconds, ran.peak_mb)


def fit_plain(project: Path, test: Path, roles: str) -> None:
    """Fits the plain baseline on rows of a project and prints its scores on the test rows as JSON."""
    from burnish.data.dataset import load_examples
    from burnish.store.roles import current_roles
    from burnish.store.store import open_store

    store = open_store(project)
    role_of = current_roles(store)
    rows = [(role_of[row.id], (row.prompt[-1].content, row.answer)) for row in load_examples(store)]
    train, dev = ([pair for role, pair in rows if role == wanted] for wanted in ("train", "dev_b"))
    asked = [json.loads(line) for line in test.read_text(encoding="utf-8").split("\n") if line]
    wanted = [(row["text"], row["label"]) for row in asked]
    known = train if roles == "train" else [pair for _, pair in rows]
    print(json.dumps({"scores": plain_scores(train, dev, wanted, known)}))


def plain_scores(train: Pairs, dev: Pairs, asked: Pairs, known: Pairs | None = None) -> list[float]:
    """TF-IDF and logistic regression, its one knob chosen on `dev`, fitted on `known` (default: train): right or wrong.

    Rows are pairs of text and label; the one on which the knob is chosen is never the one asked about.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def fitted(rows: Pairs, c: float) -> Any:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        model = make_pipeline(words, LogisticRegression(C=c, max_iter=2000))
        return model.fit([text for text, _ in rows], [label for _, label in rows])

    def scores(model: Any, rows: Pairs) -> list[float]:
        said = model.predict([text for text, _ in rows])
        return [float(answer == label) for answer, (_, label) in zip(said, rows, strict=True)]

    best = max((1.0, 10.0, 100.0), key=lambda c: sum(scores(fitted(train, c), dev)))
    return scores(fitted(train if known is None else known, best), asked)


def measure(name: str, data: Path) -> list[str]:
    """All lines of one set, as rows of the Markdown table."""
    source = SOURCES[name]
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        file, test = prepare(source, data, work)
        lora, full = work / "lora", work / "full"
        options = open_project(lora, file, source.settings)
        tuned_line = tuned("LoRA", lora, test, options)
        lines = [
            evaluated("base, zero-shot", lora, test, options, "base"),
            evaluated("base, 3 shots", lora, test, options, "base", shots=3),
            tuned_line,
            tuned("full fine-tuning", full, test, open_project(full, file, (*source.settings, "train.method=full"))),
            plain("TF-IDF + LR", lora, test, "train"),
            plain("TF-IDF + LR, also on the rows held out", lora, test, "all"),
        ]
        num_rows = sum(1 for _ in file.open())
    yardstick = next(line for line in lines if line.name == "TF-IDF + LR")
    return [shown(f"{name} ({num_rows} rows)", line, yardstick) for line in lines]


def shown(name: str, line: Line, yardstick: Line) -> str:
    """A line as Markdown: accuracy with interval, the paired difference to TF-IDF, seconds, peak memory, the gate."""
    score = mean_interval(line.scores)
    gap = paired_interval([a - b for a, b in zip(line.scores, yardstick.scores, strict=True)])
    assert score.value is not None
    assert gap.value is not None
    against = "" if line is yardstick else f"{_points(gap.value)} [{_points(gap.low)}, {_points(gap.high)}]"
    accuracy = f"{100 * score.value:.1f}% [{100 * (score.low or 0):.1f}, {100 * (score.high or 0):.1f}]"
    cells = (name, line.name, accuracy, str(score.n), against, f"{line.seconds:.0f}", f"{line.peak_mb:.0f}", line.note)
    return f"| {' | '.join(cells)} |"


def _points(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:+.1f}"


HEADER = """| set | model | accuracy [95%] | n | against TF-IDF, points | seconds | peak MB | gate |
|---|---|--:|--:|--:|--:|--:|---|"""


def main() -> None:
    """Prints the table; a set whose folder is absent is skipped with a word."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("BURNISH_REAL_DATA", ""))
    parser.add_argument("--sets", default=",".join(SOURCES))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plain", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.plain:
        fit_plain(Path(asked.plain[0]), Path(asked.plain[1]), asked.plain[2])
        return
    lines = [HEADER]
    for name in asked.sets.split(","):
        folder = Path(asked.data) / SOURCES[name].folder
        if not asked.data or not folder.is_dir():
            print(f"{name}: skipped, there is no {folder}", file=sys.stderr)
            continue
        lines += measure(name, Path(asked.data))
        print("\n".join(lines), file=sys.stderr)
    if len(lines) > 1:
        text = "\n".join(lines) + "\n"
        asked.out.write_text(text, encoding="utf-8") if asked.out else print(text)


if __name__ == "__main__":
    main()
