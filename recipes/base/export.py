"""A trained model as a folder of the form that burnish ships: weights in bfloat16, configs, tokenizer and a card."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
from tokenizers import Tokenizer

from burnish.store.files import write_atomic
from recipes.base.llama import Llama
from recipes.base.rounding import to_bfloat16
from recipes.base.shape import Shape
from recipes.base.tokenizer import END, END_TURN, MARKS, PAD, save_tokenizer


def export(model: Llama, tokenizer: Tokenizer, folder: Path) -> Path:
    """Writes the model into the folder, which burnish and transformers can load, and returns the folder."""
    save_tokenizer(tokenizer, folder, positions=model.shape.positions)
    weights = to_bfloat16({name: weight.cpu() for name, weight in model.state_dict().items()})
    write_atomic(folder / "model.safetensors", safetensors.torch.save(weights, {"format": "pt"}))
    marks = {f"{use}_token_id": MARKS.index(mark) for use, mark in (("bos", END), ("eos", END_TURN), ("pad", PAD))}
    _write(folder / "config.json", {**llama_config(model.shape), **marks})
    _write(folder / "generation_config.json", {"_from_model_config": True, **marks})
    return folder


def llama_config(shape: Shape) -> dict[str, Any]:
    """The shape in the words of transformers' LlamaConfig."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_size,
        "hidden_act": "silu",
        "max_position_embeddings": shape.positions,
        "rms_norm_eps": shape.norm_eps,
        "rope_parameters": {"rope_theta": shape.rope_theta, "rope_type": "default"},
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
    }


def _write(path: Path, data: dict[str, Any]) -> None:
    write_atomic(path, (json.dumps(data, indent=2) + "\n").encode())
