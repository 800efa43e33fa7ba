"""The recipe's texts: cut into tokens without loss, held-out lines never read, packed so that nothing sees another."""

import json
import lzma
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.errors import ConfigError, DataError
from burnish.talk import Silence
from recipes.base.corpus import Corpus
from recipes.base.documents import Data, prepare
from recipes.base.feed import Feed, lap_rows
from recipes.base.llama import Llama
from recipes.base.packing import IGNORED, Piece, batch_of, cut, pack
from recipes.base.plan import Plan
from recipes.base.shape import SHAPES, Shape
from recipes.base.tokenizer import MARKS, train_tokenizer
from tests.recipes.conftest import HELD_OUT, PLAN, some_texts, write_corpus


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60) | st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")))
def test_every_text_comes_back_as_it_was(data: Data, text: str) -> None:
    ids = data.tokenizer.encode(text).ids
    assert data.tokenizer.decode(ids, skip_special_tokens=False) == text
    assert max(ids, default=0) < PLAN.shape.vocab


def test_marks_are_the_first_tokens_and_every_byte_has_one() -> None:
    tokenizer = train_tokenizer(["<|im_start|>user\nnothing 2026<|im_end|>\n"] * 9, 300)
    assert [tokenizer.token_to_id(mark) for mark in MARKS] == [0, 1, 2, 3]
    assert tokenizer.encode("<|im_start|>").ids == [2]
    assert len(tokenizer.encode("2026").ids) == 4  # digits stand alone
    assert tokenizer.get_vocab_size() >= 256 + len(MARKS)


def test_held_out_lines_change_nothing_that_training_reads(tmp_path: Path) -> None:
    prepared = []
    for name, ending in (("one", "zyzzyva " * 30), ("two", "the end")):
        texts = [*some_texts()[:-HELD_OUT], *[ending] * HELD_OUT]
        corpus = Corpus(write_corpus(tmp_path / f"{name}.jsonl", texts), HELD_OUT)
        assert list(corpus.training_texts()) == texts[:-HELD_OUT]
        assert corpus.held_out_texts() == [ending] * HELD_OUT
        prepare(corpus, PLAN, tmp_path / name, Silence())
        prepared.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert prepared[0] == prepared[1]
    assert set(prepared[0]) == {"tokenizer.json", "tokenizer_config.json", "documents.safetensors"}


def test_a_packed_corpus_reads_as_a_plain_one(tmp_path: Path, corpus: Corpus) -> None:
    (tmp_path / "texts.jsonl.xz").write_bytes(lzma.compress(corpus.path.read_bytes()))
    assert list(Corpus(tmp_path / "texts.jsonl.xz", HELD_OUT).training_texts()) == list(corpus.training_texts())


@settings(max_examples=60, deadline=None)
@given(widths=st.lists(st.integers(1, 32), max_size=60))
def test_rows_hold_each_piece_once_and_waste_little(widths: list[int]) -> None:
    rows = pack([Piece(0, width + 1) for width in widths], 32)
    assert Counter(piece.width for row in rows for piece in row) == Counter(widths)
    filled = [sum(piece.width for piece in row) for row in rows]
    assert all(width <= 32 for width in filled)
    # a row is only begun with a piece that fits into no other
    assert all(one + other > 32 for one, other in combinations(filled, 2))


def test_a_lap_learns_every_token_once_but_the_first_of_each_document(data: Data) -> None:
    documents = data.documents
    for lap in (0, 1):
        pieces = [piece for row in lap_rows(documents, PLAN, 0, lap) for piece in row]
        learned = Counter(place for piece in pieces for place in range(piece.start + 1, piece.end))
        assert set(learned.values()) == {1}
        num_rows = len(lap_rows(documents, PLAN, 0, lap))
        assert len(learned) > 0.95 * num_rows * PLAN.context
        assert set(learned) == set(range(documents.num_tokens)) - set(documents.starts[:-1].tolist())


def test_dialogues_come_oftener_in_the_decay_phase(data: Data) -> None:
    documents = data.documents
    of_place = np.repeat(documents.is_dialogue, np.diff(documents.starts))
    tokens = [
        Counter(
            bool(of_place[place])
            for row in lap_rows(documents, PLAN, phase, 0)
            for piece in row
            for place in range(piece.start + 1, piece.end)
        )
        for phase in (0, 1)
    ]
    assert tokens[1][True] == PLAN.dialogue_weight * tokens[0][True]
    assert tokens[1][False] == tokens[0][False]


def test_laps_cut_and_shuffle_anew_and_the_feed_goes_through_all_of_them(data: Data) -> None:
    assert lap_rows(data.documents, PLAN, 0, 0) == lap_rows(data.documents, PLAN, 0, 0)
    assert lap_rows(data.documents, PLAN, 0, 0) != lap_rows(data.documents, PLAN, 0, 1)
    feed = Feed(data.documents, PLAN)
    rows = [row for lap in (0, 1) for row in lap_rows(data.documents, PLAN, 0, lap)]
    for step in range(len(rows) // PLAN.rows):
        wanted = batch_of(rows[step * PLAN.rows : (step + 1) * PLAN.rows], data.documents.ids, PLAN.context)
        assert torch.equal(feed.next(is_decaying=False).ids_BT, wanted.ids_BT)
    assert feed.place.lap in (1, 2)
    feed.next(is_decaying=True)
    assert feed.place == (1, 0, PLAN.rows)


def test_a_document_in_a_row_is_read_as_if_it_were_alone(data: Data) -> None:
    model = Llama(PLAN.shape, seed=3).eval()
    which = np.arange(len(data.documents.is_dialogue))
    pieces = cut(data.documents, which, PLAN.context, np.random.default_rng(0))
    row = max(pack(pieces, PLAN.context), key=len)
    assert len(row) > 1
    batch = batch_of([row], data.documents.ids, PLAN.context)
    packed_TV = model(batch.ids_BT, batch.position_BT, batch.piece_BT)[0]
    at, alone = 0, []
    for piece in row:
        ids_BT = torch.from_numpy(data.documents.ids[piece.start : piece.end].astype(np.int64))[None]
        alone_TV = model(ids_BT[:, :-1])[0]
        # float32 sums of a few dozen numbers in another order
        torch.testing.assert_close(packed_TV[at : at + piece.width], alone_TV, atol=1e-5, rtol=1e-4)
        alone.append(torch.nn.functional.cross_entropy(alone_TV, ids_BT[0, 1:], reduction="sum"))
        at += piece.width
    torch.testing.assert_close(model.loss(batch), torch.stack(alone).sum(), atol=1e-3, rtol=1e-5)
    assert (batch.target_BT[0, at:] == IGNORED).all()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('"fine"\n{"text": "no"}\n', "line 2 of c.jsonl is no text but dict"),
        ('"fine"\n"  "\n', "line 2 of c.jsonl is no text but an empty text"),
        ("fine\n", "line 1 of c.jsonl is no JSON: 'fine"),
        ('"one"\n"two"\n', "has 2 texts, of which 6 are held out"),
    ],
)
def test_a_bad_corpus_is_told_by_its_line(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "c.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=what) as caught:
        list(Corpus(tmp_path / "c.jsonl", HELD_OUT).training_texts())
    assert caught.value.hint


def test_a_missing_or_broken_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no corpus"):
        list(Corpus(tmp_path / "none.jsonl", 1).training_texts())
    packed = lzma.compress(json.dumps("text " * 5000).encode())
    (tmp_path / "half.jsonl.xz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"half.jsonl.xz is damaged") as caught:
        list(Corpus(tmp_path / "half.jsonl.xz", 1).training_texts())
    assert "Copy the file again" in caught.value.hint


WRONG_PLANS = [
    ({"rows": 5}, "5 rows cannot be taken 2 at a time"),
    ({"context": 257}, "a context of 257 tokens does not fit the model's 256 positions"),
    ({"lr": 0.0}, "lr 0.0"),
    ({"minutes": 0.0}, "nothing can be trained in 0.0 minutes"),
    ({"optimizer": "sgd"}, "no optimizer 'sgd'"),
    ({"held_out_lines": 0}, "held_out_lines is 0"),
]


@pytest.mark.parametrize(("change", "what"), WRONG_PLANS)
def test_a_plan_that_cannot_work_is_refused(change: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        replace(PLAN, **change)  # type: ignore[arg-type]
    assert caught.value.hint


def test_a_shape_knows_its_size() -> None:
    for shape in (SHAPES["10m"], PLAN.shape):
        assert shape.num_weights == sum(weight.numel() for weight in Llama(shape).parameters())
    assert SHAPES["10m"].num_weights == 10_059_840  # of english-10m
    assert 2 * SHAPES["21m"].num_weights < 45e6  # what may ship in bfloat16
    with pytest.raises(ConfigError, match="hidden size 30 does not give 4 heads"):
        Shape(layers=1, hidden=30, heads=4, feed_forward=8)
    with pytest.raises(ConfigError, match="100,000 tokens"):
        Shape(layers=1, hidden=32, heads=2, feed_forward=8, vocab=100_000)
    assert Plan(shape=SHAPES["21m"]).max_steps == 3814
