"""Muon against what it is meant to compute: the polynomial on singular values, torch's own, and the polar factor."""

from dataclasses import replace

import pytest
import torch

from recipes.base.llama import Llama
from recipes.base.muon import COEFFICIENTS, Muon, orthogonalised
from recipes.base.optimizer import make_optimizers
from tests.recipes.conftest import PLAN


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 40, 16), (2, 16, 40)])
def test_singular_values_go_to_about_one_and_vectors_stay(shape: tuple[int, int, int]) -> None:
    matrices_KRC = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found_KRC = orthogonalised(matrices_KRC)
    u, s, v = torch.linalg.svd(matrices_KRC.double(), full_matrices=False)
    reference = s / torch.linalg.vector_norm(s, dim=1, keepdim=True)
    a, b, c = COEFFICIENTS
    for _ in range(5):
        reference = a * reference + b * reference**3 + c * reference**5
    # five rounds in float32 against singular values in float64
    torch.testing.assert_close(found_KRC.double(), u @ torch.diag_embed(reference) @ v, atol=1e-4, rtol=1e-4)
    values = torch.linalg.svdvals(found_KRC)
    assert values.max() < 1.25
    # a share of 1/100 of the norm is lifted above a half; smaller ones are on their way
    assert values[s / s.norm(dim=1, keepdim=True) > 0.01].min() > 0.5


def test_a_matrix_of_zeros_stays_zero() -> None:
    assert not orthogonalised(torch.zeros(1, 4, 6)).any()


def test_steps_are_those_of_torch_up_to_its_rounding_to_bfloat16() -> None:
    drawn = torch.Generator().manual_seed(2)
    starts = [
        torch.randn(24, 16, generator=drawn),
        torch.randn(24, 16, generator=drawn),
        torch.randn(8, 20, generator=drawn),
    ]
    ours, theirs = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    options = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    one = Muon(ours, **options)
    other = torch.optim.Muon(theirs, **options, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for mine, its in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=drawn)
            its.grad = mine.grad.clone()
        one.step()
        other.step()
    for start, mine, its in zip(starts, ours, theirs, strict=True):
        moved, wanted = mine.detach() - start, its.detach() - start
        # bfloat16 has 8 bits; five rounds of products of them stay within some percent
        assert torch.linalg.matrix_norm(moved - wanted) < 0.03 * torch.linalg.matrix_norm(wanted)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_weight_is_moved_once_and_only_matrices_decay(optimizer: str) -> None:
    model = Llama(PLAN.shape)
    made = make_optimizers(model, replace(PLAN, optimizer=optimizer))  # type: ignore[arg-type]
    names = {weight: name for name, weight in model.named_parameters()}
    decay = {names[w]: group["weight_decay"] for each in made for group in each.param_groups for w in group["params"]}
    assert len(decay) == len(names) == sum(len(group["params"]) for each in made for group in each.param_groups)
    decaying = {name for name, value in decay.items() if value}
    assert decaying == {name for name in decay if name.endswith("_proj.weight")}
