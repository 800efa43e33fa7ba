"""A bank whose adapters come and go, labels chosen by many adapters at once, and answers held to a JSON schema."""

import json

import pytest
import torch

from burnish.errors import DataError, ModelError
from burnish.fakes import tiny_base
from burnish.model.choose import choose
from burnish.model.generator import Generator, Request
from burnish.model.json_grammar import ANY_OBJECT, JsonGrammar
from burnish.model.lora import AdapterSpec, attach
from burnish.model.session import Session
from burnish.records import Message
from tests.model.test_generate import prompts_of
from tests.model.test_generator import LABELS, answers, filled_bank, requests_of


def random_adapter(base, rank, seed):
    bank = attach(base.model, [AdapterSpec(name=f"rank-{rank}", rank=rank, alpha=4, seed=seed)])
    drawn = torch.Generator().manual_seed(seed)
    state = {name: 0.3 * torch.randn(part.shape, generator=drawn) for name, part in bank.state(0).items()}
    bank.detach()
    return AdapterSpec(name=f"rank-{rank}", rank=rank, alpha=4, seed=seed), state


def test_an_adapter_that_comes_later_answers_as_alone_and_leaves_the_others_as_they_are(tiny):
    base = tiny("llama", 3)
    adapters = [random_adapter(base, rank, seed) for seed, rank in enumerate((2, 5, 1))]
    alone = []
    for spec, state in adapters:
        bank = attach(base.model, [spec])
        bank.load(0, state)
        alone.append([one.tokens for one in answers(base, requests_of(base, 3, slot=0), bank)])
        bank.detach()
    bank = attach(base.model, [AdapterSpec(name="empty", rank=1, alpha=1, seed=0)])
    for slot, (spec, state) in enumerate(adapters):
        bank.put(slot, spec, state)
        for other in range(slot + 1):
            assert [one.tokens for one in answers(base, requests_of(base, 3, slot=other), bank)] == alone[other]
    assert bank.bytes_with(3, 5) == sum(
        4 * entry.A.numel() + 8 * entry.B.numel() for entry in bank.parameters_of_bank()
    )
    bank.put(1, *adapters[2])
    assert [one.tokens for one in answers(base, requests_of(base, 3, slot=1), bank)] == alone[2]
    some = {name: part for name, part in adapters[0][1].items() if "q_proj" in name}
    bank.put(1, adapters[0][0], some)
    found = bank.state(1)
    assert all(torch.equal(found[name], part) for name, part in some.items())
    assert not any(part.any() for name, part in found.items() if name not in some)
    with pytest.raises(ModelError, match="layers that carry no adapter here, such as elsewhere"):
        bank.put(1, adapters[0][0], {"elsewhere": torch.zeros(1)})
    bank.detach()


@torch.no_grad()
def test_factors_that_are_kept_rounded_follow_every_change_of_their_adapter():
    base = tiny_base("llama", precision="bfloat16")
    bank = attach(base.model, [AdapterSpec(name=name, rank=2, alpha=2, seed=0) for name in "ab"])
    layer = base.model.get_decoder().layers[0].self_attn.q_proj
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(3, layer.linear.in_features, generator=drawn).bfloat16()

    def passed():
        with bank.use([1, 0, 1]):
            return layer(x)

    states = [
        {name: torch.randn(part.shape, generator=drawn) for name, part in bank.state(1).items()} for _ in range(3)
    ]
    seen = []
    for state in states:
        bank.load(1, state)
        seen.append(passed())
    assert len({tuple(one.flatten().tolist()) for one in seen}) == 3
    bank.load(1, states[0])
    assert torch.equal(passed(), seen[0])
    bank.put(2, AdapterSpec(name="c", rank=4, alpha=2, seed=0), {})
    assert torch.equal(passed(), seen[0])
    spec = AdapterSpec(name="a", rank=2, alpha=2, seed=0)
    bank.put(1, spec, states[1])
    assert torch.equal(passed(), seen[1])


def test_prefixes_computed_side_by_side_are_those_computed_alone(tiny):
    base = tiny("llama", 1)
    bank = filled_bank(base)
    session = Session(base, bank)
    wanted = [(tuple(range(20, 20 + length)), slot) for length, slot in ((12, -1), (9, 0), (12, 0), (30, 1))]
    for prefix, one in zip(session.prefixes(wanted), wanted, strict=True):
        (alone,) = session.prefixes([one])
        assert prefix.tokens == alone.tokens == one[0]
        for parts, expected in zip(prefix.layers, alone.layers, strict=True):
            torch.testing.assert_close(parts, expected, atol=1e-5, rtol=1e-4)  # float32 sums in another order
    bank.detach()


def test_labels_chosen_by_many_adapters_at_once_are_those_of_each_alone(tiny):
    base = tiny("llama", 1)
    bank = filled_bank(base)
    prompts = prompts_of(base, 9)
    choices = [base.chat.answer_tokens(label) for label in LABELS]
    slots = [(-1, 0, 1)[at % 3] for at in range(len(prompts))]
    mixed = choose(base, prompts, choices, bank=bank, slots=slots)
    for prompt, slot, found in zip(prompts, slots, mixed, strict=True):
        with bank.use(slot):
            (alone,) = choose(base, [prompt], choices)
        assert found.index == alone.index
        assert found.logprob == pytest.approx(alone.logprob, abs=1e-4)  # float32 sums in another order
    assert len({round(found.logprob, 2) for found in mixed}) > 3
    bank.detach()


@pytest.mark.parametrize("template", ["chatml", "mistral", "thinking"])
def test_an_answer_keeps_to_its_schema_whatever_the_model_prefers(tiny, template):
    base = tiny("llama", 0, template=template)
    grammar = JsonGrammar(base)
    opening, literal = base.chat.answer_opening
    asked = base.chat.render_prompt([Message(role="user", content="hi")])
    prompt = (*asked, *opening, *base.chat.encode(literal))
    item = {
        "type": "object",
        "properties": {"id": {"type": "integer", "maximum": 99, "minimum": 0}},
        "required": ["id"],
    }
    schema = {"type": "array", "items": item | {"additionalProperties": False}, "minItems": 2, "maxItems": 3}
    for start in (grammar.start(schema), grammar.start({"enum": ["yes", "no"]}), grammar.start(ANY_OBJECT)):
        request = Request(prompt=prompt, max_new_tokens=80, grammar=start)
        *_, last = Generator(base).run([request])
        if last.answer.stop_reason == "end":
            found = json.loads(last.answer.text)
            assert (
                found in ("yes", "no")
                or isinstance(found, dict)
                or [set(one) for one in found]
                in (
                    [{"id"}] * 2,
                    [{"id"}] * 3,
                )
            )
    for wrong in ({"type": "what"}, {"$ref": "http://127.0.0.1/x"}, {"enum": ["x" * 70_000]}):
        with pytest.raises(DataError, match="JSON schema cannot be held to"):
            grammar.start(wrong)
