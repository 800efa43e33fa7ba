"""The loss: negative log-likelihood of the target tokens alone, one mean for each adapter.

Only the hidden states that predict a target meet the output head, in chunks, and their gradient is made in the same
sweep; logits of the whole batch never exist.

Shapes: G slots at work, U wanted nodes, M targets, N rows of hidden states, D hidden size, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from burnish.model.forward import Head, logits_of
from burnish.train.batch import Batch

CHUNK_LOGITS = 1 << 21
"""Logits at once: 8 MB in float32, which stays in the cache of a CPU core's neighbourhood."""


class _TargetLoss(torch.autograd.Function):
    """nll of each target row, and its gradient for the hidden state in the same sweep; the head is frozen."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor) -> Tensor:
        nll_N = torch.empty(len(hidden_ND), dtype=torch.float32, device=hidden_ND.device)
        grad_ND = torch.empty_like(hidden_ND)
        rows = max(16, CHUNK_LOGITS // len(weight_VD))
        for start in range(0, len(hidden_ND), rows):
            part = slice(start, start + rows)
            target_N1 = targets_N[part, None]
            logp_NV = torch.log_softmax(nn.functional.linear(hidden_ND[part], weight_VD, bias_V), -1, torch.float32)
            nll_N[part] = -logp_NV.gather(1, target_N1).squeeze(1)
            slope_NV = logp_NV.exp_().scatter_add_(1, target_N1, -torch.ones_like(target_N1, dtype=torch.float32))
            torch.mm(slope_NV.to(weight_VD.dtype), weight_VD, out=grad_ND[part])
        ctx.save_for_backward(grad_ND)
        return nll_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_N: Tensor) -> tuple[Tensor | None, ...]:
        (grad_ND,) = ctx.saved_tensors
        return grad_ND * out_N[:, None].to(grad_ND.dtype), None, None, None


def target_nll(hidden_ND: Tensor, head: Head, targets_N: Tensor) -> Tensor:
    """-log p(target) of each row in nats, float32 [N]; differentiable for hidden states and a trained head."""
    if torch.is_grad_enabled() and not head.weight_VD.requires_grad and head.softcap is None and head.scale == 1.0:
        return _TargetLoss.apply(hidden_ND, head.weight_VD, head.bias, targets_N)  # type: ignore[no-any-return]
    rows = max(16, CHUNK_LOGITS // len(head.weight_VD))
    return torch.cat(
        [
            nn.functional.cross_entropy(logits_of(head, hidden).float(), targets, reduction="none")
            for hidden, targets in zip(hidden_ND.split(rows), targets_N.split(rows), strict=True)
        ]
    )


def slot_losses(hidden_GUD: Tensor, head: Head, batch: Batch, *, weight_sum: float) -> Tensor:
    """Each slot's weighted sum of target nll over `weight_sum`, [G]; the mean loss if that is the batch's own sum."""
    return weighted_nll(hidden_GUD, head, batch).sum(1) / weight_sum


def weighted_nll(hidden_GUD: Tensor, head: Head, batch: Batch) -> Tensor:
    """Each slot's nll of each target times the target's weight, [G, M], targets in the order of the batch's rows."""
    num_slots, _, width = hidden_GUD.shape
    hidden_GMD = hidden_GUD.index_select(1, batch.at_M)
    nll = target_nll(hidden_GMD.reshape(-1, width), head, batch.targets_M.repeat(num_slots))
    return nll.view(num_slots, -1) * batch.weight_M
