"""Weights as they are stored: rounded to bfloat16, or to 8 bits with one scale an output channel."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
LARGEST = 127


def to_bfloat16(weights: Weights) -> dict[str, Tensor]:
    """Every weight in two bytes; what burnish ships and reads."""
    return {name: weight.detach().bfloat16().contiguous() for name, weight in weights.items()}


def to_eight_bits(weights: Weights) -> dict[str, Tensor]:
    """Float32 weights with the values that 8 bits would give back: each row of a matrix has 255 steps of its own."""
    return {name: _eight_bits(weight.detach()) if weight.ndim == 2 else weight for name, weight in weights.items()}


def _eight_bits(weight_RC: Tensor) -> Tensor:
    scale_R1 = weight_RC.abs().amax(1, keepdim=True).clamp(min=1e-12) / LARGEST
    return torch.round(weight_RC / scale_R1) * scale_R1


def bytes_in_eight_bits(weights: Weights) -> int:
    """Size of the weights in 8 bits: a byte a number and four a row of matrices, two a number elsewhere."""
    return sum(w.numel() + 4 * len(w) if w.ndim == 2 else 2 * w.numel() for w in weights.values())


ROUNDINGS: dict[str, Callable[[Weights], dict[str, Tensor]]] = {"bfloat16": to_bfloat16, "8 bits": to_eight_bits}
