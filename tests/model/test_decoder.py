"""The decoder over distinct histories equals the family's own forward pass, values and gradients."""

import pytest
import torch
from torch import Tensor, nn

from burnish.fakes import tiny_base
from burnish.model.decoder import can_decode, decode, histories_of
from burnish.model.forward import forward_hidden
from burnish.model.fused import SHORT_POSITIONS, causal_attention, gated_silu, rms_norm, rotate
from burnish.model.lora import AdapterSpec, LoraBank, attach

ROWS = [[20, 21, 22, 23, 24], [20, 21, 30], [20, 21, 22, 31, 32, 33, 34], [25, 25]]


def filled_bank(model: nn.Module) -> LoraBank:
    bank = attach(model, [AdapterSpec(name=name, rank=rank, alpha=8, seed=rank) for name, rank in (("a", 4), ("b", 2))])
    generator = torch.Generator().manual_seed(0)
    for slot in range(2):
        state = bank.state(slot)
        bank.load(slot, {name: 0.1 * torch.randn(part.shape, generator=generator) for name, part in state.items()})
    return bank


def gradients(bank: LoraBank, hidden_GUD: Tensor) -> list[Tensor]:
    aim = torch.linspace(-1, 1, hidden_GUD.numel()).view_as(hidden_GUD)
    factors = [factor for entry in bank.parameters_of_bank() for factor in (entry.A, entry.B)]
    return list(torch.autograd.grad((hidden_GUD * aim).sum(), factors))


def test_what_rows_begin_with_in_common_is_one_node() -> None:
    tree = histories_of(ROWS)
    assert tree.tokens_N.tolist() == [20, 21, 22, 23, 24, 30, 31, 32, 33, 34, 25, 25]
    assert tree.position_N.tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 0, 1]
    assert tree.grid_BT[1].tolist() == [0, 1, 5, 0, 0, 0, 0]
    assert [tree.rows_BT[row, : len(tokens)].tolist() for row, tokens in enumerate(ROWS)] == ROWS


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_hidden_states_and_gradients_equal_the_familys_own(family: str) -> None:
    model = tiny_base(family).model
    assert can_decode(model)
    bank, tree, wanted = filled_bank(model), histories_of(ROWS), torch.tensor([2, 4, 9])
    with bank.use([0, 1]):
        ours = decode(model, tree, num_slots=2, wanted_U=wanted)
        everywhere = decode(model, tree, num_slots=2)
    with bank.use([0] * 4 + [1] * 4):
        theirs = forward_hidden(model, tree.rows_BT.repeat(2, 1)).reshape(2, -1, 32)[:, tree.home_N]
    # both are float32 sums of some hundred products, in another order
    torch.testing.assert_close(everywhere, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours, theirs[:, wanted], rtol=1e-4, atol=1e-5)
    for got, expected in zip(gradients(bank, ours), gradients(bank, theirs[:, wanted]), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["gemma", "gemma2", "phi", "mistral"])
def test_other_layers_and_sliding_windows_are_left_to_the_family(family: str) -> None:
    assert not can_decode(tiny_base(family).model)


def test_hand_written_gradients_agree_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    x, other = (torch.randn(2, 5, 8, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.randn(8, generator=generator, dtype=torch.float64)
    angle = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    third = torch.randn(2, 5, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: rotate(a, angle.cos(), angle.sin()), x)
    assert torch.autograd.gradcheck(gated_silu, (x, other))
    # float32 inside: differences of 1e-2, so agreement to about its square
    loose = {"eps": 1e-2, "atol": 1e-3, "rtol": 1e-2}
    assert torch.autograd.gradcheck(lambda a: rms_norm(a, weight, 1e-6), x, **loose)
    assert torch.autograd.gradcheck(lambda q, k, v: causal_attention(q, k, v, scale=0.4), (x, other, third), **loose)


def test_a_trained_norm_weight_gets_its_gradient() -> None:
    x, weight = torch.randn(3, 4, 8), torch.randn(8, requires_grad=True)
    aim = torch.randn(3, 4, 8)
    (ours,) = torch.autograd.grad((rms_norm(x, weight, 1e-6) * aim).sum(), weight)
    (theirs,) = torch.autograd.grad((nn.functional.rms_norm(x, (8,), weight, 1e-6) * aim).sum(), weight)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("width", [7, SHORT_POSITIONS[torch.float32] + 3])
def test_attention_sees_only_the_past_at_any_width(width: int) -> None:
    q, k, v = (torch.randn(3, width, 16) for _ in range(3))
    expected = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3)
    torch.testing.assert_close(causal_attention(q, k, v, scale=0.3), expected, rtol=1e-4, atol=1e-5)
