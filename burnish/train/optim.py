"""AdamW over flat buffers: every adapter of the bank is one line of [K, P], with its own learning rate and clipping.

K slots, P trainable numbers of a slot, float32. One vectorised operation serves all slots; no slot reads another.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

BLOCK = 16_384
"""Columns of the buffers that an update takes at once, so that its sweeps find them in the cache: 20 slots of 1.2 M
numbers took 34 ms so and 80 ms in whole sweeps, with the same bits (LOG.md, "AdamW in blocks")."""
ALIGN = 16
"""Floats to which each parameter's start is rounded: 64 bytes, the width of a cache line and of a vector register."""


class Flat(NamedTuple):
    """All trainable numbers and their gradients in two buffers; the model's parameters are views into the first."""

    theta_KP: Tensor
    grad_KP: Tensor
    parameters: tuple[nn.Parameter, ...]
    grad_views: tuple[Tensor, ...]
    """The gradient of each parameter, in its shape, as a view into grad_KP."""

    def add_gradients_(self, loss: Tensor) -> None:
        """Adds the gradients of a scalar loss to grad_KP."""
        for view, grad in zip(self.grad_views, torch.autograd.grad(loss, self.parameters), strict=True):
            view.add_(grad)


def flatten_(parameters: Sequence[nn.Parameter], *, num_slots: int, stacked: bool) -> Flat:
    """Moves parameters into a flat buffer; afterwards each parameter is a view of its columns.

    stacked: the first axis of every parameter is the slot. Otherwise there is one slot and parameters keep their shape.
    """
    assert stacked or num_slots == 1, num_slots
    sizes = [parameter.numel() // num_slots for parameter in parameters]
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + padded(size))
    theta_KP = torch.zeros(num_slots, starts[-1], device=parameters[0].device)
    grad_KP = torch.zeros_like(theta_KP)
    grad_views = []
    for parameter, start, size in zip(parameters, starts, sizes, strict=False):
        view = theta_KP[:, start : start + size].view(parameter.shape)
        view.copy_(parameter.detach())
        parameter.data = view
        grad_views.append(grad_KP[:, start : start + size].view(parameter.shape))
    return Flat(theta_KP, grad_KP, tuple(parameters), tuple(grad_views))


def padded(size: int) -> int:
    """Numbers that a parameter of this size takes in a line of the buffer."""
    return -(-size // ALIGN) * ALIGN


def scheduled_lr(peak: float, *, step: int, total_steps: int, warmup_steps: int, decay_share: float = 1.0) -> float:
    """The learning rate of step 0, 1, ...: a linear rise over the warm-up, the peak, a linear fall that ends at zero.

    The fall takes the last `decay_share` of the steps after the warm-up: 1.0 for all of them; 0.2 keeps the peak long.
    """
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    fall_steps = decay_share * (total_steps - warmup_steps)
    return peak * min(1.0, (total_steps - step) / max(1.0, fall_steps))


def clip_(grad_KP: Tensor, max_norm: float) -> Tensor:
    """Scales each slot's gradient to at most max_norm; returns the norms before, [K]. A norm of nan stays visible."""
    norm_K: Tensor = torch.linalg.vector_norm(grad_KP, dim=1)
    grad_KP.mul_((max_norm / (norm_K + 1e-6)).clamp(max=1.0)[:, None])
    return norm_K


class AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), a learning rate a slot; state is m, v and the counts."""

    def __init__(self, like_KP: Tensor, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        self.m_KP = torch.zeros_like(like_KP)
        self.v_KP = torch.zeros_like(like_KP)
        self.counts = [0] * len(like_KP)
        """Updates of each slot so far."""
        self._betas = betas
        self._eps = eps

    @torch.no_grad()
    def step_(self, flat: Flat, lr_K: Tensor, *, weight_decay: float, slots: slice = slice(None)) -> None:
        """One update of these slots, which must have had equally many; one with learning rate 0 does not move.

        Of all other slots nothing is touched.
        """
        (count,) = {count + 1 for count in self.counts[slots]}
        self.counts[slots] = [count] * len(self.counts[slots])
        beta1, beta2 = self._betas
        decay_K1, lr_K1 = lr_K[slots, None] * weight_decay, lr_K[slots, None] / (1 - beta1**count)
        buffers = (flat.theta_KP[slots], flat.grad_KP[slots], self.m_KP[slots], self.v_KP[slots])
        for theta, grad, m, v in zip(*(buffer.split(BLOCK, dim=1) for buffer in buffers), strict=True):
            m.lerp_(grad, 1 - beta1)
            v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            if weight_decay:
                theta.mul_(1 - decay_K1)
            spread = v.sqrt().div_((1 - beta2**count) ** 0.5).add_(self._eps)
            theta.sub_(torch.div(m, spread, out=spread).mul_(lr_K1))
