"""One way into a causal language model: tokens to hidden states, and hidden states to logits where they are wanted.

Shapes: B rows, T tokens, D hidden size, V vocabulary, N chosen positions. The output head is the dearest layer of a
small model, so it runs at the positions that are asked for and nowhere else.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Head(NamedTuple):
    """The output head as plain tensors: logits = softcap * tanh(scale * (h W' + b) / softcap), or without the cap."""

    weight_VD: Tensor
    bias: Tensor | None
    softcap: float | None
    """Gemma 2 squashes its logits into +-softcap; None elsewhere."""
    scale: float


def forward_hidden(model: nn.Module, tokens_BT: Tensor, position_ids: Tensor | None = None) -> Tensor:
    """Hidden states [B, T, D] after the last norm, causal, without cache or padding mask.

    Rows are padded on the right: what stands behind a token cannot change it. Positions count from 0 when not given.
    """
    decoder: Any = model.get_decoder()  # type: ignore[operator]
    answer = decoder(input_ids=tokens_BT, position_ids=position_ids, attention_mask=None, use_cache=False)
    return answer.last_hidden_state  # type: ignore[no-any-return]


def output_head(model: nn.Module) -> Head:
    """The output head of any of our families; the weight is the live parameter, not a copy."""
    layer: Any = model.get_output_embeddings()  # type: ignore[operator]
    config: Any = model.config
    return Head(layer.weight, getattr(layer, "bias", None), getattr(config, "final_logit_softcapping", None), 1.0)


def logits_of(head: Head, hidden_ND: Tensor) -> Tensor:
    """Logits [N, V] of chosen hidden states, in the type of the head's weight."""
    logits_NV = nn.functional.linear(hidden_ND.to(head.weight_VD.dtype), head.weight_VD, head.bias)
    if head.scale != 1.0:
        logits_NV = logits_NV * head.scale
    if head.softcap is not None:
        logits_NV = head.softcap * torch.tanh(logits_NV / head.softcap)
    return logits_NV


def exact_head(head: Head) -> Head:
    """The head in float32, for scores: bfloat16 would round a logit of 20 to steps of 0.125."""
    bias = None if head.bias is None else head.bias.float()
    return head._replace(weight_VD=head.weight_VD.float(), bias=bias)
