"""Choices of which one begins with another: the end of the turn tells them apart, and the choice stays exact."""

from collections.abc import Sequence

import pytest
import torch

from burnish.fakes import small_examples, tiny_base
from burnish.model.base import Base
from burnish.model.choose import choose, score
from burnish.model.forward import forward_hidden, output_head
from burnish.model.generate import target_logprobs
from burnish.model.rendered import Rendered

CHAIN = ([31], [31, 32], [31, 32, 33], [31, 32, 33, 34], [35])
"""Four choices that each begin with the one before, and a stranger."""


def brute(base: Base, prompt: Sequence[int], choices: list[list[int]]) -> list[float]:
    end = base.chat.end_ids[0]
    rows = [
        Rendered(
            tokens=(*prompt, *choice, end),
            learned=(False,) * len(prompt) + (True,) * (len(choice) + 1),
            pieces=(),
        )
        for choice in choices
    ]
    return [float(row.sum()) for row in target_logprobs(base, rows)]


@pytest.mark.parametrize("winner", CHAIN, ids=len)
def test_a_label_that_is_a_prefix_of_another_wins_exactly_when_it_is_likelier(winner: list[int]) -> None:
    base = tiny_base("llama", 2)
    prompt = base.chat.render_prompt(small_examples(1)[0].prompt)
    _make_likely(base, prompt, [*winner, base.chat.end_ids[0]])
    for order in (list(CHAIN), list(reversed(CHAIN))):
        expected = brute(base, prompt, order)
        (chosen,), (scores,) = choose(base, [prompt], order), score(base, [prompt], order)
        assert scores == pytest.approx(expected, abs=1e-3)  # float32 sums in another order
        assert chosen.index == expected.index(max(expected)) == order.index(winner)
        assert chosen.logprob == pytest.approx(max(expected), abs=1e-3)


@torch.no_grad()
def _make_likely(base: Base, prompt: Sequence[int], path: list[int]) -> None:
    """Turns the head until each token of the path is likelier than not after those before it."""
    head = output_head(base.model).weight_VD
    for _ in range(200):
        rows = torch.tensor([[*prompt, *path[:-1]]])
        hidden = forward_hidden(base.model, rows)[0, len(prompt) - 1 :]
        logits = hidden @ head.T
        if (logits.softmax(-1)[range(len(path)), path] > 0.6).all():
            return
        wrong = logits.softmax(-1)
        wrong[range(len(path)), path] -= 1
        head -= 0.5 * wrong.T @ hidden / hidden.square().sum(-1).mean()
    raise AssertionError("the path did not become likely")
