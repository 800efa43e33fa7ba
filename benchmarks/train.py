"""Training speed against TRL + PEFT on the same rows, steps, batch and rank, on the built-in base and this CPU.

    python benchmarks/train.py --trl-python .venv-bench/bin/python [--data FILE.jsonl] [--runs 3]

Each run is a process of its own; engines take turns, so that a slow minute of the machine hits all of them. Tokens are
the rows' real tokens, padding not counted, the same number for every engine. Without TRL its lines say absent.
Tokens per CPU second are given too: on a machine that others use, with --threads 1, they tell more than the clock.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENGINES = {
    "burnish": "float32 or bfloat16, whichever is faster here",
    "trl default": "SFTConfig as it comes: bf16 autocast, gradient checkpointing",
    "trl tuned fp32": "float32, no checkpointing, batches grouped by length",
    "trl tuned bf16": "bfloat16 weights, no checkpointing, batches grouped by length",
    "trl tuned fp32 flush": "as tuned fp32, and denormal numbers flushed to zero in the process",
}
RANK, ALPHA, BATCH, LR = 16, 32, 16, 1e-3


def main() -> None:
    """Runs every engine in turn and prints the table; with --engine, one run of one engine as a JSON line."""
    options = _options()
    if options.engine:
        print(json.dumps(_burnish(options) if options.engine == "burnish" else _trl(options)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.json"
        rows.write_text(json.dumps(_rows(Path(options.data), options.rows)))
        results: dict[str, list[dict]] = {name: [] for name in ENGINES}
        for _ in range(options.runs):
            for name in ENGINES:
                python = sys.executable if name == "burnish" else options.trl_python
                results[name].append(_run(python, name, rows, options))
    _show(results, _machine(), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="examples/claims/claims.jsonl", help="JSONL (or .gz) with text and a label")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--trl-python", default=sys.executable, help="a Python that has trl and peft")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--rendered", help=argparse.SUPPRESS)
    return parser.parse_args()


def _rows(path: Path, count: int) -> list[dict]:
    """The first rows of the file, rendered once, so that all engines train on the same tokens and marks."""
    from burnish.model.base import load_base
    from burnish.records import Message

    chat = load_base("builtin:english-10m", precision="float32").chat
    rows = []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in file:
            row = json.loads(line)
            label = row.get("label") or row["intent"]
            turns = [Message(role="user", content=row["text"]), Message(role="assistant", content=label)]
            rendered = chat.render(turns)
            rows.append({"tokens": list(rendered.tokens), "learned": list(rendered.learned)})
            if len(rows) == count:
                break
    return rows


def _run(python: str, engine: str, rows: Path, options: argparse.Namespace) -> dict:
    command = [python, __file__, "--engine", engine, "--rendered", str(rows), "--epochs", str(options.epochs)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"absent": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def _burnish(options: argparse.Namespace) -> dict:
    import resource

    from burnish.config import LoraSettings, TrainSettings
    from burnish.model.base import load_base
    from burnish.records import Candidate
    from burnish.train.batch import Row
    from burnish.train.job import TrainJob
    from burnish.train.run import train

    rows = [Row(id=str(number), **row) for number, row in enumerate(json.loads(Path(options.rendered).read_text()))]
    base = load_base("builtin:english-10m")
    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            base=base,
            rows=rows,
            dev=(),
            candidates=[Candidate(name="a", rank=RANK, alpha=ALPHA, lr=LR, seed=0)],
            train=TrainSettings(epochs=options.epochs, batch_size=BATCH),
            lora=LoraSettings(rank=RANK, alpha=ALPHA),
            seed=0,
            folder=Path(folder),
        )
        start, cpu_start = time.perf_counter(), time.process_time()
        (trial,) = train(job)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    tokens = sum(len(row.tokens) for row in rows) * options.epochs
    loss = trial.curve[-1].train_loss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    told = {"loss": loss, "peak_gb": peak, "note": base.reason}
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "tokens": tokens, **told}


def _trl(options: argparse.Namespace) -> dict:
    import resource

    import datasets
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    import burnish

    folder = str(Path(burnish.__file__).parent / "assets" / "english-10m")
    rows = json.loads(Path(options.rendered).read_text())
    data = datasets.Dataset.from_list(
        [
            {
                "input_ids": row["tokens"],
                "labels": [t if m else -100 for t, m in zip(row["tokens"], row["learned"], strict=True)],
            }
            for row in rows
        ]
    )
    with tempfile.TemporaryDirectory() as scratch:
        config: dict = {"output_dir": scratch, "num_train_epochs": options.epochs, "report_to": "none"}
        config |= {"per_device_train_batch_size": BATCH, "learning_rate": LR, "save_strategy": "no", "use_cpu": True}
        config |= {"logging_steps": 1, "disable_tqdm": True, "max_length": None, "warmup_steps": 0.05}
        dtype = torch.float32
        if "tuned" in options.engine:
            config |= {"gradient_checkpointing": False, "bf16": False, "train_sampling_strategy": "group_by_length"}
            dtype = torch.bfloat16 if options.engine.endswith("bf16") else torch.float32
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**config),
            train_dataset=data,
            processing_class=PreTrainedTokenizerFast.from_pretrained(folder),
            peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        if options.engine.endswith("flush"):
            torch.set_flush_denormal(True)
        start, cpu_start = time.perf_counter(), time.process_time()
        trainer.train()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        loss = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry][-1]
    tokens = sum(len(row["tokens"]) for row in rows) * options.epochs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    told = {"loss": loss, "peak_gb": peak, "note": ""}
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "tokens": tokens, **told}


def _machine() -> dict[str, float]:
    """Best matrix rates of this machine in GFLOP/s, measured in the same session as the runs."""
    import torch

    rates = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        x, weight = torch.randn(2048, 2048, dtype=dtype), torch.randn(2048, 2048, dtype=dtype)
        best = float("inf")
        for _ in range(6):
            start = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            best = min(best, time.perf_counter() - start)
        rates[name] = 2 * 2048**3 / best / 1e9
    return rates


def _show(results: dict, rates: dict[str, float], options: argparse.Namespace) -> None:
    print(f"{options.rows} rows of {options.data}, {options.epochs} epochs, batch {BATCH}, rank {RANK} on all linear")
    print(f"layers, {options.threads} threads; matrix rate {rates['float32']:.0f} float32, ", end="")
    print(f"{rates['bfloat16']:.0f} bfloat16 GFLOP/s; medians of {options.runs}\n")
    print(
        "| engine | tokens/s | spread | tokens/CPU s | seconds | peak GB | last loss |\n|---|--:|--:|--:|--:|--:|--:|"
    )
    for name, runs in results.items():
        if any("absent" in run for run in runs):
            print(f"| {name} | absent: {next(run['absent'] for run in runs if 'absent' in run)} | | | | | |")
            continue
        runs = sorted(runs, key=lambda run: run["seconds"])
        speeds = [run["tokens"] / run["seconds"] for run in runs]
        per_cpu = statistics.median(run["tokens"] / run["cpu_seconds"] for run in runs)
        middle = runs[len(runs) // 2]
        print(
            f"| {name} ({middle['note'] or ENGINES[name]}) | {statistics.median(speeds):,.0f} | "
            f"{speeds[-1]:,.0f}-{speeds[0]:,.0f} | {per_cpu:,.0f} | {middle['seconds']:.1f} | "
            f"{middle['peak_gb']:.2f} | {middle['loss']:.3f} |"
        )


if __name__ == "__main__":
    main()
