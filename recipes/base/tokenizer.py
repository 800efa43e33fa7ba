"""The tokenizer: byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909; bytes after Radford et al. 2019, GPT-2).

Digits stand alone, every text can be spelled and comes back as it was, and llama.cpp knows this way of cutting by name.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from burnish.errors import DataError
from burnish.store.files import write_atomic
from burnish.talk import Talk

END, PAD, TURN, END_TURN = "<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"
MARKS = (END, PAD, TURN, END_TURN)
"""Tokens 0, 1, 2 and 3: the end of a document, padding, and ChatML's begin and end of a turn."""
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab: int) -> Tokenizer:
    """A tokenizer of at most `vocab` tokens, learned from texts without their marks."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_unmarked(text) for text in texts), trainer)
    return tokenizer


def _unmarked(text: str) -> str:
    for mark in MARKS:
        text = text.replace(mark, "")
    return text


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, positions: int) -> None:
    """Writes tokenizer.json and tokenizer_config.json, with the ChatML template."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,
        "eos_token": END_TURN,
        "pad_token": PAD,
        "additional_special_tokens": [TURN],
        "model_max_length": positions,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": False,
        "chat_template": TEMPLATE,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
    write_atomic(folder / "tokenizer_config.json", json.dumps(config, indent=2).encode())


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder. Raises DataError when its file is damaged."""
    path = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise DataError(f"{path} cannot be read: {error}", hint="Remove the file; it is made anew.") from error


def prepare_tokenizer(folder: Path, texts: Iterable[str], vocab: int, positions: int, talk: Talk) -> Tokenizer:
    """The folder's tokenizer, or one that is learned from the texts now and kept there."""
    if not (folder / "tokenizer_config.json").exists():
        talk.say(f"learning a tokenizer of {vocab:,} tokens")
        save_tokenizer(train_tokenizer(texts, vocab), folder, positions=positions)
    return load_tokenizer(folder)
