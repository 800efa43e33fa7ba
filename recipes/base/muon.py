"""Muon: momentum whose matrices are made orthogonal, so that every direction of a weight learns at one speed.

Jordan et al. 2024, Muon, kellerjordan.github.io/posts/muon; scaled to AdamW's step size and with decoupled decay after
Liu et al. 2025, Muon is Scalable for LLM Training, arXiv 2502.16982. torch's own goes matrix by matrix and always in
bfloat16; here matrices of one shape go together, and a CPU computes in float32.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Jordan et al.'s odd polynomial of degree 5: steep at 0, so that five rounds lift small singular values to about 1. It
does not settle at 1 but between 0.7 and 1.2, which training does not mind."""
ROUNDS = 5
ADAM_STEP = 0.2
"""Root mean square of a usual AdamW step; with it one learning rate suits both optimisers (Liu et al., section 2.2)."""


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum over matrices; its state is one momentum for each."""

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        assert all(p.ndim == 2 for group in self.param_groups for p in group["params"]), "Muon is for matrices"

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix from its gradient."""
        assert closure is None, "Muon looks at one gradient a step"
        for group in self.param_groups:
            weights = sorted(group["params"], key=lambda weight: tuple(weight.shape))
            for _, alike in groupby(weights, key=lambda weight: tuple(weight.shape)):
                self._step_alike(list(alike), group)

    def _step_alike(self, weights: list[nn.Parameter], group: dict[str, Any]) -> None:
        """One update of matrices of one shape."""
        pushes = [self._push(weight, group["momentum"]) for weight in weights]
        directions_KRC = orthogonalised(torch.stack(pushes))
        size = group["lr"] * ADAM_STEP * max(weights[0].shape) ** 0.5
        for weight, direction in zip(weights, directions_KRC, strict=True):
            weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction.to(weight.dtype), alpha=size)

    def _push(self, weight: nn.Parameter, momentum: float) -> Tensor:
        """The gradient looked at from where the momentum is about to lead."""
        assert weight.grad is not None, tuple(weight.shape)
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        past: Tensor = state["momentum"]
        past.lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(past, momentum)


def orthogonalised(matrices_KRC: Tensor, rounds: int = ROUNDS) -> Tensor:
    """U V' of each matrix U S V', nearly: singular values become 0.7 to 1.2, singular vectors stay.

    K matrices of R rows and C columns, in float32 on a CPU and bfloat16 elsewhere. Costs a few products with the
    shorter side. A matrix of zeros stays zero.
    """
    x_KRC = matrices_KRC.float() if matrices_KRC.device.type == "cpu" else matrices_KRC.bfloat16()
    is_tall = x_KRC.shape[1] > x_KRC.shape[2]
    x_KRC = x_KRC.mT if is_tall else x_KRC
    x_KRC = x_KRC / (torch.linalg.matrix_norm(x_KRC, keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(rounds):
        gram_KRR = x_KRC @ x_KRC.mT
        x_KRC = torch.baddbmm(x_KRC, torch.baddbmm(gram_KRR, gram_KRR, gram_KRR, beta=b, alpha=c), x_KRC, beta=a)
    return x_KRC.mT if is_tall else x_KRC
