"""The floors that the benchmarks divide by: counted by hand, and against what the engine does."""

import random
import re

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.arithmetic import Shape, Work, shape_of, step_bytes, step_flops, work_of
from burnish.config import LoraSettings, TrainSettings
from burnish.fakes import tiny_base
from burnish.records import Candidate
from burnish.train.batch import Row, batch_of, target_weight
from burnish.train.job import TrainJob
from burnish.train.trainee import trainee_of

SMALL = Shape(layers=1, hidden=2, heads=1, key_heads=1, head_size=2, mlp=3, vocab=5)


def made_rows(count: int, *, vocab: int, length: int = 12) -> list[dict]:
    drawn = random.Random(0)
    rows = []
    for _ in range(count):
        tokens = [1, 2, *(drawn.randrange(3, vocab) for _ in range(length))]
        rows.append({"tokens": tokens, "learned": [place > 8 for place in range(len(tokens))]})
    return rows


def test_one_layer_counts_as_it_does_by_hand():
    # 3 nodes, 1 of them wanted, which sees 3; rank 1. One layer is the first and the last at once.
    work = Work(nodes=3, wanted=1, pairs=6, wanted_pairs=3)
    head = 4 * 1 * 2 * 5
    keys = 2 * (2 * 3 * ((4 + 4) + (4 + 2)))  # k and v: W and both factors there; back dA, dB and dy B, no dx
    query = 2 * 1 * ((4 + 4) + (4 + 2))
    out = 2 * 1 * ((4 + 4) + (4 + 4 + 4))
    gate_up = 2 * (2 * 1 * ((6 + 5) + (6 + 5 + 5)))
    down = 2 * 1 * ((6 + 5) + (6 + 5 + 5))
    attention = 12 * 3 * 2
    assert step_flops(SMALL, work, 1) == head + keys + query + out + gate_up + down + attention


def test_a_step_moves_the_frozen_weights_twice_in_each_portion_and_the_optimiser_state_once():
    frozen, adapter = 4 * 4 + 3 * 6 + 10, 4 * 4 + 3 * 5
    assert step_bytes(SMALL, 1, weight_bytes=2) == 2 * 2 * frozen + 16 * adapter + 28 * adapter
    assert step_bytes(SMALL, 1, weight_bytes=2, portions=3) == 3 * (4 * frozen + 16 * adapter) + 28 * adapter


def test_shared_beginnings_and_what_follows_the_last_target_count_as_the_engine_lays_them():
    rows = made_rows(6, vocab=40)
    rows[1] = {"tokens": [*rows[0]["tokens"][:11], 7, 7, 7], "learned": [place == 10 for place in range(14)]}
    batch = batch_of([Row(id="", **row) for row in rows])
    found = work_of([rows])
    assert found.nodes == len(batch.histories.tokens_N)
    assert found.wanted == len(batch.wanted_U)
    assert found.pairs == int((batch.histories.position_N + 1).sum())
    assert found.wanted_pairs == int((batch.histories.position_N[batch.wanted_U] + 1).sum())
    assert work_of([rows, rows]) == Work(*(2 * count for count in found))


FIRST = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1, "baddbmm_": 1}
"""Products, and which argument of each is the left factor."""


class Products(TorchDispatchMode):
    """Counts the operations of every matrix product inside; torch's own counter does not know the in-place ones."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in FIRST:
            left, right = args[FIRST[name] :][:2]
            self.total += 2 * left.numel() * right.shape[-1]
        assert name in FIRST or not re.search("mm|attention|linear|conv|dot", name), name
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[int, int, int]:
    """(counted, waste that we know of, done): products of one step of the engine."""
    base = tiny_base()
    rows = made_rows(8, vocab=base.vocab_size)
    candidate = Candidate(name="a", rank=4, alpha=8, lr=1e-3, seed=0)
    learned = [Row(id=str(at), **row) for at, row in enumerate(rows)]
    job = TrainJob(
        base=base,
        rows=learned,
        dev=(),
        candidates=[candidate],
        train=TrainSettings(),
        lora=LoraSettings(),
        seed=0,
        folder=tmp_path_factory.mktemp("job"),
    )
    with trainee_of(job) as trainee, Products() as products:
        loss_G = trainee.losses(learned, [0], weight_sum=target_weight(learned))
        trainee.flat.add_gradients_(loss_G.sum())
    shape, work = shape_of(base.model.config.to_dict()), work_of([rows])
    return step_flops(shape, work, 4), known_waste(shape, work, len(rows) * 13**2), products.total


def known_waste(shape: Shape, work: Work, squares: int) -> int:
    """Whole squares of attention instead of a tree's half ones, and the top layer's queries where nothing is wanted."""
    width = shape.heads * shape.head_size
    pairs = shape.layers * squares - (shape.layers - 1) * work.pairs - work.wanted_pairs
    query = 2 * (2 * shape.hidden * width) + 6 * 4 * (shape.hidden + width)  # rank 4
    return 12 * pairs * width + (work.nodes - work.wanted) * query


def test_the_engine_does_no_less_than_the_floor(measured):
    counted, _, done = measured
    assert counted <= done


def test_the_engine_wastes_no_products_but_those_we_know_of(measured):
    counted, waste, done = measured
    assert done <= counted + waste
