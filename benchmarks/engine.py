"""One training run of burnish in a process of its own: `python -m benchmarks.engine SPEC.json` prints a line of JSON.

The spec names base (a folder or builtin:NAME), precision, rows {tokens, learned}, batch, epochs and candidates. Seconds
are of `train` alone, without loading, as with every peer.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import peak_mb

USUAL: dict[str, Any] = {
    "base": "builtin:english-10m",
    "precision": "auto",
    "batch": 16,
    "epochs": 1,
    "warmup_share": 0.05,
    "candidates": [{"name": "a", "rank": 16, "alpha": 32, "lr": 1e-3, "seed": 0}],
    "keep": None,
    "tokens_at_once": None,
}
"""What a spec may leave out. keep: a folder that keeps the adapters. tokens_at_once: how many tokens a forward pass
takes at most, in place of the engine's own number; 1 takes every row alone."""


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Trains, and tells seconds, real tokens (padding is not counted), the loss of each step, and peak memory."""
    from burnish.config import LoraSettings, TrainSettings
    from burnish.model.base import load_base
    from burnish.records import Candidate
    from burnish.train import run as loop
    from burnish.train.batch import Row
    from burnish.train.job import TrainJob

    asked = {**USUAL, **spec}
    loop.TOKENS_AT_ONCE = asked["tokens_at_once"] or loop.TOKENS_AT_ONCE
    rows = [Row(id=str(number), **row) for number, row in enumerate(asked["rows"])]
    base = load_base(asked["base"], precision=asked["precision"], device="cpu")
    candidates = [Candidate(**one) for one in asked["candidates"]]
    settings = {key: asked[key] for key in ("epochs", "warmup_share")}
    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            base=base,
            rows=rows,
            dev=(),
            candidates=candidates,
            train=TrainSettings(
                **settings, batch_size=asked["batch"], finalists=len(candidates), checkpoint_every_s=1e9
            ),
            lora=LoraSettings(),
            seed=0,
            folder=Path(asked["keep"] or folder),
        )
        before_mb, start, cpu_start = peak_mb(), time.perf_counter(), time.process_time()
        trials = loop.train(job)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "tokens": sum(len(row.tokens) for row in rows) * asked["epochs"] * len(candidates),
        "losses": [[point.train_loss for point in trial.curve if point.train_loss is not None] for trial in trials],
        "peak_mb": peak_mb(),
        "added_mb": peak_mb() - before_mb,
        "precision": base.precision,
        "note": base.reason,
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
