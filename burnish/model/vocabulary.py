"""A tokenizer as a GGUF file spells it: tokens, their kinds, merges, and the name of the way texts are cut.

llama.cpp knows byte-level BPE by the name of its pre-tokenizer. A tokenizer that cuts texts in a way without a name
here is refused: a file with a wrong name loads, and then answers to other tokens than those that were measured.
"""

import json
from dataclasses import dataclass
from typing import Any

from burnish.errors import ModelError
from burnish.model.base import Base

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Kinds of tokens, by GGUF's numbers."""
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {
    _CONTRACTIONS + r"\p{N}{1,3}" + _REST: "llama-bpe",
    _CONTRACTIONS + r"\p{N}" + _REST: "qwen2",
}
"""Regular expressions of tokenizer.json, and llama.cpp's names for them."""
LLAMA_3 = "llama-bpe"
KNOWN = "byte-level BPE as in GPT-2, SmolLM, Llama 3, Qwen 2 and Qwen 3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a GGUF file holds about a tokenizer."""

    pre: str
    """llama.cpp's name for how texts are cut before merging."""
    tokens: tuple[str, ...]
    """One for each row of the embedding."""
    kinds: tuple[int, ...]
    merges: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def vocabulary_of(base: Base) -> Vocabulary:
    """The base's tokenizer for GGUF. Raises ModelError for one that llama.cpp would cut in another way."""
    spelled = json.loads(base.tokenizer.backend_tokenizer.to_str())
    model, pre = spelled["model"], _pre(spelled)
    if model["type"] != "BPE" or model.get("byte_fallback") or model.get("ignore_merges", False) != (pre == LLAMA_3):
        raise _unknown(f"a {model['type']} model with other rules")
    by_id = {index: token for token, index in base.tokenizer.get_vocab().items()}
    added: dict[int, Any] = base.tokenizer.added_tokens_decoder
    ids = range(base.vocab_size)
    pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
    normalised = ("texts are taken as they are, not in Unicode's form NFC",) if spelled["normalizer"] else ()
    return Vocabulary(
        pre=pre,
        tokens=tuple(by_id.get(index, f"[PAD{index}]") for index in ids),
        kinds=tuple(_kind(added.get(index), is_used=index in by_id) for index in ids),
        merges=tuple(pairs),
        warnings=normalised,
    )


def _kind(added: Any, *, is_used: bool) -> int:
    if added is None:
        return NORMAL if is_used else UNUSED
    return CONTROL if added.special else USER_DEFINED


def _pre(spelled: Any) -> str:
    """The name of the pre-tokenizer."""
    normalizer, cutter = spelled["normalizer"], spelled["pre_tokenizer"] or {"type": "none"}
    if normalizer is not None and normalizer["type"] != "NFC":
        raise _unknown(f"the normalizer {normalizer['type']}")
    parts = cutter["pretokenizers"] if cutter["type"] == "Sequence" else [cutter]
    kinds = [part["type"] for part in parts]
    last = parts[-1]
    if last["type"] != "ByteLevel" or last.get("add_prefix_space"):
        raise _unknown(f"the pre-tokenizer {', '.join(kinds)}")
    if last.get("use_regex", True):
        if kinds == ["ByteLevel"]:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
            return "smollm"
    elif kinds == ["Split", "ByteLevel"] and (parts[0]["behavior"], parts[0]["invert"]) == ("Isolated", False):
        regex = parts[0]["pattern"].get("Regex", "")
        if regex in SPLITS:
            return SPLITS[regex]
    raise _unknown(f"the pre-tokenizer {', '.join(kinds)}")


def _unknown(what: str) -> ModelError:
    return ModelError(
        f"the tokenizer of this base has {what}, for which GGUF export has no name",
        hint=f"supported: {KNOWN}; take --format merged or peft for others",
    )
