"""How fast this machine multiplies matrices, and so which number type the frozen weights get.

Measured at the model's own shapes, once a process.
"""

from functools import cache
from time import perf_counter

import torch
from torch import nn

from burnish.errors import ModelError

NUM_ROWS = 1024
CLEARLY_FASTER = 1.2
"""bfloat16 must win by this factor: float32 is the more exact one, and a close race would go either way."""


def choose_precision(wanted: str, hidden_size: int, intermediate_size: int, device: str) -> tuple[str, str]:
    """The type, float32 or bfloat16, and the reason in words. `wanted` auto costs about 0.1 s at its first call."""
    if wanted in ("float32", "bfloat16"):
        return wanted, f"{wanted}: asked for"
    if wanted != "auto":
        raise ModelError(f"there is no precision {wanted!r}", hint="Use auto, float32 or bfloat16.")
    exact = gflops("float32", hidden_size, intermediate_size, device)
    short = gflops("bfloat16", hidden_size, intermediate_size, device)
    if short > CLEARLY_FASTER * exact:
        return "bfloat16", f"bfloat16: {short:.3g} against {exact:.3g} GFLOP/s here"
    return "float32", f"float32: {exact:.3g} against {short:.3g} GFLOP/s here"


@cache
def gflops(dtype: str, size_in: int, size_out: int, device: str, seconds: float = 0.04) -> float:
    """Best rate of a linear layer of this size, in 1e9 operations a second; a few runs within about `seconds`."""
    kind = getattr(torch, dtype)
    x = torch.full((NUM_ROWS, size_in), 0.01, dtype=kind, device=device)
    weight = torch.full((size_out, size_in), 0.01, dtype=kind, device=device)
    best = float("inf")
    stop = perf_counter() + seconds
    with torch.no_grad():
        for attempt in range(50):
            start = perf_counter()
            nn.functional.linear(x, weight)
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            now = perf_counter()
            if attempt:  # the first run sets up
                best = min(best, now - start)
                if now > stop:
                    break
    return 2 * NUM_ROWS * size_in * size_out / best / 1e9


def devices() -> str:
    """What there is to compute on, in words, such as "cpu with 2 threads"."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join([*names, f"cpu with {torch.get_num_threads()} threads"])


def num_threads() -> int:
    """Threads of the matrix kernels on the processor."""
    return torch.get_num_threads()


def matrix_rates() -> dict[str, float]:
    """Rates of a linear layer of 2048 in and out by number type, in 1e9 operations a second; takes about 0.2 s."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {dtype: gflops(dtype, 2048, 2048, device) for dtype in ("float32", "bfloat16")}
