"""What a base prefers without a message is taken away before it is asked."""

from dataclasses import replace

import pytest

from burnish.evaluate.calibrated import calibrated_score
from burnish.evaluate.run import evaluate
from burnish.fakes import small_examples, tiny_base
from burnish.model.base import Base
from burnish.records import Task
from burnish.talk import Silence

TASK = Task(labels=("address", "appeal", "payment"))


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base()


def test_a_favourite_label_no_longer_wins_every_row(base):
    rows = small_examples(30)
    said = evaluate(base, TASK, rows, model_name="base", model_hash="", talk=Silence())
    found = calibrated_score(base, TASK, rows, ())
    assert len({row.output for row in said.rows}) == 1
    assert found.n == 30
    assert found.value != said.overall.value


def test_rows_without_room_are_left_out(base):
    long = small_examples(3)
    turns = tuple(
        type(turn)(role=turn.role, content="x " * 9000 if turn.role == "user" else turn.content)
        for turn in long[0].messages
    )
    rows = [replace(long[0], messages=turns), *long[1:]]
    assert calibrated_score(base, TASK, rows, ()).n == 2
    assert calibrated_score(base, TASK, rows[:1], ()).value is None
