"""LoRA training on an NVIDIA GPU at the shapes of Qwen2.5-0.5B, Llama-3.2-1B and Llama-3.1-8B, 1, 4 and 8 adapters.

    python -m benchmarks.gpu [--shapes llama-3.1-8b] [--adapters 1,8] [--profile] [--try tokens_at_once=65536] [--json]
    python -m benchmarks.gpu --device cpu --shapes tiny --quick     # the same code without a GPU, to test it

Weights are random and made on the device; tokenizer and checks are those of the built-in base. What is timed is `train`
itself, step by step, after steps that warm up. Utilisation: the least operations that give these gradients
(arithmetic.py) a second, against the rate in the data sheet of the card and against a product measured in the same run.
Before, a tiny shape must have the same losses on the device as on the CPU. Without a GPU it says so and ends well.
"""

import argparse
import importlib
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.arithmetic import shape_of, step_flops, work_of
from benchmarks.line import Timed, line, tell
from benchmarks.machine import matrix_rate, peak_mb, progress

NO_PEER = "this benchmark has no peer: it compares with what the card can do"
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 8192,
        "tie_word_embeddings": True,
    },
    "qwen2.5-0.5b": {
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "llama-3.1-8b": {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
    },
}
"""As the config.json of each says; what is left out (rotary base, length) decides no speed."""
DATA_SHEET = {"H200": 989e12, "H100 80GB HBM3": 989e12, "H100 NVL": 835e12, "H100 PCIe": 756e12, "A100": 312e12}
"""Dense bfloat16 FLOP/s by a part of the card's name, from NVIDIA's data sheets (half of the figure with sparsity)."""
KNOBS = {
    "tokens_at_once": ("burnish.train.run", "TOKENS_AT_ONCE"),
    "logits_at_once": ("burnish.train.objective", "CHUNK_LOGITS"),
}
"""Constants of the engine that were measured on CPUs; --try sets one for the run, and the line says so."""
RANK, WARM_STEPS = 16, 3
SAME_LOSS = 1e-3
"""Relative, float32 on both sides: the same numbers summed in another order. A product left out would show."""


class Ran(NamedTuple):
    """A training run, step by step."""

    seconds: list[float]
    peak_mb: float
    losses: list[list[float]]
    """Of each adapter the mean training loss at each point of its curve."""


def main(words: Sequence[str] | None = None) -> None:
    """Prints the findings, or that there is no GPU. `words`: the command line, if not the process's own."""
    options = _options(words)
    if reason := missing(options.device):
        told = line("gpu", {"burnish": Timed(seconds=(), work=1, absent=reason)}, unit="tokens", not_run=reason)
        tell({**told, "ratio_reason": NO_PEER}, as_json=options.json, text=f"not run: {reason}")
        return
    tried = set_knobs(options.tries)
    found = measured(options)
    tell({**found, "tried": tried}, as_json=options.json, text=shown({**found, "tried": tried}))


def missing(device: str) -> str:
    """Why there is nothing to run on; empty when there is."""
    import torch

    kind, _, number = device.partition(":")
    return "no GPU" if kind == "cuda" and int(number or 0) >= torch.cuda.device_count() else ""


def set_knobs(tries: Sequence[str]) -> dict[str, int]:
    """Sets constants of the engine for this process: NAME=VALUE each. Raises SystemExit for an unknown name."""
    found = {}
    for text in tries:
        name, _, value = text.partition("=")
        if name not in KNOBS or not value.isdigit():
            raise SystemExit(f"--try {text}: give one of {', '.join(KNOBS)} a whole number")
        module, constant = KNOBS[name]
        setattr(importlib.import_module(module), constant, int(value))
        found[name] = int(value)
    return found


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Every shape with every number of adapters; what does not fit is absent, with its reason."""
    check = same_as_cpu(options.device)
    rates, rows = [best_rate(options.device)], rows_for(options)
    engines: dict[str, Timed] = {}
    flops: dict[str, int] = {}
    profiles: dict[str, dict[str, float]] = {}
    for shape in options.shapes.split(","):
        base = random_base(shape, options.device)
        for count in map(int, options.adapters.split(",")):
            name = f"{shape} K={count}"
            engines[name], flops[name] = one(base, rows, count, options.batch)
            progress(f"{name}: {engines[name].absent or engines[name].seconds}")
            if options.profile and not engines[name].absent:
                profiles[name] = profiled(base, rows, count, options)
        del base
        free(options.device)
        rates.append(best_rate(options.device))
    ran = {name: found for name, found in engines.items() if found.seconds}
    rate, sheet = max(rates), sheet_rate(card(options.device))
    return line(
        "gpu",
        engines,
        unit="tokens",
        checks=[check],
        limit_share_reason="one for each shape: utilisation",
        ratio_reason=NO_PEER,
        utilisation={name: used(flops[name], found.seconds[0], rate, sheet) for name, found in ran.items()},
        against_one_adapter=against_one({name: found.speeds[0] for name, found in ran.items()}),
        card=card(options.device),
        matrix_rate=rate,
        data_sheet_rate=sheet,
        data_sheet_reason=None if sheet else "no figure is known for this card",
        rank=RANK,
        batch=options.batch,
        steps=options.steps,
        profiles=profiles,
    )


def one(base: Any, rows: Sequence[dict[str, Any]], count: int, batch: int) -> tuple[Timed, int]:
    """One shape with so many adapters: time and tokens after the warm-up, and the operations counted for them."""
    from burnish.errors import BurnishError

    timed_rows = batches_of(rows, batch)[WARM_STEPS:]
    tokens = count * sum(len(row["tokens"]) for some in timed_rows for row in some)
    flops = count * step_flops(shape_of(base.model.config.to_dict()), work_of(timed_rows), RANK)
    try:
        ran = run(base, rows, count, batch)
    except (BurnishError, RuntimeError) as error:  # out of memory, or no room on the disk: told, and the next one runs
        return Timed(seconds=(), work=tokens, absent=str(error)[:200]), flops
    return Timed(seconds=[sum(ran.seconds[WARM_STEPS:])], work=tokens, peak_mb=ran.peak_mb), flops


def used(flops: float, seconds: float, rate: float, sheet: float | None) -> dict[str, float | None]:
    """Operations a second, and their share of the card's rates."""
    done = flops / seconds
    return {"flops_per_s": done, "of_data_sheet": done / sheet if sheet else None, "of_matrix_rate": done / rate}


def against_one(speeds: Mapping[str, float]) -> dict[str, float]:
    """Tokens per second of a bank against those of one adapter of the same shape."""
    first = {name.removesuffix(" K=1"): speed for name, speed in speeds.items() if name.endswith(" K=1")}
    shapes = {name: name.partition(" K=")[0] for name in speeds}
    return {name: speed / first[shapes[name]] for name, speed in speeds.items() if shapes[name] in first}


def random_base(shape: str, device: str, precision: str = "bfloat16") -> Any:
    """A base of this shape with random weights, made where it is used; all else is the built-in base's."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from burnish.fingerprint import fingerprint
    from burnish.model.base import load_base

    known = load_base("builtin:english-10m", precision=precision, device=device)
    config = AutoConfig.for_model(**SHAPES[shape], max_position_embeddings=4096, bos_token_id=0, eos_token_id=3)
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, precision))
    model.requires_grad_(False).eval()
    name = f"random:{shape}"
    return replace(known, name=name, model=model, base_hash=fingerprint({"shape": name, "device": device}))


def run(base: Any, rows: Sequence[dict[str, Any]], count: int, batch: int) -> Ran:
    """One epoch of `train` with so many adapters; seconds of each step, the device's work done."""
    from burnish.config import LoraSettings, TrainSettings
    from burnish.records import Candidate
    from burnish.train.batch import Row
    from burnish.train.job import TrainJob
    from burnish.train.run import train

    candidates = [Candidate(name=f"a{at}", rank=RANK, alpha=32, lr=1e-4, seed=at) for at in range(count)]
    moments: list[float] = []

    def after_step() -> bool:
        moments.append(now(base.device))
        return False

    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            base=base,
            rows=[Row(id=str(at), **row) for at, row in enumerate(rows)],
            dev=(),
            candidates=candidates,
            train=TrainSettings(epochs=1, batch_size=batch, finalists=count, checkpoint_every_s=1e9),
            lora=LoraSettings(rank=RANK),
            seed=0,
            folder=Path(folder),
        )
        free(base.device)
        start = now(base.device)
        trials = train(job, should_stop=after_step)
    seconds = [after - before for before, after in zip([start, *moments[:-1]], moments, strict=True)]
    losses = [[point.train_loss for point in trial.curve if point.train_loss is not None] for trial in trials]
    return Ran(seconds, device_peak_mb(base.device), losses)


def same_as_cpu(device: str) -> str:
    """The tiny shape on the device and on the CPU, float32, two adapters: the finding in words, or SystemExit."""
    rows, cpu = rows_of_length(24, mean=60, longest=160), random_base("tiny", "cpu", "float32")
    theirs = run(cpu, rows, 2, 8).losses
    moved = replace(random_base("tiny", device, "float32"), model=cpu.model.to(device))
    ours = run(moved, rows, 2, 8).losses
    off = max(abs(a - b) / b for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))
    if not off <= SAME_LOSS:
        raise SystemExit(f"losses on {device} are not those on the CPU: {ours} and {theirs}")
    return f"losses of {len(ours[0])} steps of 2 adapters on {device} within {off:.1g} of the CPU's, relative, float32"


def rows_for(options: argparse.Namespace) -> list[dict[str, Any]]:
    """As many rows as the steps need."""
    return rows_of_length((WARM_STEPS + options.steps) * options.batch, mean=options.mean, longest=2 * options.mean)


def rows_of_length(count: int, *, mean: int, longest: int) -> list[dict[str, Any]]:
    """Rows of mixed length, a third of their tokens targets (shapes.py)."""
    from benchmarks.shapes import mixed_rows

    return mixed_rows(count, mean=mean, longest=longest + 64)


def batches_of(rows: Sequence[dict[str, Any]], batch: int) -> list[list[dict[str, Any]]]:
    """The batches of the run, in its order."""
    from burnish.train.batch import epoch_order

    order = epoch_order([len(row["tokens"]) for row in rows], batch_size=batch, seed=0, epoch=0)
    return [[rows[at] for at in some] for some in order]


def profiled(base: Any, rows: Sequence[dict[str, Any]], count: int, options: argparse.Namespace) -> dict[str, float]:
    """Share of the time on the device of the dozen operators that take most of it, over a few steps."""
    from torch.profiler import ProfilerActivity, profile

    is_cuda = options.device.startswith("cuda")
    with profile(activities=[ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU]) as seen:
        run(base, rows[: 3 * options.batch], count, options.batch)
    spent = {
        event.key: event.self_device_time_total if is_cuda else event.self_cpu_time_total
        for event in seen.key_averages()
    }
    total = sum(spent.values()) or math.inf
    return {name: value / total for name, value in sorted(spent.items(), key=lambda item: -item[1])[:12]}


def best_rate(device: str) -> float:
    """Best FLOP/s of a bfloat16 product here: 8192 cubed on a GPU, machine.py's on a CPU."""
    import torch

    if not device.startswith("cuda"):
        return matrix_rate("bfloat16")
    size = 8192
    x = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = math.inf
    for _ in range(30):
        start = now(device)
        torch.mm(x, x)
        best = min(best, now(device) - start)
    return 2 * size**3 / best


def card(device: str) -> str:
    """Name of what is computed on."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def sheet_rate(name: str) -> float | None:
    """The card's bfloat16 rate in its data sheet; None for others."""
    return next((rate for part, rate in DATA_SHEET.items() if part in name), None)


def now(device: str) -> float:
    """The time at which all that was asked of the device is done."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def free(device: str) -> None:
    """Gives cached memory back and forgets the peak, so that the next run's is its own."""
    import gc

    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def device_peak_mb(device: str) -> float:
    """Most memory that tensors took on the GPU since `free`; on a CPU the process's peak."""
    import torch

    return torch.cuda.max_memory_allocated(device) / 2**20 if device.startswith("cuda") else peak_mb()


def shown(found: Mapping[str, Any]) -> str:
    """The findings as Markdown to read."""
    sheet = found["data_sheet_rate"]
    head = f"{found['card']}: product measured {found['matrix_rate'] / 1e12:.3g} TFLOP/s"
    rows = [f"check: {found['checks'][0]}", "", f"{head}, data sheet {f'{sheet / 1e12:.3g}' if sheet else 'unknown'}"]
    rows += [f"tried: {found['tried']}"] if found["tried"] else []
    rows += ["", "| shape | tokens/s | against K=1 | TFLOP/s | of data sheet | of product | peak MB |"]
    rows.append("|---|--:|--:|--:|--:|--:|--:|")
    for name, speed in found["tokens_per_s"].items():
        share, times = found["utilisation"][name], found["against_one_adapter"].get(name)
        cells = [name, f"{speed:,.0f}", f"{times:.2f}" if times else "-", f"{share['flops_per_s'] / 1e12:.3g}"]
        cells += ["-" if share[key] is None else f"{share[key]:.0%}" for key in ("of_data_sheet", "of_matrix_rate")]
        rows.append(f"| {' | '.join(cells)} | {found['peak_mb'][name]:,.0f} |")
    rows += [f"| {name} | absent: {why} | | | | | |" for name, why in found["absent"].items()]
    for name, shares in found["profiles"].items():
        rows += ["", f"{name}: {', '.join(f'{key} {share:.0%}' for key, share in shares.items())}"]
    return "\n".join(rows)


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", "--shape", default=",".join(name for name in SHAPES if name != "tiny"))
    parser.add_argument("--adapters", default="1,4,8")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--mean", type=int, default=512, help="tokens of a row, about")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--try", action="append", default=[], dest="tries", metavar="KNOB=N", help=", ".join(KNOBS))
    parser.add_argument("--profile", action="store_true", help="operators that take most of the device's time")
    parser.add_argument("--quick", action="store_true", help="4 steps of 8 rows of about 100 tokens")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    if options.quick:
        options.batch, options.mean, options.steps = 8, 100, 4
    return options


if __name__ == "__main__":
    main()
