"""What this machine can do at best, measured in the run it is compared with; and engines in processes of their own.

`python -m benchmarks.machine SPEC.json` prints the rates of a process with so many threads as OMP_NUM_THREADS says.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def matrix_rate(precision: str) -> float:
    """Best rate of a linear layer of 2048 in and out, in FLOP/s, measured anew at each call."""
    from burnish.model.speed import gflops

    return gflops.__wrapped__(precision, 2048, 2048, "cpu", 0.5) * 1e9


def copy_rate() -> float:
    """Bytes a second that a copy of 256 MB reads and writes, at best of a few."""
    import torch

    source = torch.ones(1 << 26)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        target.copy_(source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.numel() * source.element_size() / best


def peak_mb() -> float:
    """Most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def call(
    module: str,
    spec: Mapping[str, Any],
    *,
    python: str = sys.executable,
    threads: int | None = None,
    timeout_s: float = 3600,
) -> dict:
    """What `python -m module SPEC.json` prints last, as JSON; {"absent": why} when it fails or takes too long."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads or os.cpu_count()), "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "spec.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        try:
            done = subprocess.run(
                [python, "-m", module, str(path)],
                capture_output=True,
                text=True,
                env=environment,
                cwd=ROOT,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            return {"absent": f"not done within {timeout_s:.0f} s"}
        except OSError as error:
            return {"absent": str(error)[:200]}
    if done.returncode:
        return {"absent": (done.stderr.strip().splitlines() or ["no message"])[-1][:300]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def progress(text: str) -> None:
    """A word to the one who waits."""
    print(text, file=sys.stderr, flush=True)


def rates() -> dict[str, float]:
    """Matrix rates by number type in FLOP/s, and of copying in bytes a second."""
    return {kind: matrix_rate(kind) for kind in ("float32", "bfloat16")} | {"copy": copy_rate()}


if __name__ == "__main__":
    print(json.dumps(rates()))
