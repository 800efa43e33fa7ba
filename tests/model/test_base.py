"""Bases: every family loads, and nothing damaged, foreign or dangerous does."""

import json
import sys
from pathlib import Path
from time import perf_counter

import pytest
import torch
from safetensors.torch import load_file, save_file

from burnish.errors import ModelError
from burnish.fakes import FAMILIES, TEMPLATES, tiny_folder
from burnish.model.base import load_base
from burnish.model.speed import choose_precision
from burnish.records import Message


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "base")


def change_json(path: Path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_frozen_and_answers(tiny, family):
    base = tiny(family)
    assert base.model.config.model_type == family
    assert base.warnings == ()
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert (base.hidden_size, base.max_tokens) == (32, 512)
    assert base.chat.render_prompt([Message(role="user", content="hi")])


def test_the_built_in_base_loads_with_a_reason_for_its_precision():
    base = load_base("builtin:english-10m")
    assert base.precision in ("float32", "bfloat16")
    assert base.reason.startswith(f"{base.precision}: ")
    assert "GFLOP/s" in base.reason
    assert base.chat.end_ids == (3,)
    assert sum(parameter.numel() for parameter in base.model.parameters()) == 10_059_840


def test_asked_precision_is_given(folder):
    base = load_base(str(folder), precision="bfloat16")
    assert next(base.model.parameters()).dtype == torch.bfloat16
    assert choose_precision("float32", 8, 8, "cpu")[0] == "float32"
    with pytest.raises(ModelError, match="int4"):
        choose_precision("int4", 8, 8, "cpu")


def test_the_hash_follows_weights_config_tokenizer_and_template(tmp_path):
    def loaded(name, change=lambda path: None, **options):
        path = tiny_folder(tmp_path / name, **options)
        change(path)
        return load_base(str(path), precision="float32").base_hash

    first = loaded("a")
    assert loaded("b") == first
    others = {
        loaded("c", seed=1),
        loaded("d", template="mistral"),
        loaded("e", lambda path: change_json(path / "config.json", rope_theta=500.0)),
    }
    assert len(others | {first}) == 4


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "weights.pkl"])
def test_weights_in_a_pickle_are_never_opened(folder, name, pickle_canary):
    (folder / "model.safetensors").unlink()
    canary = pickle_canary(folder / name)
    with pytest.raises(ModelError, match=f"{name}.*can run code") as caught:
        load_base(str(folder))
    assert "safetensors" in caught.value.hint
    assert not canary.exists()


@pytest.mark.parametrize("name", ["rng_state.pth", "optimizer.pt", "training_args.bin"])
def test_a_pickle_beside_safetensors_is_left_alone(folder, name, pickle_canary):
    canary = pickle_canary(folder / name)
    load_base(str(folder), precision="float32")
    assert not canary.exists()


@pytest.mark.parametrize(
    "key",
    ["auto_map", "trust_remote_code", "_attn_implementation_internal", "custom_pipelines", "attn_implementation"],
)
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_config_that_could_bring_in_code_is_refused(folder, key, file, tmp_path):
    canary = tmp_path / "canary"
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Evil: pass\n")
    value = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]}
    change_json(folder / file, **{key: value if "auto" in key else True if "trust" in key else "evil/kernels"})
    with pytest.raises(ModelError, match=key):
        load_base(str(folder))
    assert not canary.exists()
    assert "evil" not in sys.modules


def test_a_dangerous_key_deep_inside_is_seen(folder):
    change_json(folder / "config.json", text_config={"sub": [{"auto_map": {"AutoModel": "evil.Evil"}}]})
    with pytest.raises(ModelError, match="auto_map"):
        load_base(str(folder))


def test_an_unknown_key_is_ignored_with_a_word(folder):
    change_json(folder / "config.json", favourite_colour="blue")
    base = load_base(str(folder), precision="float32")
    assert "favourite_colour" in base.warnings[0]
    assert not hasattr(base.model.config, "favourite_colour")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"model_type": "t5"}, "family 't5'"),
        ({"model_type": None}, "family None"),
        ({"hidden_size": "large"}, "cannot be used"),
        ({"hidden_size": 64}, "do not fit"),
        ({"num_hidden_layers": 3}, "do not fit"),
        ({"vocab_size": 100}, "do not fit"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantised"),
    ],
)
def test_a_config_of_another_model_is_refused(folder, config, complaint):
    change_json(folder / "config.json", **config)
    with pytest.raises(ModelError, match=complaint):
        load_base(str(folder))


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b[:4],
        lambda b: b"",
        lambda b: b"\xff" * 8 + b[8:],
        lambda b: b + b"trailing",
        lambda b: b[:8] + b"x" + b[9:],
        lambda b: b.replace(b'"F32"', b'"F64"', 1),
        lambda b: b.replace(b'"shape":[32', b'"shape":[99', 1),
    ],
)
def test_damaged_weights_are_refused_by_name(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=r"model\.safetensors are damaged"):
        load_base(str(folder))


def test_weights_that_are_no_numbers_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="not finite"):
        load_base(str(folder))


def test_a_missing_weight_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.up_proj"):
        load_base(str(folder))


@pytest.mark.parametrize("part", ["../model.safetensors", "gone.safetensors", "weights.bin"])
def test_an_index_may_only_name_weights_in_the_folder(folder, part):
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": part}}))
    with pytest.raises(ModelError, match="not there"):
        load_base(str(folder))


def test_a_sharded_base_loads(folder):
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    expected = load_base(str(folder), precision="float32").model.state_dict()
    (folder / "model.safetensors").unlink()
    for part, inside in parts.items():
        save_file({name: weights[name] for name in inside}, folder / part, {"format": "pt"})
    index = {name: part for part, inside in parts.items() for name in inside}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    found = load_base(str(folder), precision="float32").model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_base(str(folder))


@pytest.mark.parametrize("content", ["{", '"a"', "{}", '{"version": "1.0"}'])
def test_a_damaged_tokenizer_is_refused(folder, content):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match="tokenizer"):
        load_base(str(folder))


def test_the_tokenizer_of_a_larger_base_is_refused(folder):
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": 5000, "content": "<|extra|>"})
    tokenizer["model"]["vocab"]["<|extra|>"] = 5000
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="do not belong together"):
        load_base(str(folder))


def test_a_base_without_pad_token_pads_with_its_end_and_still_learns_it(folder):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    base = load_base(str(folder), precision="float32")
    assert base.chat.pad_id == base.tokenizer.eos_token_id
    rendered = base.chat.render([Message(role="user", content="a"), Message(role="assistant", content="b")])
    assert (rendered.tokens[-2], rendered.learned[-2]) == (base.chat.end_ids[0], True)


def test_an_end_token_that_was_never_trained_is_told(folder):
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][3] = 0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "never trained" in load_base(str(folder), precision="float32").warnings[0]


def test_a_template_in_its_own_file_is_used(folder):
    (folder / "chat_template.jinja").write_text(TEMPLATES["mistral"])
    rendered = load_base(str(folder), precision="float32").chat.render([Message(role="user", content="a")])
    assert "[INST] a [/INST]" in rendered.text


@pytest.mark.parametrize(
    ("name", "revision", "complaint"),
    [
        ("builtin:english-9000b", None, "no built-in base"),
        ("builtin:../english-10m", None, "no built-in base"),
        ("./nowhere", None, "no base model folder"),
        ("org/model", None, "needs a revision"),
        ("org/model", "main", "needs a revision"),
        ("org/model", "0" * 40, "cannot be reached"),
    ],
)
def test_a_base_that_cannot_be_had_says_so_at_once(name, revision, complaint):
    start = perf_counter()
    with pytest.raises(ModelError, match=complaint) as caught:
        load_base(name, revision=revision)
    assert caught.value.hint
    assert perf_counter() - start < 2


def test_a_hub_model_in_the_cache_is_loaded_at_its_commit_without_network(tmp_path, monkeypatch):
    import huggingface_hub

    commits = ["1" * 40, "2" * 40]
    for seed, commit in enumerate(commits):
        tiny_folder(tmp_path / "models--org--model" / "snapshots" / commit, seed=seed)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    first, second = (load_base("org/model", revision=commit, precision="float32") for commit in commits)
    assert (first.name, first.revision) == ("org/model", commits[0])
    assert first.base_hash != second.base_hash
    assert second.base_hash == load_base(str(tiny_folder(tmp_path / "same", seed=1)), precision="float32").base_hash
