"""Several adapters as one: their updates added with weights, exactly, by laying their ranks side by side.

sum_k w_k alpha_k / r_k B_k A_k is one product of the A of all, stacked, and their B, side by side, each already scaled.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from burnish.errors import ModelError
from burnish.model.lora import AdapterSpec

Adapter = tuple[AdapterSpec, Mapping[str, Tensor]]
"""What `load_adapter` gives."""


def merge_adapters(
    adapters: Sequence[Adapter], weights: Sequence[float], *, name: str = "merged"
) -> tuple[AdapterSpec, dict[str, Tensor]]:
    """One adapter whose update is the weighted sum of theirs, with the sum of their ranks; no rounding but float32's.

    Averaging A and B apart would not do: the product of means is not the mean of products. A weight of 0 keeps its rank
    and adds nothing, so that mixes of the same adapters have one shape. Raises ModelError when they adapt other layers.
    """
    assert adapters, "nothing to merge"
    assert len(adapters) == len(weights), (len(adapters), len(weights))
    first = adapters[0][1]
    for spec, state in adapters:
        if state.keys() != first.keys():
            raise ModelError(
                f"the adapters {adapters[0][0].name} and {spec.name} change different layers",
                hint="merge adapters that were trained with the same lora.targets",
            )
    rank = sum(spec.rank for spec, _ in adapters)
    merged: dict[str, Tensor] = {}
    for key in first:
        if key.endswith(".lora_A.weight"):
            merged[key] = torch.cat([state[key] for _, state in adapters], dim=0)
        else:
            scaled = [
                weight * spec.alpha / spec.rank * state[key]
                for (spec, state), weight in zip(adapters, weights, strict=True)
            ]
            merged[key] = torch.cat(scaled, dim=1)
    return AdapterSpec(name=name, rank=rank, alpha=float(rank), seed=adapters[0][0].seed), merged
