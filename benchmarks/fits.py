"""What BLAS threads do to the fit of a small classifier: processor and wall time on all cores and on one.

    python -m benchmarks.fits [--rows 1000] [--runs 3]

Logistic regression over TF-IDF of the example messages, by both solvers that burnish uses; the ways take turns, and
medians are printed as a Markdown table. OMP_NUM_THREADS and OPENBLAS_NUM_THREADS must not be set.
"""

import argparse
import json
import os
import statistics
import time
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from threadpoolctl import threadpool_limits

from burnish.loop.demo import example_file

SOLVERS = {
    "liblinear, one label against the rest": OneVsRestClassifier(LogisticRegression(C=10.0, solver="liblinear")),
    "L-BFGS, all labels at once": LogisticRegression(C=10.0, max_iter=30, tol=1e-2),
}


def seconds(model: Any, vectors: Any, labels: list[str], threads: int) -> tuple[float, float]:
    """Processor and wall seconds of one fit with so many threads of BLAS."""
    with threadpool_limits(limits=threads, user_api="blas"):
        cpu, wall = time.process_time(), time.perf_counter()
        model.fit(vectors, labels)
        return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    rows = [json.loads(line) for line in example_file().read_text(encoding="utf-8").splitlines()[: asked.rows]]
    reader = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    vectors, labels = reader.fit_transform([row["text"] for row in rows]), [row["action"] for row in rows]
    print(f"{vectors.shape[0]:,} rows, {vectors.shape[1]:,} terms, {len(set(labels))} labels\n")
    print("| solver | threads | processor s | wall s |\n|---|--:|--:|--:|")
    for name, model in SOLVERS.items():
        ways = {threads: [] for threads in (os.cpu_count() or 1, 1)}
        for _ in range(asked.runs):
            for threads, taken in ways.items():
                taken.append(seconds(model, vectors, labels, threads))
        for threads, taken in ways.items():
            cpu, wall = (statistics.median(times) for times in zip(*taken, strict=True))
            print(f"| {name} | {threads} | {cpu:.2f} | {wall:.2f} |")


if __name__ == "__main__":
    main()
