"""The training texts as one array of token ids, each document closed by the end mark; made once and kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError
from tokenizers import Tokenizer

from burnish.errors import DataError
from burnish.store.files import write_atomic
from burnish.talk import Talk
from recipes.base.corpus import Corpus, is_dialogue
from recipes.base.plan import Plan
from recipes.base.tokenizer import END, prepare_tokenizer

AT_ONCE = 256
"""Texts that are cut into tokens in one call."""
FILE = "documents.safetensors"


class Documents(NamedTuple):
    """Token ids of all documents behind each other."""

    ids: NDArray[np.uint16]
    starts: NDArray[np.int64]
    """Where each document begins, and at last where the last one ends."""
    is_dialogue: NDArray[np.bool_]
    """One for each document."""

    @property
    def num_tokens(self) -> int:
        """All tokens, end marks included."""
        return len(self.ids)


class Data(NamedTuple):
    """What a run learns from, and what it is measured on."""

    corpus: Corpus
    tokenizer: Tokenizer
    documents: Documents
    held_out: Sequence[str]
    """Texts that nothing was learned from."""


def prepare(corpus: Corpus, plan: Plan, folder: Path, talk: Talk) -> Data:
    """Tokenizer and documents of the folder, made first where they are not there yet.

    The folder must belong to one corpus and one vocabulary, which its caller has to see to.
    """
    shape = plan.shape
    path = folder / FILE
    texts = [] if path.exists() else list(corpus.training_texts())
    tokenizer = prepare_tokenizer(folder, texts, shape.vocab, shape.positions, talk)
    if not path.exists():
        write_atomic(path, safetensors.numpy.save(encode(tokenizer, texts, talk)._asdict()))
    return Data(corpus, tokenizer, load_documents(path), corpus.held_out_texts())


def encode(tokenizer: Tokenizer, texts: Sequence[str], talk: Talk) -> Documents:
    """The texts as tokens."""
    end = tokenizer.token_to_id(END)
    ids: list[NDArray[np.uint16]] = []
    flags: list[bool] = []
    with talk.track("tokens", len(texts), "texts") as advance:
        for begin in range(0, len(texts), AT_ONCE):
            batch = texts[begin : begin + AT_ONCE]
            ids += [np.array([*found.ids, end], np.uint16) for found in tokenizer.encode_batch(batch)]
            flags += [is_dialogue(text) for text in batch]
            advance(len(batch), "")
    starts = np.cumsum([0, *(len(each) for each in ids)])
    return Documents(np.concatenate(ids), starts, np.array(flags))


def load_documents(path: Path) -> Documents:
    """What `prepare` has kept. Raises DataError when the file is damaged."""
    try:
        return Documents(**safetensors.numpy.load(path.read_bytes()))
    except (SafetensorError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}", hint="Remove the file; it is made anew.") from error
