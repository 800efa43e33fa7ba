"""Attention of rows that begin alike: the keys and values of the beginning are read by all rows in one product.

Exact: both parts share one softmax. With P positions in common and S of its own, a row costs S (P + S) scores, not
(P + S)^2, and the beginning's own attention runs once a batch (Hydragen, Juravsky et al. 2024, arXiv 2402.05099, for
inference; here with gradients).
Shapes: Y = slots * heads, Z = Y * rows, S own positions, P shared positions, E size of a head.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _SharedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q_ZSE: Tensor, k_ZSE: Tensor, v_ZSE: Tensor, k_YPE: Tensor, v_YPE: Tensor, scale: float
    ) -> Tensor:
        width, size, lanes = *q_ZSE.shape[1:], len(k_YPE)
        future_SS = torch.full((width, width), -math.inf, dtype=q_ZSE.dtype, device=q_ZSE.device).triu_(1)
        q_YRE = q_ZSE.view(lanes, -1, size)
        own_ZSS = torch.baddbmm(future_SS, q_ZSE, k_ZSE.mT.contiguous(), alpha=scale).float()
        shared_YRP = torch.bmm(q_YRE, k_YPE.mT.contiguous()).float().mul_(scale)
        top_ZS1 = torch.maximum(own_ZSS.amax(-1, keepdim=True), shared_YRP.amax(-1).view(-1, width, 1))
        own_ZSS.sub_(top_ZS1).exp_()
        shared_YRP.sub_(top_ZS1.view(lanes, -1, 1)).exp_()
        total_ZS1 = own_ZSS.sum(-1, keepdim=True).add_(shared_YRP.sum(-1).view(-1, width, 1))
        own_ZSS = own_ZSS.div_(total_ZS1).to(q_ZSE.dtype)
        shared_YRP = shared_YRP.div_(total_ZS1.view(lanes, -1, 1)).to(q_ZSE.dtype)
        out_ZSE = torch.baddbmm(torch.bmm(shared_YRP, v_YPE).view_as(q_ZSE), own_ZSS, v_ZSE)
        ctx.save_for_backward(q_ZSE, k_ZSE, v_ZSE, k_YPE, v_YPE, own_ZSS, shared_YRP, out_ZSE)
        ctx.scale = scale
        return out_ZSE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_ZSE: Tensor) -> tuple[Tensor | None, ...]:
        q_ZSE, k_ZSE, v_ZSE, k_YPE, v_YPE, own_ZSS, shared_YRP, out_ZSE = ctx.saved_tensors
        dy_ZSE = dy_ZSE.contiguous()
        flat = (len(k_YPE), -1, dy_ZSE.shape[-1])
        q_YRE, dy_YRE = q_ZSE.view(flat), dy_ZSE.view(flat)
        # the gradient of a softmax: p * (dp - sum(p * dp)), and sum(p * dp) = sum(dy * y)
        pull_ZS1 = (dy_ZSE * out_ZSE).sum(-1, keepdim=True)
        down_ZSS = torch.bmm(dy_ZSE, v_ZSE.mT.contiguous()).sub_(pull_ZS1).mul_(own_ZSS).mul_(ctx.scale)
        pull_YR1 = pull_ZS1.view(len(k_YPE), -1, 1)
        down_YRP = torch.bmm(dy_YRE, v_YPE.mT.contiguous()).sub_(pull_YR1).mul_(shared_YRP).mul_(ctx.scale)
        dq_ZSE = torch.baddbmm(torch.bmm(down_YRP, k_YPE).view_as(q_ZSE), down_ZSS, k_ZSE)
        dk_ZSE, dv_ZSE = torch.bmm(down_ZSS.mT, q_ZSE), torch.bmm(own_ZSS.mT, dy_ZSE)
        dk_YPE, dv_YPE = torch.bmm(down_YRP.mT, q_YRE), torch.bmm(shared_YRP.mT, dy_YRE)
        return dq_ZSE, dk_ZSE, dv_ZSE, dk_YPE, dv_YPE, None


def shared_attention(
    q_ZSE: Tensor, k_ZSE: Tensor, v_ZSE: Tensor, k_YPE: Tensor, v_YPE: Tensor, *, scale: float
) -> Tensor:
    """softmax(scale q [k_shared, k]' + causal mask on the own part) [v_shared, v], [Z, S, E].

    Rows of one slot and head lie together in Z; all of them see the P shared positions whole.
    """
    return _SharedAttention.apply(q_ZSE, k_ZSE, v_ZSE, k_YPE, v_YPE, scale)  # type: ignore[no-any-return]
