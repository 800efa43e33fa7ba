"""Adapters on disk: PEFT reads ours, we read PEFT's, and what does not fit is refused before it can do harm."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from burnish.errors import ModelError
from burnish.fakes import FAMILIES, tiny_base, tiny_folder
from burnish.model.adapter import adapter_hash, changes_logits, load_adapter, save_adapter
from burnish.model.forward import forward_hidden, logits_of, output_head
from burnish.model.lora import AdapterSpec, attach

# PEFT 0.21 asks transformers 5.23 for a property under its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SPEC = AdapterSpec(name="first", rank=4, alpha=16, seed=3)
TOKENS_BT = torch.randint(13, 300, (3, 11), generator=torch.Generator().manual_seed(0))


def filled(bank, slot=0):
    generator = torch.Generator().manual_seed(7)
    return {name: torch.randn(t.shape, generator=generator) * 0.1 for name, t in bank.state(slot).items()}


@pytest.fixture
def base(tiny):
    return tiny("llama")


@pytest.fixture
def saved(base, tmp_path):
    bank = attach(base.model, [SPEC])
    state = filled(bank)
    bank.detach()
    save_adapter(tmp_path / "adapter", spec=SPEC, state=state, base=base)
    return tmp_path / "adapter"


def change_config(folder, **changes):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(folder, change):
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_gives_the_same_logits_from_our_folder(family, tmp_path):
    base = tiny_base(family)
    bank = attach(base.model, [SPEC, SPEC])
    bank.load(1, filled(bank))
    with bank.use(1):
        ours = logits_of(output_head(base.model), forward_hidden(base.model, TOKENS_BT))
    save_adapter(tmp_path, spec=SPEC, state=bank.state(1), base=base)
    plain = bank.detach()
    before = plain(TOKENS_BT).logits
    theirs = PeftModel.from_pretrained(plain, tmp_path)(TOKENS_BT).logits
    # float32 sums in another order: logits of size 10 differ by a few units of 1e-6
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (theirs - before).abs().max() > 0.1


def test_an_adapter_that_peft_saved_is_read(tmp_path):
    base = tiny_base("qwen3")
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    theirs = get_peft_model(base.model, config)
    expected = theirs(TOKENS_BT).logits
    theirs.save_pretrained(tmp_path, save_embedding_layers=False)
    theirs.unload()
    spec, state = load_adapter(tmp_path, base)
    bank = attach(base.model, [spec])
    bank.load(0, state)
    with bank.use(0):
        ours = logits_of(output_head(base.model), forward_hidden(base.model, TOKENS_BT))
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    assert (spec.rank, spec.alpha) == (4, 8)


def test_what_was_saved_comes_back_with_the_same_hash(base, saved, tmp_path):
    spec, state = load_adapter(saved, base)
    assert spec == SPEC
    save_adapter(tmp_path / "again", spec=spec, state=state, base=base)
    again = tmp_path / "again" / "adapter_model.safetensors"
    assert again.read_bytes() == (saved / "adapter_model.safetensors").read_bytes()
    assert load_file(again).keys() == state.keys()
    assert adapter_hash(state) == adapter_hash(load_adapter(tmp_path / "again", base)[1])
    name = next(iter(state))
    assert adapter_hash({**state, name: state[name] + 1e-6}) != adapter_hash(state)


def test_the_weights_file_is_readable_by_others(saved):
    assert (saved / "adapter_model.safetensors").stat().st_mode & 0o044


def test_an_adapter_on_some_layers_names_just_those(base, tmp_path):
    bank = attach(base.model, [SPEC], targets=("layers.1.self_attn.q_proj",))
    save_adapter(tmp_path, spec=SPEC, state=bank.state(0), base=base)
    bank.detach()
    assert json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"] == [
        "model.layers.1.self_attn.q_proj"
    ]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"r": 10**6}, "rank 1000000"),
        ({"r": 8}, r"is \(4, 64\), not \(8, 64\)"),
        ({"r": "4"}, "rank '4'"),
        ({"lora_alpha": float("nan")}, "alpha nan"),
        ({"use_dora": True}, "use_dora is True"),
        ({"use_rslora": True}, "use_rslora is True"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"rank_pattern": {"q_proj": 64}}, "rank_pattern"),
        ({"auto_mapping": {"base_model_class": "X", "parent_library": "evil"}}, "auto_mapping"),
        ({"something_new": 1}, "something_new is 1"),
    ],
)
def test_a_config_that_is_not_plain_lora_is_refused(base, saved, changes, complaint):
    change_config(saved, **changes)
    with pytest.raises(ModelError, match=complaint):
        load_adapter(saved, base)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: {name: tensor * float("nan") for name, tensor in state.items()}, "not finite"),
        (lambda state: {f"other.{name}": tensor for name, tensor in state.items()}, "none of the 28 weights"),
        (lambda state: {**state, "base_model.model.x.lora_A.weight": torch.zeros(4, 32)}, "this base lacks"),
        (lambda state: dict(list(state.items())[1:]), "without its twin"),
        (lambda state: {name: tensor[:2] for name, tensor in state.items()}, r"is \(2, 64\)"),
        (lambda state: {}, "none of the 0 weights"),
    ],
)
def test_weights_that_do_not_fit_are_refused(base, saved, change, complaint):
    change_weights(saved, change)
    with pytest.raises(ModelError, match=complaint):
        load_adapter(saved, base)


def test_an_adapter_of_another_base_is_refused_even_when_its_shapes_fit(tiny, saved):
    with pytest.raises(ModelError, match="another base"):
        load_adapter(saved, tiny("llama", 1))


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"\xff" * 8 + b[8:], lambda b: b + b"x", lambda b: b""]
)
def test_a_damaged_file_is_refused(base, saved, damage):
    path = saved / "adapter_model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match="damaged"):
        load_adapter(saved, base)


def test_an_adapter_in_a_pickle_is_never_opened(base, saved, pickle_canary):
    (saved / "adapter_model.safetensors").unlink()
    canary = pickle_canary(saved / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model\.bin.*can run code"):
        load_adapter(saved, base)
    assert not canary.exists()


def test_an_adapter_that_changes_nothing_is_seen(base):
    bank = attach(base.model, [SPEC, SPEC])
    bank.load(1, filled(bank))
    assert [changes_logits(base, bank, slot) for slot in (0, 1)] == [False, True]
    bank.detach()


def test_an_adapter_folder_is_not_taken_for_a_base(saved, tmp_path):
    folder = tiny_folder(tmp_path / "base")
    shutil.copy(saved / "adapter_config.json", folder)
    from burnish.model.base import load_base

    with pytest.raises(ModelError, match="is an adapter"):
        load_base(str(folder))
