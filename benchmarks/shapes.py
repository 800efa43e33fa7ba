"""The models and rows of the training benchmarks: the built-in base, SmolLM2-135M's shape with random weights, and
rows of mixed length made of words from the example messages."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

ASSET = Path(__file__).parent.parent / "burnish" / "assets" / "english-10m"
SMOLLM_135M: dict[str, Any] = {
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
CONFIGS: dict[str, Callable[[], dict[str, Any]]] = {
    "english-10m": lambda: json.loads((ASSET / "config.json").read_text(encoding="utf-8")),
    "smollm-135m": lambda: SMOLLM_135M,
}
TARGET_SHARE = 0.35
TOKENS_PER_WORD = 1.52
"""Of the example messages in the built-in tokenizer, about; lengths come out near what was asked."""


def folder_of(name: str, scratch: Path) -> str:
    """A base that every engine can load: the built-in one where it lies, or random weights saved under `scratch`."""
    if name == "english-10m":
        return str(ASSET)
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = scratch / name
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **SMOLLM_135M, bos_token_id=0, eos_token_id=3, pad_token_id=1)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    for path in ASSET.glob("*token*"):
        shutil.copy(path, folder)
    return str(folder)


def mixed_rows(count: int, *, mean: int = 120, longest: int = 512, seed: int = 0) -> list[dict[str, Any]]:
    """Rendered rows {tokens, learned}: log-normal lengths of about `mean` tokens, an answer of 35% of each."""
    import numpy as np

    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(np.log(mean) - 0.18, 0.6, count)).clip(16, longest - 64)  # mean of exp: + 0.6^2 / 2
    return [_row(int(length / TOKENS_PER_WORD), random) for length in lengths]


def prefixed_rows(count: int, *, shared: int, own: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rendered rows that begin with one system message of about `shared` tokens and have about `own` more each."""
    import numpy as np

    random = np.random.default_rng(seed)
    rules = " ".join(_words()[: int(shared / TOKENS_PER_WORD)])
    return [_row(int(own / TOKENS_PER_WORD), random, rules=rules) for _ in range(count)]


def _row(num_words: int, random: Any, *, rules: str = "") -> dict[str, Any]:
    from burnish.records import Message

    words = _words()
    answer = max(1, round(TARGET_SHARE * num_words))
    asked, told = (random.integers(len(words) - 600, size=2)).tolist()
    turns = [Message(role="system", content=rules)] if rules else []
    turns.append(Message(role="user", content=" ".join(words[asked : asked + max(1, num_words - answer)])))
    turns.append(Message(role="assistant", content=" ".join(words[told : told + answer])))
    rendered = _chat().render(turns)
    return {"tokens": list(rendered.tokens), "learned": [bool(mark) for mark in rendered.learned]}


_kept: dict[str, Any] = {}


def _words() -> list[str]:
    if "words" not in _kept:
        from benchmarks.peers import claims

        _kept["words"] = " ".join(claims(300)).split()
    return _kept["words"]


def _chat() -> Any:
    if "chat" not in _kept:
        from burnish.model.base import load_base

        _kept["chat"] = load_base("builtin:english-10m", precision="float32", device="cpu").chat
    return _kept["chat"]
