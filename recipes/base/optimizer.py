"""The optimisers of a run: which weights each one moves, at which rate, and their state as named tensors.

Matrices of the layers decay; embeddings and norms do not (a rare token's row would be pulled to zero while it waits).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recipes.base.muon import Muon
from recipes.base.plan import Plan

BETAS = (0.9, 0.95)
"""Of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), as usual for language models."""


def make_optimizers(model: nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices and AdamW for the rest, or AdamW for all, each at the plan's peak rate."""
    matrices = [weight for name, weight in model.named_parameters() if _is_matrix(name, weight)]
    others = [weight for name, weight in model.named_parameters() if not _is_matrix(name, weight)]
    rest = {"params": others, "weight_decay": 0.0}
    if plan.optimizer == "muon":
        muon = Muon(matrices, lr=plan.lr, weight_decay=plan.weight_decay)
        return [muon, torch.optim.AdamW([rest], lr=plan.lr, betas=BETAS, fused=True)]
    decaying = {"params": matrices, "weight_decay": plan.weight_decay}
    return [torch.optim.AdamW([decaying, rest], lr=plan.lr, betas=BETAS, fused=True)]


def _is_matrix(name: str, weight: Tensor) -> bool:
    return weight.ndim == 2 and "embed" not in name


def set_rate_(optimizers: list[torch.optim.Optimizer], lr: float) -> None:
    """Gives all weights this learning rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr


def step_(optimizers: list[torch.optim.Optimizer]) -> None:
    """One update from the gradients, which are then dropped."""
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def state_of(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What the optimisers remember, as NAME OF THE WEIGHT/KIND, such as model.norm.weight/exp_avg."""
    return {
        f"{name}/{kind}": value
        for name, state in _states(model, optimizers)
        for kind, value in state.items()
        if isinstance(value, Tensor)
    }


def load_state_(model: nn.Module, optimizers: list[torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `state_of` gave."""
    states = dict(_states(model, optimizers))
    devices = {name: weight.device for name, weight in model.named_parameters()}
    for key, value in tensors.items():
        name, kind = key.rsplit("/", 1)
        states[name][kind] = value.clone().to(devices[name])


def _states(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The state of each weight, by the weight's name."""
    names = {weight: name for name, weight in model.named_parameters()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                yield names[weight], optimizer.state[weight]
