"""AdamW over flat lines equals torch's, and one slot cannot disturb another."""

import math

import pytest
import torch
from torch import nn

from burnish.train.optim import AdamW, clip_, flatten_, scheduled_lr


def test_fifty_steps_equal_torch_adamw_for_each_slot() -> None:
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(3, 5, 7)), nn.Parameter(torch.randn(3, 4))]
    lrs = [1e-3, 1e-2, 3e-2]
    twins = [[nn.Parameter(part.detach()[slot].clone()) for part in parameters] for slot in range(3)]
    theirs = [torch.optim.AdamW(twin, lr=lr, weight_decay=0.1) for twin, lr in zip(twins, lrs, strict=True)]
    flat = flatten_(parameters, num_slots=3, stacked=True)
    ours = AdamW(flat.theta_KP)
    for _ in range(50):
        flat.grad_KP.zero_()
        flat.add_gradients_(sum((part.sin() * 3).pow(2).sum() for part in parameters))
        ours.step_(flat, torch.tensor(lrs), weight_decay=0.1)
        for twin, optimiser in zip(twins, theirs, strict=True):
            optimiser.zero_grad()
            sum((part.sin() * 3).pow(2).sum() for part in twin).backward()
            optimiser.step()
    for slot in range(3):
        for part, twin_part in zip(parameters, twins[slot], strict=True):
            torch.testing.assert_close(part.detach()[slot], twin_part.detach(), rtol=1e-4, atol=1e-5)


def test_parameters_become_views_that_keep_their_values() -> None:
    before = [torch.randn(2, 3, 5), torch.randn(2, 7)]
    parameters = [nn.Parameter(part.clone()) for part in before]
    flat = flatten_(parameters, num_slots=2, stacked=True)
    assert all(torch.equal(part, old) for part, old in zip(parameters, before, strict=True))
    flat.theta_KP[1].zero_()
    assert all(
        part[1].eq(0).all() and torch.equal(part[0], old[0]) for part, old in zip(parameters, before, strict=True)
    )


def test_clipping_equals_torch_and_is_done_slot_by_slot() -> None:
    grad = torch.randn(3, 40) * torch.tensor([[0.001], [1.0], [50.0]])
    expected = []
    for line in grad:
        parameter = nn.Parameter(torch.zeros(40))
        parameter.grad = line.clone()
        nn.utils.clip_grad_norm_([parameter], 1.0)
        expected.append(parameter.grad)
    norms = clip_(grad, 1.0)
    torch.testing.assert_close(grad, torch.stack(expected))
    assert norms[2] > 50


def test_a_slot_with_a_broken_gradient_leaves_the_others_alone() -> None:
    def after(grad: torch.Tensor, lr: list[float]) -> torch.Tensor:
        flat = flatten_([nn.Parameter(torch.ones(2, 16))], num_slots=2, stacked=True)
        flat.grad_KP.copy_(grad)
        norms = clip_(flat.grad_KP, 1.0)
        flat.grad_KP[~torch.isfinite(norms)] = 0
        AdamW(flat.theta_KP).step_(flat, torch.tensor(lr), weight_decay=0.0)
        return flat.theta_KP

    broken = torch.ones(2, 16)
    broken[1, 3] = math.nan
    got = after(broken, [0.1, 0.0])
    assert torch.equal(got[0], after(torch.ones(2, 16), [0.1, 0.0])[0])
    assert torch.equal(got[1], torch.ones(16))


def test_slots_that_take_no_part_in_a_step_are_untouched() -> None:
    torch.manual_seed(1)
    flat = flatten_([nn.Parameter(torch.randn(3, 16))], num_slots=3, stacked=True)
    both, apart = AdamW(flat.theta_KP), AdamW(flat.theta_KP)
    twin = flat._replace(theta_KP=flat.theta_KP.clone(), grad_KP=torch.randn(3, 16))
    flat.grad_KP.copy_(twin.grad_KP)
    lr = torch.tensor([0.1, 0.1, 0.1])
    both.step_(twin, lr, weight_decay=0.1)
    before = flat.theta_KP.clone()
    flat.grad_KP[2] = math.nan
    apart.step_(flat, lr, weight_decay=0.1, slots=slice(0, 2))
    assert torch.equal(flat.theta_KP[2], before[2])
    assert not apart.m_KP[2].any()
    assert not apart.v_KP[2].any()
    assert apart.counts == [1, 1, 0]
    assert torch.equal(flat.theta_KP[:2], twin.theta_KP[:2])
    flat.grad_KP.copy_(twin.grad_KP)
    apart.step_(
        flat, lr, weight_decay=0.1, slots=slice(2, 3)
    )  # later, but its own first step: the same bias correction
    assert torch.equal(flat.theta_KP[2], twin.theta_KP[2])


def test_the_rate_rises_over_the_warm_up_and_falls_to_zero() -> None:
    rates = [scheduled_lr(1.0, step=step, total_steps=10, warmup_steps=2) for step in range(11)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[3:] == pytest.approx([7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0.0])
