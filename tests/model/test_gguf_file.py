"""A GGUF file holds every weight as it was merged, in llama.cpp's order; what it would read otherwise is refused."""

import json
from dataclasses import replace

import gguf
import pytest
import torch

from burnish.errors import ModelError
from burnish.fakes import tiny_base, tiny_folder
from burnish.model.adapter import Adapter
from burnish.model.base import load_base
from burnish.model.gguf_file import compare_gguf, save_gguf
from burnish.model.gguf_layout import demand_gguf, window_of
from burnish.model.lora import AdapterSpec, attach
from burnish.model.vocabulary import SPLITS, vocabulary_of
from burnish.model.whole import holding, save_whole, weights_of
from burnish.talk import Silence

TOKENS_BT = torch.randint(13, 300, (3, 11), generator=torch.Generator().manual_seed(0))
SPEC = AdapterSpec(name="a", rank=4, alpha=8, seed=1)


def adapted(base) -> tuple[Adapter, torch.Tensor]:
    """An adapter of random weights, and the logits with it."""
    bank = attach(base.model, [SPEC])
    drawn = torch.Generator().manual_seed(1)
    state = {name: 0.1 * torch.randn(part.shape, generator=drawn) for name, part in bank.state(0).items()}
    bank.load(0, state)
    with torch.inference_mode(), bank.use(0):
        logits = base.model(TOKENS_BT).logits
    bank.detach()
    return Adapter(SPEC, state), logits


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_a_family_comes_back_whole_and_answers_the_same(family, tmp_path):
    base = tiny_base(family)
    adapter, logits = adapted(base)
    before = base.model(TOKENS_BT).logits
    save_gguf(tmp_path / "m.gguf", base, adapter, "m", Silence())
    with torch.inference_mode(), holding(base, compare_gguf(tmp_path / "m.gguf", base, adapter)):
        # float32 sums in another order: the update beside the weights, or inside them
        torch.testing.assert_close(base.model(TOKENS_BT).logits, logits, atol=1e-4, rtol=1e-4)
    assert torch.equal(base.model(TOKENS_BT).logits, before)
    assert (window_of(base), len(demand_gguf(base))) == ((16, 1) if family == "mistral" else (512, 0))


def test_bfloat16_stays_bfloat16_and_a_changed_file_is_seen(tmp_path):
    base = tiny_base(precision="bfloat16")
    adapter, _ = adapted(base)
    path = tmp_path / "m.gguf"
    save_gguf(path, base, adapter, "m", Silence())
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert tensors["blk.0.attn_q.weight"].tensor_type == gguf.GGMLQuantizationType.BF16
    assert tensors["output_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32
    assert len(compare_gguf(path, base, adapter)) == len(weights_of(base))
    data = bytearray(path.read_bytes())
    data[int(tensors["blk.0.ffn_up.weight"].data_offset)] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"up_proj\.weight is another one than was written"):
        compare_gguf(path, base, adapter)


def test_both_tokens_that_end_an_answer_are_in_the_file(tmp_path):
    folder = tiny_folder(tmp_path / "base")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<|endoftext|>"}))
    base = load_base(str(folder), precision="float32", device="cpu")
    save_gguf(tmp_path / "m.gguf", base, adapted(base)[0], "m", Silence())
    keys, reader = gguf.Keys.Tokenizer, gguf.GGUFReader(tmp_path / "m.gguf")
    ends = [reader.get_field(key).contents() for key in (keys.EOT_ID, keys.EOS_ID)]
    assert base.tokenizer.convert_ids_to_tokens(ends) == ["<|im_end|>", "<|endoftext|>"]


def test_rows_that_rotate_together_stand_side_by_side(tmp_path):
    """Head of 8: row i and row i + 4 of the base are rows 2i and 2i + 1 of the file."""
    base = tiny_base()
    adapter, _ = adapted(base)
    none = Adapter(SPEC, {name: torch.zeros_like(part) for name, part in adapter.state.items()})
    save_gguf(tmp_path / "m.gguf", base, none, "m", Silence())
    stored = {tensor.name: torch.tensor(tensor.data) for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    own = weights_of(base)["model.layers.0.self_attn.k_proj.weight"]
    for head in range(2):
        for row in range(4):
            assert torch.equal(stored["blk.0.attn_k.weight"][8 * head + 2 * row], own[8 * head + row])
            assert torch.equal(stored["blk.0.attn_k.weight"][8 * head + 2 * row + 1], own[8 * head + row + 4])
    assert torch.equal(stored["blk.0.attn_v.weight"], weights_of(base)["model.layers.0.self_attn.v_proj.weight"])


def test_the_factors_of_llama_3_are_those_of_its_rule(tmp_path):
    """Wavelengths above 512 / 1 are stretched by 8, those below 512 / 4 not at all, with a slope in between."""
    folder = tiny_folder(tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    rule = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0}
    rule |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(config | {"rope_parameters": rule}))
    base = load_base(str(folder), precision="float32", device="cpu")
    adapter, _ = adapted(base)
    save_gguf(tmp_path / "m.gguf", base, adapter, "m", Silence())
    compare_gguf(tmp_path / "m.gguf", base, adapter)
    stored = {tensor.name: tensor.data.tolist() for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    # heads of 8 with theta 10,000: wavelengths 2 pi times 1, 10, 100 and 1000, the third one 628
    assert stored["rope_freqs.weight"] == pytest.approx([1, 1, 8, 8], rel=1e-5)


@pytest.mark.parametrize("family", ["gemma", "phi3"])
def test_another_family_is_refused_with_those_that_are_written(family, tiny):
    with pytest.raises(ModelError, match=f"family {family} cannot be written as GGUF") as refusal:
        demand_gguf(tiny(family))
    assert refusal.value.hint.startswith("supported: llama, mistral, qwen2, qwen3")


def changed(base, **parts):
    """The base with another way of cutting texts."""
    spelled = json.loads(base.tokenizer.backend_tokenizer.to_str()) | parts

    class Spelled:
        backend_tokenizer = type("Backend", (), {"to_str": staticmethod(lambda: json.dumps(spelled))})
        added_tokens_decoder = base.tokenizer.added_tokens_decoder
        get_vocab = base.tokenizer.get_vocab

    return replace(base, tokenizer=Spelled)


def test_a_tokenizer_has_the_name_of_its_rules_or_is_refused(tiny):
    base = tiny("llama")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    assert vocabulary_of(base).pre == "gpt-2"
    parts = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
    assert vocabulary_of(changed(base, pre_tokenizer=parts)).pre == "smollm"
    for regex, name in SPLITS.items():
        split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        parts = {"type": "Sequence", "pretokenizers": [split, {**byte_level, "use_regex": False}]}
        model = json.loads(base.tokenizer.backend_tokenizer.to_str())["model"]
        as_known = {**model, "ignore_merges": name == "llama-bpe"}
        found = vocabulary_of(changed(base, pre_tokenizer=parts, normalizer={"type": "NFC"}, model=as_known))
        assert (found.pre, len(found.warnings)) == (name, 1)
        other = {**model, "ignore_merges": name != "llama-bpe"}
        with pytest.raises(ModelError, match="a BPE model with other rules"):
            vocabulary_of(changed(base, pre_tokenizer=parts, model=other))
    for wrong in (
        {"pre_tokenizer": {"type": "Metaspace"}},
        {"pre_tokenizer": {**byte_level, "add_prefix_space": True}},
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": None},
        {"model": {"type": "Unigram", "vocab": []}},
    ):
        with pytest.raises(ModelError, match="the tokenizer of this base has"):
            vocabulary_of(changed(base, **wrong))


def test_a_large_model_is_written_in_several_files_that_are_read_as_one(tmp_path):
    base = load_base(str(tiny_folder(tmp_path / "base")), precision="float32", device="cpu")
    adapter, logits = adapted(base)
    (tmp_path / "whole").mkdir()
    save_whole(tmp_path / "whole", base, adapter, Silence(), shard_bytes=30_000)
    assert len(list((tmp_path / "whole").glob("model-*-of-*.safetensors"))) > 2
    read = load_base(str(tmp_path / "whole"), precision="float32", device="cpu")
    with torch.inference_mode():
        torch.testing.assert_close(read.model(TOKENS_BT).logits, logits, atol=1e-4, rtol=1e-4)
    assert read.chat.template_hash == base.chat.template_hash
