"""Training speed against TRL + PEFT on the same rows, steps, batch and rank, on this CPU.

    python -m benchmarks.train --trl-python .venv-bench/bin/python [--model smollm-135m] [--quick] [--json]

LoRA of rank 16 on all linear layers, batch 16, one epoch over rows of mixed length of which a third of the tokens are
targets; the built-in base or SmolLM2-135M's shape with random weights. Each run is a process of its own, and engines
take turns. Tokens are the rows' real tokens, padding not counted. First the losses of the first steps are compared with
the peer's, from the same first adapter; then the peer's forms (trl_run.py) run once and the best takes part.
"""

import tempfile
from pathlib import Path

from benchmarks.arithmetic import shape_of, step_flops
from benchmarks.duel import CANDIDATE, Setting, arguments, findings, work
from benchmarks.line import tell
from benchmarks.shapes import CONFIGS, folder_of, mixed_rows


def main() -> None:
    """Prints the findings."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default="english-10m", choices=sorted(CONFIGS))
    options = parser.parse_args()
    if options.quick:
        options.rows, options.runs = 32, 1
    rows = mixed_rows(options.rows)
    flops = step_flops(shape_of(CONFIGS[options.model]()), work(rows), CANDIDATE["rank"])
    with tempfile.TemporaryDirectory() as scratch:
        setting = Setting(folder_of(options.model, Path(scratch)), rows, options.trl_python, options.threads)
        found = findings("train", setting, options, flops, model=options.model, gflop=flops / 1e9)
    tell(found, as_json=options.json)


if __name__ == "__main__":
    main()
