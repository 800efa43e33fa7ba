"""KL of a tuned model from its base, against a plain torch computation, and the retention set."""

import math

import pytest
import torch

from burnish.evaluate.forgetting import Text, base_texts, kl_to_base, retention, trace
from burnish.evaluate.measure import pair
from burnish.fakes import small_examples, tiny_base
from burnish.model.base import Base
from burnish.model.forward import forward_hidden, logits_of, output_head
from burnish.model.lora import AdapterSpec, LoraBank, attach
from burnish.records import Task
from tests.evaluate.measured_rows import evaluation, example

TASK = Task(kind="text", metric="token_f1")
ROWS = small_examples(5)


def _bank(base: Base, size: float) -> LoraBank:
    bank = attach(base.model, [AdapterSpec(name="a", rank=4, alpha=8.0, seed=1)])
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for entry in bank.parameters_of_bank():
            entry.B.copy_(torch.randn(entry.B.shape, generator=generator) * size)
    return bank


def _plain_kl(base: Base, bank: LoraBank, text: Text) -> float:
    """KL per token by whole rows, one at a time, in float64."""
    tokens = torch.tensor([[*text.prompt, *text.answer]])
    logprobs = []
    for use in (None, 0):
        with torch.no_grad(), bank.use(use):
            hidden = forward_hidden(base.model, tokens)[0, len(text.prompt) - 1 : -1]
            logprobs.append(torch.log_softmax(logits_of(output_head(base.model), hidden).double(), -1))
    kl = torch.nn.functional.kl_div(logprobs[1], logprobs[0], reduction="sum", log_target=True)
    return float(kl) / len(text.answer)


@pytest.mark.parametrize("family", ["llama", "gemma2", "phi3"])
def test_kl_is_what_plain_torch_computes_for_texts_of_any_length(family):
    base = tiny_base(family)
    texts = base_texts(base, TASK, ROWS, max_new_tokens=9, seed=2)
    texts = (texts[0]._replace(answer=texts[0].answer[:1]), *texts[1:])
    before = trace(base, texts)
    bank = _bank(base, 0.05)
    with bank.use(0):
        after = trace(base, texts)
    found = kl_to_base(before, after, texts, columns=("channel",))
    for text in texts:
        # float32 sums of about 500 terms against float64: relative 1e-5 of logits near 10 is 1e-4 absolute at worst
        assert found.value_of()[text.example.id] == pytest.approx(_plain_kl(base, bank, text), rel=1e-3, abs=1e-5)
    assert found.overall.value is not None
    assert found.overall.value > 0.001
    assert found.slices["channel=web"].n == 3


def test_an_adapter_that_changes_nothing_has_no_kl():
    base = tiny_base()
    texts = base_texts(base, TASK, ROWS, max_new_tokens=6)
    before = trace(base, texts)
    with _bank(base, 0.0).use(0):
        after = trace(base, texts)
    # An untouched adapter adds exact zeros, so both traces are equal but for the order of sums.
    assert all(value == pytest.approx(0.0, abs=1e-6) for value in kl_to_base(before, after, texts).value_of().values())


def test_kl_grows_with_the_adapter_and_pairs_as_a_share():
    found = []
    for size in (0.02, 0.08):
        base = tiny_base()
        texts = base_texts(base, TASK, ROWS, max_new_tokens=6)
        before = trace(base, texts)
        with _bank(base, size).use(0):
            found.append(kl_to_base(before, trace(base, texts), texts))
    assert found[0].overall.value < found[1].overall.value
    both = pair(found[0], found[1])
    assert both is not None
    expected = [math.exp(-b) - math.exp(-a) for a, b in zip(*(one.value_of().values() for one in found), strict=True)]
    assert both.differences == pytest.approx(expected)


def test_the_texts_are_samples_of_the_base_and_the_same_for_a_seed():
    base = tiny_base()
    texts = base_texts(base, TASK, ROWS, max_new_tokens=8, seed=1)
    assert texts == base_texts(base, TASK, ROWS, max_new_tokens=8, seed=1)
    assert texts != base_texts(base, TASK, ROWS, max_new_tokens=8, seed=2)
    assert all(1 <= len(text.answer) <= 8 for text in texts)
    assert len({text.answer for text in texts}) > 1
    assert base_texts(base, TASK, ROWS, max_new_tokens=base.max_tokens) == ()


def test_the_mean_log_ratio_of_samples_agrees_with_the_exact_kl():
    # The identity that makes samples of the base the right texts: E log base/tuned over samples is the summed KL.
    base = tiny_base()
    rows = small_examples(1) * 300
    texts = base_texts(base, TASK, rows, max_new_tokens=3, seed=4)
    before = trace(base, texts)
    with _bank(base, 0.05).use(0):
        after = trace(base, texts)
    ratios, exact = [], []
    for text, one, other in zip(texts, before.thoughts, after.thoughts, strict=True):
        places = torch.arange(len(text.answer))
        base_NV, tuned_NV = (torch.from_numpy(says(0, len(text.answer))) for says in (one, other))
        ratios.append(float((base_NV - tuned_NV)[places, torch.tensor(text.answer)].sum()))
        exact.append(float((base_NV.exp() * (base_NV - tuned_NV)).sum()))
    spread = torch.tensor(ratios).std() / len(ratios) ** 0.5
    # Four standard errors: one in 16,000 by chance, and the draws are seeded.
    assert abs(sum(ratios) / len(ratios) - sum(exact) / len(exact)) < 4 * spread
    assert torch.tensor(exact).std() < torch.tensor(ratios).std()


def test_retention_is_the_score_of_an_evaluation_and_can_be_paired():
    rows = [example("q", "paris", f"r{at}", topic="general") for at in range(4)]
    before = evaluation(TASK, rows, ["paris", "paris", "rome", "rome"])
    after = evaluation(TASK, rows, ["paris", "oslo", "rome", "paris"])
    found = retention(before)
    assert (found.overall.value, found.direction) == (0.5, "higher is better")
    assert found.slices["topic=general"].value == 0.5
    both = pair(found, retention(after))
    assert both is not None
    assert both.differences == (0.0, -1.0, 0.0, 1.0)
    assert [(flip.before, flip.after) for flip in both.flips] == [("paris", "oslo"), ("rome", "paris")]
