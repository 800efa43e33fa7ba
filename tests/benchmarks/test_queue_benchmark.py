"""The benchmark of the review queue works a small queue whole, and its check of the log finds what is wrong."""

import pytest

from benchmarks.review_queue import LABELS, fill
from benchmarks.ui import Crowd, Reviewed, check_log, measured
from burnish.store.claims import Wish, decide_item
from burnish.store.reviews import review_log
from burnish.store.store import open_store


def test_every_decision_of_reviewers_at_once_is_in_the_log_once():
    found = measured(60, [Crowd(1, 0.0), Crowd(4, 0.0)], 12)
    assert [one["decisions"] for one in found["crowds"]] == [12, 12]
    assert found["kept"] == 4 + 2 * 12  # each reviewer once to begin with
    assert found["alone"]["cpu"] > 0
    spread = found["crowds"][1]["next_ms"]
    assert 0 < spread["p50"] <= spread["longest"]


def test_a_decision_that_is_not_in_the_log_is_told(tmp_path):
    store = open_store(tmp_path)
    fill(store, 20, ["ann", "bob"])
    before = len(review_log(store))
    decide_item(store, "item-0000000", "ann", 1, Wish("label", LABELS[0]), now_s=0)
    kept = Reviewed([], [], [("item-0000000", 1)])
    assert check_log(store, [("ann", kept)], before) == 1
    with pytest.raises(AssertionError, match="1 decisions are lost, 1 are strange"):
        check_log(store, [("ann", Reviewed([], [], [("item-0000001", 1)]))], before)
