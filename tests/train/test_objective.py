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
    loss = target_nll(hidden, head, targets)
    (grad,) = torch.autograd.grad((loss * weights).sum(), hidden)

    exact_h, exact_w = hidden.detach().double().requires_grad_(), head.weight_VD.double()
    logits = nn.functional.linear(exact_h, exact_w, None if head.bias is None else head.bias.double())
    exact_loss = nn.functional.cross_entropy(logits, targets, reduction="none")
    (exact_grad,) = torch.autograd.grad((exact_loss * weights).sum(), exact_h)

    # Errors of a sum of n terms are within about sqrt(n) eps times the sum of their sizes, because roundings go both
    # ways (Higham and Mary, 2019). A logit sums 8 products and the bias; the logarithm of the sum over the vocabulary
    # and its exponentials add a few eps of their own sizes. So each probability is off by this share of itself:
    eps = torch.finfo(torch.float32).eps
    sizes = (hidden.detach().abs() @ head.weight_VD.abs().T + (0 if head.bias is None else head.bias.abs())).amax(1)
    share = eps * (3 * sizes + vocab**0.5)
    assert ((loss - exact_loss).abs() < share).all()
    # A gradient sums over the vocabulary what each word's probability, less 1 for the target, says of its weight.
    slope = torch.softmax(logits.detach(), -1).scatter_add(1, targets[:, None], -torch.ones(rows, 1).double()).abs()
    allowed = (weights * (share + eps * vocab**0.5))[:, None] * (slope @ exact_w.abs())
    assert ((grad - exact_grad).abs() < allowed).all()
    assert allowed.max() < 1e-3 * exact_grad.abs().max()  # narrow enough to see a term that is wrong


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
