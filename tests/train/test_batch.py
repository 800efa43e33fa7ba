"""Batches hold every row once, in an order that seed and epoch decide, with targets where they belong."""

import pytest

from burnish.errors import DataError
from burnish.train.batch import Row, batch_of, by_length, check_rows, epoch_order, hash_rows, target_weight


def row(name: str, tokens: list[int], learned: list[int], weight: float = 1.0) -> Row:
    return Row(id=name, tokens=tokens, learned=[place in learned for place in range(len(tokens))], weight=weight)


LENGTHS = [(7 * number) % 31 + 5 for number in range(203)]


def test_an_epoch_holds_every_row_once() -> None:
    order = epoch_order(LENGTHS, batch_size=16, seed=3, epoch=0)
    assert sorted(index for batch in order for index in batch) == list(range(203))
    assert sorted(map(len, order)) == [11] + [16] * 12


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = epoch_order(LENGTHS, batch_size=16, seed=3, epoch=1)
    assert first == epoch_order(LENGTHS, batch_size=16, seed=3, epoch=1)
    assert first != epoch_order(LENGTHS, batch_size=16, seed=3, epoch=2)
    assert first != epoch_order(LENGTHS, batch_size=16, seed=4, epoch=1)


def test_rows_of_a_batch_are_of_like_length() -> None:
    def padding(order: list[list[int]]) -> float:
        cells = sum(max(LENGTHS[index] for index in batch) * len(batch) for batch in order)
        return 1 - sum(LENGTHS) / cells

    unsorted = [list(range(start, min(start + 16, 203))) for start in range(0, 203, 16)]
    assert padding(epoch_order(LENGTHS, batch_size=16, seed=0, epoch=0)) < padding(unsorted) / 3
    assert padding(by_length(LENGTHS, batch_size=16)) < padding(unsorted) / 3


def test_each_target_is_predicted_from_the_history_before_it() -> None:
    rows = [row("a", [5, 6, 7, 8, 9], [2, 3]), row("b", [5, 6, 4], [2], weight=2.0)]
    batch = batch_of(rows)
    histories = batch.histories
    assert histories.tokens_N.tolist() == [5, 6, 7]  # what stands behind the last target is not computed
    assert histories.tokens_N[batch.wanted_U[batch.at_M]].tolist() == [6, 7, 6]
    assert batch.targets_M.tolist() == [7, 8, 4]
    assert batch.weight_M.tolist() == [1.0, 1.0, 2.0]
    assert target_weight(rows) == 4.0


def test_a_first_token_is_no_target() -> None:
    assert batch_of([row("a", [5, 6], [0, 1])]).targets_M.tolist() == [6]
    assert target_weight([row("a", [5, 6], [0, 1])]) == 1.0


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (row("x7", [1, 2, 3], []), "x7 has nothing to learn"),
        (row("x7", [1, 2, 3], [0]), "x7 has nothing to learn"),
        (row("x7", [1, 2], [1], weight=float("nan")), "x7 has weight nan"),
        (Row(id="x7", tokens=[1, 2], learned=[True]), "x7: 2 tokens but 1 marks"),
    ],
)
def test_rows_that_teach_nothing_are_refused_by_name(bad: Row, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        check_rows([row("ok", [1, 2], [1]), bad], name="train")


def test_the_hash_sees_ids_tokens_marks_weights_and_order() -> None:
    a, b = row("a", [1, 2], [1]), row("b", [1, 3], [1])
    changed = [[a], [b, a], [a, row("b", [1, 4], [1])], [a, row("c", [1, 3], [1])], [a, row("b", [1, 3], [0, 1])]]
    changed.append([a, row("b", [1, 3], [1], weight=2.0)])
    hashes = {hash_rows(rows) for rows in [[a, b], *changed]}
    assert len(hashes) == 1 + len(changed)
    assert hash_rows([a, b]) == hash_rows([a, b])
