"""The bank of adapters: right gradients, strangers to each other, and nothing left behind."""

import pytest
import torch

from burnish.errors import ModelError
from burnish.fakes import FAMILIES, small_examples, tiny_base
from burnish.model.forward import forward_hidden, logits_of, output_head
from burnish.model.lora import AdapterSpec, attach
from burnish.model.lora_linear import LoraLinear
from burnish.model.route import GRID_ROWS

SPECS = [AdapterSpec(name=f"a{k}", rank=rank, alpha=16, seed=k) for k, rank in enumerate((4, 2, 8))]


def logits(base, bank, slots, tokens_BT):
    with bank.use(slots):
        return logits_of(output_head(base.model), forward_hidden(base.model, tokens_BT))


@pytest.fixture
def base(tiny):
    base = tiny("llama")
    yield base
    assert not any(isinstance(module, LoraLinear) for module in base.model.modules()), "a test left its bank attached"


@pytest.fixture
def bank(base):
    bank = attach(base.model, SPECS)
    generator = torch.Generator().manual_seed(5)
    for slot in range(len(SPECS)):
        bank.load(slot, {name: torch.randn(t.shape, generator=generator) * 0.1 for name, t in bank.state(slot).items()})
    yield bank
    bank.detach()


@pytest.fixture
def tokens_BT():
    return torch.randint(13, 300, (6, 9), generator=torch.Generator().manual_seed(1))


def test_a_new_adapter_changes_nothing(base, tokens_BT):
    bank = attach(base.model, SPECS)
    before = logits(base, bank, None, tokens_BT)
    assert torch.equal(logits(base, bank, 0, tokens_BT), before)
    assert torch.equal(logits_of(output_head(bank.detach()), forward_hidden(base.model, tokens_BT)), before)


def test_every_way_to_name_slots_gives_the_same_answer(base, bank, tokens_BT):
    alone = [logits(base, bank, slot, tokens_BT) for slot in (0, 1, 2, -1)]
    grouped = logits(base, bank, torch.tensor([2, 2, 0, 0, 1, 1]), tokens_BT)
    mixed = logits(base, bank, [1, 0, 2, -1, 0, 1], tokens_BT)
    for row, slot in enumerate([2, 2, 0, 0, 1, 1]):
        torch.testing.assert_close(grouped[row], alone[slot][row], atol=1e-5, rtol=1e-5)
    for row, slot in enumerate([1, 0, 2, -1, 0, 1]):
        torch.testing.assert_close(mixed[row], alone[slot][row], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-2)


def rows_in_any_order(count, *slots):
    picked = torch.randint(len(slots), (count,), generator=torch.Generator().manual_seed(count)).tolist()
    return [slots[place] for place in picked]


@pytest.mark.parametrize(
    "slots",
    [
        rows_in_any_order(40, 0, 1, 2),
        rows_in_any_order(40, 0, 2, -1),
        [1, *rows_in_any_order(40, 0, 2, 2, 2, 2, 2, 2, 2, 2), -1],
        [0, 1] * GRID_ROWS + [0, 2, 1],
        [-1] + [2] * 2 * GRID_ROWS + [0] * GRID_ROWS,
        [2, -1, 2],
        [1, 0, 0, 1, -1],
        [-1, 1, 2],
    ],
    ids=[
        "even",
        "with the base",
        "skewed",
        "many rows",
        "many that stand together",
        "one slot",
        "most slots",
        "the base where an empty slot's line begins",
    ],
)
def test_rows_in_any_order_get_their_own_adapter_with_its_gradient(base, bank, slots):
    layer = base.model.get_submodule("model.layers.0.mlp.up_proj")
    factors = (layer.A, layer.B)
    x = torch.randn(len(slots), 2, 32, generator=torch.Generator().manual_seed(3))
    aim = torch.linspace(-1, 1, len(slots))[:, None, None]
    with bank.use(slots):
        mixed = layer(x)
        gradients = torch.autograd.grad((mixed * aim).sum(), factors)
    expected = layer.linear(x)
    for row, slot in enumerate(slots):
        if slot != -1:
            expected[row] += layer.scale[slot] * (x[row] @ layer.A[slot].T @ layer.B[slot].T)
    # float32 sums of 32 products and of some dozen rows, in another order
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)
    for ours, reference in zip(gradients, torch.autograd.grad((expected * aim).sum(), factors), strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-4)


def test_an_adapter_that_is_not_finite_harms_no_row_of_another(base, bank, tokens_BT):
    with torch.no_grad():
        alone = logits(base, bank, 0, tokens_BT), logits(base, bank, None, tokens_BT)
        for entry in bank.parameters_of_bank():
            entry.A[2].fill_(torch.nan)
        mixed = logits(base, bank, [0, 2, -1, 0, -1, 2], tokens_BT)
    for row, reference in ((0, alone[0]), (3, alone[0]), (2, alone[1]), (4, alone[1])):
        torch.testing.assert_close(mixed[row], reference[row], atol=1e-5, rtol=1e-5)
    assert mixed[[1, 5]].isnan().all()


def test_the_hand_written_gradient_equals_autograd(base, bank, tokens_BT):
    def gradients(slots, rows):
        loss = logits(base, bank, slots, tokens_BT[rows]).square().mean(dim=(1, 2)).sum()
        loss.backward()
        found = [factor.grad.clone() for entry in bank.parameters_of_bank() for factor in (entry.A, entry.B)]
        for entry in bank.parameters_of_bank():
            entry.A.grad = entry.B.grad = None
        return found

    by_hand = gradients([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5])
    by_autograd = gradients([0, 1, 2, 0, 1, 2], [0, 2, 4, 1, 3, 5])
    for ours, reference in zip(by_hand, by_autograd, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-4)


def test_a_narrow_adapter_never_uses_the_room_of_a_wide_one(base, tokens_BT):
    bank = attach(base.model, SPECS)
    parameters = [factor for entry in bank.parameters_of_bank() for factor in (entry.A, entry.B)]
    optimizer = torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        logits(base, bank, [0, 0, 1, 1, 2, 2], tokens_BT).square().mean().backward()
        optimizer.step()
    for entry in bank.parameters_of_bank():
        for slot, spec in enumerate(SPECS):
            assert entry.B[slot, :, : spec.rank].abs().sum() > 0
            assert not entry.A[slot, spec.rank :].any()
            assert not entry.B[slot, :, spec.rank :].any()
    bank.detach()


def test_adapters_trained_in_company_equal_those_trained_alone(base):
    rows = torch.tensor([base.chat.render(e.messages).tokens[:20] for e in small_examples(40)])

    def train(specs):
        bank = attach(base.model, specs)
        parameters = [factor for entry in bank.parameters_of_bank() for factor in (entry.A, entry.B)]
        optimizer = torch.optim.AdamW(parameters, lr=0.01)
        for step in range(20):
            batch = rows[2 * step : 2 * step + 2]
            slots = [slot for slot in range(len(specs)) for _ in batch]
            logits_BTV = logits(base, bank, slots, batch.repeat(len(specs), 1))[:, :-1]
            targets = batch[:, 1:].repeat(len(specs), 1)
            loss = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), targets.flatten(), reduction="sum")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        states = [bank.state(slot) for slot in range(len(specs))]
        bank.detach()
        return states

    together = train(SPECS)
    for spec, state in zip(SPECS, together, strict=True):
        (alone,) = train([spec])
        # AdamW turns a rounding difference in a gradient near zero into a step of up to lr = 0.01, so a few numbers
        # may move; on the whole the two must be one
        apart = torch.cat([(state[name] - alone[name]).abs().flatten() for name in alone])
        assert apart.quantile(0.99) < 1e-4, apart.quantile(0.99)


@pytest.mark.parametrize("family", FAMILIES)
def test_merging_an_adapter_gives_the_same_answers(family, tokens_BT):
    base = tiny_base(family)
    bank = attach(base.model, SPECS)
    generator = torch.Generator().manual_seed(2)
    bank.load(1, {name: torch.randn(t.shape, generator=generator) * 0.1 for name, t in bank.state(1).items()})
    expected, untouched = logits(base, bank, 1, tokens_BT), logits(base, bank, None, tokens_BT)
    merged = logits_of(output_head(bank.merge(1)), forward_hidden(base.model, tokens_BT))
    torch.testing.assert_close(merged, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(merged, untouched, atol=1e-2)


def test_first_weights_depend_on_the_adapters_own_seed_alone(base):
    company = attach(base.model, SPECS)
    state = company.state(1)
    company.detach()
    alone = attach(base.model, [SPECS[1]])
    for name, tensor in alone.state(0).items():
        assert torch.equal(tensor, state[name])
    alone.detach()
    other = attach(base.model, [AdapterSpec(name="x", rank=2, alpha=16, seed=9)])
    assert not torch.equal(next(iter(other.state(0).values())), next(iter(state.values())))
    other.detach()


def test_the_output_head_gets_no_adapter(bank):
    assert "lm_head" not in bank.modules
    assert len(bank.modules) == 2 * 7


def test_a_target_that_names_no_layer_is_refused_with_the_names_there_are(base):
    with pytest.raises(ModelError, match="q_prj") as caught:
        attach(base.model, SPECS, targets=("q_prj",))
    assert "q_proj" in caught.value.hint


def test_chosen_targets_alone_get_adapters(base):
    bank = attach(base.model, SPECS, targets=("q_proj", "v_proj"))
    assert {name.rsplit(".", 1)[-1] for name in bank.modules} == {"q_proj", "v_proj"}
    bank.detach()


def test_weights_of_another_shape_leave_a_slot_as_it_was(bank):
    before = bank.state(0)
    for broken in ({}, {**before, "base_model.model.x.lora_A.weight": torch.zeros(1)}, bank.state(1)):
        with pytest.raises(ModelError):
            bank.load(0, broken)
    assert all(torch.equal(before[name], tensor) for name, tensor in bank.state(0).items())


def test_a_batch_of_another_size_than_announced_is_our_own_mistake(base, bank, tokens_BT):
    with pytest.raises(AssertionError, match="rows"):
        logits(base, bank, [0, 0, 1, 1], tokens_BT)


def test_a_bfloat16_base_trains_float32_adapters(tokens_BT):
    base = tiny_base("llama", precision="bfloat16")
    bank = attach(base.model, SPECS)
    for entry in bank.parameters_of_bank():
        torch.nn.init.normal_(entry.B.data[:, :, :2], std=0.1)
    logits(base, bank, [0, 0, 1, 1, 2, 2], tokens_BT).float().square().mean().backward()
    for entry in bank.parameters_of_bank():
        assert entry.A.dtype == entry.A.grad.dtype == torch.float32
    assert all(entry.A.grad.any() for entry in bank.parameters_of_bank())
