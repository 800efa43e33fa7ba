"""What the generation benchmarks share: models, the peer as its users run it, and runs that take turns."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import matrix_rate
from benchmarks.shapes import SMOLLM_135M
from burnish.model.base import Base, load_base
from burnish.model.generate import target_logprobs
from burnish.model.rendered import Rendered

TIE_NATS = {"float32": 1e-3, "bfloat16": 0.5}
"""Two tokens this close may change places. In float32 that is rounding of sums. In bfloat16 a log-probability of the
built-in base is off by 0.03 (root mean square) and by up to 0.5, in burnish and in transformers alike."""


def base_of(name: str, precision: str) -> Base:
    """`english-10m`, the built-in base, or `smollm-135m`: random weights in that model's public shape."""
    base = load_base("builtin:english-10m", precision=precision, device="cpu")
    if name == "english-10m":
        return base
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SMOLLM_135M))
    model = model.to(getattr(torch, precision)).requires_grad_(False).eval()
    return replace(base, model=model, name=name, precision=precision)


def claims(count: int) -> list[str]:
    """Texts of the example that ships with burnish, from the start again with another number when they run out."""
    lines = (Path(__file__).parent.parent / "examples" / "claims" / "claims.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    return [texts[at % len(texts)] + (f" ({at // len(texts)})" if at >= len(texts) else "") for at in range(count)]


def in_turn(rounds: int, runs: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Seconds of every run in every round; the runs take turns, so a slow minute of the machine hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(run())
    return seconds


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall-clock seconds of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rate(base: Base) -> float:
    """This machine's best matrix rate in the base's number type, in FLOP/s, measured anew at each call."""
    return matrix_rate(base.precision)


def flops_per_token(base: Base) -> int:
    """Products of the linear layers and the output head for one token."""
    config: Any = base.model.config
    linear = sum(m.weight.numel() for m in base.model.modules() if isinstance(m, torch.nn.Linear))
    assert config.tie_word_embeddings  # then the head is among the linear layers, and the embeddings are not
    return 2 * linear


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


@torch.inference_mode()
def transformers_greedy(base: Base, prompts: Sequence[Sequence[int]], batch: int, new_tokens: int) -> list[list[int]]:
    """`transformers.generate`, prompts of similar length together, padded on the left; exactly `new_tokens` each."""
    model: Any = base.model
    model.generation_config.eos_token_id = None
    answers: dict[int, list[int]] = {}
    order = sorted(range(len(prompts)), key=lambda at: -len(prompts[at]))
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        width = max(len(prompts[at]) for at in part)
        left = [width - len(prompts[at]) for at in part]
        tokens = torch.tensor([[0] * pad + list(prompts[at]) for pad, at in zip(left, part, strict=True)])
        mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in left])
        wanted = {"attention_mask": mask, "max_new_tokens": new_tokens, "do_sample": False, "pad_token_id": 0}
        for at, row in zip(part, model.generate(tokens, **wanted)[:, width:].tolist(), strict=True):
            answers[at] = row
    return [answers[at] for at in range(len(prompts))]


def same_or_tie(base: Base, prompts: Sequence[Sequence[int]], ours: Sequence, theirs: Sequence) -> str:
    """How many answers are equal; raises when two differ first at tokens that are no tie."""
    gaps = []
    for prompt, one, other in zip(prompts, ours, theirs, strict=True):
        at = next((at for at, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), None)
        if at is None:
            continue
        shown = (*prompt, *one[:at])
        marks = (False,) * len(shown) + (True,)
        rows = [Rendered(tokens=(*shown, token), learned=marks, pieces=()) for token in (one[at], other[at])]
        gap = abs(float(target_logprobs(base, rows[:1])[0] - target_logprobs(base, rows[1:])[0]))
        if gap > TIE_NATS[base.precision]:
            raise SystemExit(f"{base.precision}: token {at} differs and is no tie: {gap:.4f} nats")
        gaps.append(gap)
    parted = f", {len(gaps)} part at a near tie of {max(gaps):.2g} nats or less" if gaps else ""
    return f"{base.precision}: {len(ours) - len(gaps)} of {len(ours)} answers equal to the peer's{parted}"
