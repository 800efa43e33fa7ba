"""The loss at target rows equals torch's cross-entropy, and its gradient too."""

import pytest
import torch
from torch import nn

from burnish.model.forward import Head
from burnish.train.objective import CHUNK_LOGITS, target_nll


@pytest.mark.parametrize("has_bias", [True, False])
def test_loss_and_gradient_equal_cross_entropy_over_several_chunks(has_bias: bool) -> None:
    torch.manual_seed(0)
    vocab, rows = 30_000, 200
    assert rows > 2 * CHUNK_LOGITS // vocab
    hidden = torch.randn(rows, 8, requires_grad=True)
    head = Head(torch.randn(vocab, 8), torch.randn(vocab) if has_bias else None, None, 1.0)
    targets, weights = torch.randint(0, vocab, (rows,)), torch.rand(rows)
    ours = target_nll(hidden, head, targets)
    theirs = nn.functional.cross_entropy(
        nn.functional.linear(hidden, head.weight_VD, head.bias), targets, reduction="none"
    )
    torch.testing.assert_close(ours, theirs)
    (ours_grad,) = torch.autograd.grad((ours * weights).sum(), hidden)
    (theirs_grad,) = torch.autograd.grad((theirs * weights).sum(), hidden)
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-4, atol=1e-6)


def test_a_trained_head_gets_its_gradient() -> None:
    hidden, weight = torch.randn(9, 8), torch.randn(50, 8, requires_grad=True)
    targets = torch.randint(0, 50, (9,))
    (ours,) = torch.autograd.grad(target_nll(hidden, Head(weight, None, None, 1.0), targets).sum(), weight)
    (theirs,) = torch.autograd.grad(nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="sum"), weight)
    torch.testing.assert_close(ours, theirs)


def test_a_soft_cap_is_part_of_the_loss() -> None:
    hidden, weight = 10 * torch.randn(9, 8, requires_grad=True), torch.randn(50, 8)
    targets = torch.randint(0, 50, (9,))
    capped = 5 * torch.tanh(hidden @ weight.T / 5)
    expected = nn.functional.cross_entropy(capped, targets, reduction="none")
    torch.testing.assert_close(target_nll(hidden, Head(weight, None, 5.0, 1.0), targets), expected)
