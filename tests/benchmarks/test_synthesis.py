"""The pure parts of the experiment on synthetic rows: cutting, equal tokens, the share of the gap that is closed."""

from collections import Counter

import pytest

from benchmarks.labelled import FEWEST, MOST
from benchmarks.synthesis import ORACLE, SEED_ONLY, cut, equal_epochs, gap_closed
from burnish.records import Example, Message


def rows(prefix: str, count: int) -> list[Example]:
    return [
        Example(
            id=f"{prefix}-{label}-{number}",
            group=f"{prefix}-{label}-{number}",
            messages=(
                Message(role="user", content=f"{prefix} {label} {number}"),
                Message(role="assistant", content=label),
            ),
        )
        for label in "abcdef"
        for number in range(count)
    ]


def test_a_third_of_the_labels_is_rare_and_the_rows_taken_out_are_those_put_back():
    train = rows("train", 30)
    found = cut(train, rows("dev", 20), rows("test", 5), seed=1)
    counts = Counter(row.answer for row in found.train)
    assert len(found.rare) == 2
    assert all(FEWEST <= counts[label] <= MOST for label in found.rare)
    assert all(counts[label] == 30 for label in counts.keys() - found.rare)
    assert {row.id for row in (*found.train, *found.put_back)} == {row.id for row in train}
    assert {row.answer for row in found.put_back} == found.rare
    assert len(found.test) == 30


def test_dev_rows_of_rare_labels_are_cut_in_proportion():
    found = cut(rows("train", 30), rows("dev", 20), [], seed=1)
    had, dev = Counter(row.answer for row in found.train), Counter(row.answer for row in found.dev)
    assert all(dev[label] == max(1, round(20 * had[label] / 30)) for label in found.rare)


def test_another_seed_cuts_other_rows_and_the_same_seed_the_same():
    first, again, other = (cut(rows("train", 30), [], [], seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert {row.id for row in first.train} != {row.id for row in other.train}


def test_arms_see_the_tokens_of_the_largest_up_to_half_an_epoch():
    assert equal_epochs({"small": 100, "large": 250}, 8) == {"small": 20, "large": 8}


def test_the_share_of_the_gap_is_that_of_the_sums_and_its_interval_holds_it():
    groups = [f"row{number}" for number in range(100)]
    scores = {
        SEED_ONLY: [1.0] * 20 + [0.0] * 80,
        "targeted": [1.0] * 50 + [0.0] * 50,
        ORACLE: [1.0] * 80 + [0.0] * 20,
    }
    closed = gap_closed(scores, "targeted", groups)
    assert closed is not None
    found, low, high = closed
    assert found == pytest.approx(0.5)
    assert 0.3 < low < 0.5 < high < 0.7


def test_no_share_is_told_of_a_gap_that_is_not_shown():
    scores = {SEED_ONLY: [1.0, 0.0] * 30, "targeted": [1.0] * 60, ORACLE: [0.0, 1.0] * 29 + [1.0, 1.0]}
    assert gap_closed(scores, "targeted", [f"row{number}" for number in range(60)]) is None


def test_scores_of_one_row_under_several_seeds_are_drawn_together():
    """Repeating every row under a second seed adds nothing to know, so the interval must not shrink."""
    groups = [f"row{number}" for number in range(60)]
    scores = {
        SEED_ONLY: [0.0] * 60,
        "targeted": [1.0, 0.0] * 30,
        ORACLE: [1.0] * 60,
    }
    once = gap_closed(scores, "targeted", groups)
    twice = gap_closed({arm: [*own, *own] for arm, own in scores.items()}, "targeted", groups * 2)
    assert once == pytest.approx(twice)
