"""How far an adapter moves its base: the size of the update against the size of the weights that it changes."""

import math
from pathlib import Path

from burnish.model.adapter import load_adapter
from burnish.model.base import Base
from burnish.model.lora import PEFT_PREFIX


def update_size(base: Base, folder: Path) -> float:
    """Frobenius norm of all updates alpha/rank B A over that of the layers they are added to; 0 for a fresh adapter.

    A stand-in for what the adapter makes the base forget: cheap, and the same for every kind of data. Of two adapters
    with equal gain the one with the smaller update is the safer one.
    """
    spec, state = load_adapter(folder, base)
    update = weights = 0.0
    for name in (key.removesuffix(".lora_A.weight") for key in state if key.endswith(".lora_A.weight")):
        a_RI, b_OR = state[f"{name}.lora_A.weight"].double(), state[f"{name}.lora_B.weight"].double()
        # |B A|^2 = sum of (B'B) * (A A'), without the product itself
        update += float(((b_OR.T @ b_OR) * (a_RI @ a_RI.T)).sum())
        weight = base.model.get_parameter(f"{name.removeprefix(PEFT_PREFIX)}.weight")
        weights += float(weight.detach().double().square().sum())
    return spec.alpha / spec.rank * math.sqrt(update / weights)
