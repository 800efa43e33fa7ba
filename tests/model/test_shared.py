"""What all rows begin with is attended to in one product, and nothing about values or gradients changes."""

import pytest
import torch

from burnish.fakes import tiny_base
from burnish.model.decoder import LEAST_SHARED, _num_shared, decode, histories_of
from burnish.model.forward import forward_hidden
from burnish.model.shared import shared_attention
from tests.model.test_decoder import filled_bank, gradients

BEGINNING = [20 + number % 30 for number in range(LEAST_SHARED + 9)]
ROWS = [BEGINNING + end for end in ([1, 2, 3], [1, 2, 7, 8, 9], [4], [1, 2, 3, 5, 5, 5])]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_hidden_states_and_gradients_equal_the_familys_own(family: str) -> None:
    model = tiny_base(family).model
    bank, tree = filled_bank(model), histories_of(ROWS)
    assert _num_shared(tree.grid_BT) == len(BEGINNING)
    wanted = torch.tensor([3, len(BEGINNING) - 1, len(tree.tokens_N) - 1, len(BEGINNING) + 2])
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


def test_only_what_every_row_has_counts_as_shared() -> None:
    other = [*BEGINNING[:35], 99, *BEGINNING[36:]]
    assert _num_shared(histories_of([*ROWS, [*other, 1]]).grid_BT) == 35
    assert _num_shared(histories_of([*ROWS, BEGINNING[:34]]).grid_BT) == 34
    assert _num_shared(histories_of([*ROWS, [99, *BEGINNING]]).grid_BT) == 0
    assert _num_shared(histories_of([BEGINNING, BEGINNING]).grid_BT) == 0
    assert _num_shared(histories_of(ROWS[:1]).grid_BT) == 0


def test_a_row_that_ends_inside_the_beginning_of_the_others_changes_nothing() -> None:
    model = tiny_base("llama").model
    alone = decode(model, histories_of(ROWS), num_slots=1)
    more = decode(model, histories_of([*ROWS, BEGINNING[:34]]), num_slots=1)
    torch.testing.assert_close(more, alone, rtol=1e-4, atol=1e-5)


def test_hand_written_gradients_agree_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = [(6, 3, 4)] * 3 + [(2, 5, 4)] * 2  # two slots and heads, three rows, three own and five shared positions
    parts = [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]
    # the softmax is float32: differences of 1e-2, so agreement to about its square
    loose = {"eps": 1e-2, "atol": 1e-3, "rtol": 1e-2}
    assert torch.autograd.gradcheck(lambda *each: shared_attention(*each, scale=0.4), parts, **loose)
