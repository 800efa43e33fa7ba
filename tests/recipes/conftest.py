"""A corpus of some hundred short texts, a plan that takes a fraction of a second, and what is prepared from them."""

import json
from pathlib import Path

import numpy as np
import pytest

from burnish.talk import Silence
from recipes.base.corpus import Corpus
from recipes.base.documents import Data, prepare
from recipes.base.plan import Plan
from recipes.base.shape import Shape

HELD_OUT = 6
PLAN = Plan(
    shape=Shape(layers=2, hidden=32, heads=2, feed_forward=48, vocab=320, positions=256),
    tokens=6 * 4 * 32,
    context=32,
    rows=4,
    micro_rows=2,
    lr=0.01,
    dropout=0.1,
    warmup_steps=2,
    held_out_lines=HELD_OUT,
)
WORDS = "the claim was paid on monday and please tell me how to appeal a decision about my benefits in another state"


def some_texts(count: int = 120) -> list[str]:
    """Every third text is a dialogue, every tenth is much longer than a row."""
    drawn = np.random.default_rng(7)
    texts = []
    for number in range(count):
        words = " ".join(drawn.choice(WORDS.split(), 400 if number % 10 == 0 else drawn.integers(3, 20)))
        is_talk = number % 3 == 1
        texts.append(
            f"<|im_start|>user\n{words}<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n" if is_talk else words
        )
    return texts


def write_corpus(path: Path, texts: list[str]) -> Path:
    """The texts as a corpus file."""
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(write_corpus(tmp_path_factory.mktemp("corpus") / "texts.jsonl", some_texts()), HELD_OUT)


@pytest.fixture(scope="session")
def data(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Data:
    return prepare(corpus, PLAN, tmp_path_factory.mktemp("prepared"), Silence())
