"""Rows that share one long system message, against TRL + PEFT, which computes it anew for every row.

    python -m benchmarks.prefix --trl-python .venv-bench/bin/python [--quick] [--json]

A shared beginning of about 400 tokens and about 40 more in each row, a third of them targets; built-in base, LoRA of
rank 16, batch 16, one epoch. As in `train`: equal losses first, the peer's forms once, then engines in turn. Tokens per
second count every row's own and shared tokens, as the peer computes them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.arithmetic import shape_of, step_flops
from benchmarks.duel import CANDIDATE, Setting, arguments, findings, work
from benchmarks.line import tell
from benchmarks.shapes import ASSET, CONFIGS, prefixed_rows

SHARED, OWN = 400, 40


def main() -> None:
    """Prints the findings."""
    options = arguments(__doc__).parse_args()
    if options.quick:
        options.rows, options.runs = 32, 1
    rows = prefixed_rows(options.rows, shared=SHARED, own=OWN)
    asked = work(rows)
    flops = step_flops(shape_of(CONFIGS["english-10m"]()), asked, CANDIDATE["rank"])
    setting = Setting(str(ASSET), rows, options.trl_python, options.threads)
    tokens = sum(len(row["tokens"]) for row in rows)
    more = {
        "model": "english-10m",
        "gflop": flops / 1e9,
        "shared_tokens": shared(rows),
        "work_saved_times": tokens / asked.nodes,
    }
    tell(findings("prefix", setting, options, flops, **more), as_json=options.json)


def shared(rows: Sequence[Mapping[str, Any]]) -> int:
    """Tokens with which all rows begin."""
    first, last = (edge(row["tokens"] for row in rows) for edge in (min, max))
    return next(at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)


if __name__ == "__main__":
    main()
