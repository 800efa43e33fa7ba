"""Token dropout leaves out words of users alone, other ones each epoch, and the same ones after a restart."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from burnish.config import Settings, TrainSettings
from burnish.model.base import Base
from burnish.records import Task
from burnish.train.batch import Row
from burnish.train.dropout import thinned
from burnish.train.run import train
from burnish.tune.search import token_dropout
from tests.child import KILLED, in_child
from tests.train.conftest import MakeJob
from tests.train.test_resume import files_of


def rest(row: Row, part: Sequence[bool], *, wanted: bool) -> list[int]:
    return [token for token, inside in zip(row.tokens, part, strict=True) if inside is wanted]


def test_only_the_users_tokens_are_left_out_and_about_the_share_that_was_asked_for(rows: tuple[Row, ...]) -> None:
    thin = thinned(rows, 0.3, seed=0, epoch=0)
    for before, after in zip(rows, thin, strict=True):
        assert rest(after, after.asked, wanted=False) == rest(before, before.asked, wanted=False)
        assert rest(after, after.learned, wanted=True) == rest(before, before.learned, wanted=True)
    asked = sum(sum(row.asked) for row in rows)
    left = sum(sum(row.asked) for row in thin) / asked
    assert left == pytest.approx(0.7, abs=4 * (0.21 / asked) ** 0.5)  # four standard errors of a share of 0.7


def test_seed_and_epoch_alone_decide_what_is_left_out(rows: tuple[Row, ...]) -> None:
    drawn = {place: [row.tokens for row in thinned(rows, 0.3, seed=place[0], epoch=place[1])] for place in
             [(0, 0), (0, 1), (1, 0)]}  # fmt: skip
    assert drawn[0, 0] == [row.tokens for row in thinned(rows, 0.3, seed=0, epoch=0)]
    assert drawn[0, 0] != drawn[0, 1]
    assert drawn[0, 0] != drawn[1, 0]


def test_rows_whose_user_tokens_are_not_known_stay_whole(rows: tuple[Row, ...]) -> None:
    bare = [replace(row, asked=()) for row in rows]
    assert thinned(bare, 0.9, seed=0, epoch=0) == bare
    assert thinned(rows, 0.0, seed=0, epoch=0) is rows


def test_a_killed_run_with_dropout_ends_with_the_same_bytes(job: MakeJob) -> None:
    whole = replace(job(folder="whole"), token_dropout=0.3)
    expected = train(whole)
    assert expected != train(job(folder="plain"))
    killed = replace(job(), token_dropout=0.3)
    assert in_child(lambda: train(killed), "train.step=kill@7") == KILLED
    assert train(killed) == expected
    assert files_of(killed.folder) == files_of(whole.folder)


def test_auto_leaves_out_words_only_for_labels_on_a_small_base(base: Base) -> None:
    assert token_dropout(Settings(), Task(kind="label"), base) == 0.15
    assert token_dropout(Settings(), Task(kind="text"), base) == 0.0
    assert token_dropout(Settings(), Task(kind="fields"), base) == 0.0
    asked = Settings(train=TrainSettings(token_dropout=0.4))
    assert token_dropout(asked, Task(kind="text"), base) == 0.4
