"""Runs of words are the same only where the words are, and shared ones are counted exactly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from burnish.synthesize.runs import hashed_runs, plain_words, run_index, shared_runs

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=12), min_size=1, max_size=6)


def runs_by_hand(words, sizes):
    return {tuple(words[at : at + size]) for size in sizes for at in range(len(words) - size + 1)}


@given(TEXTS, TEXTS, st.sets(st.integers(1, 5), min_size=1))
def test_shared_runs_are_those_that_sets_of_words_share(known, asked, sizes):
    index = run_index(hashed_runs(known, tuple(sizes)), len(known))
    shared = shared_runs(index, hashed_runs(asked, tuple(sizes)), len(asked))
    found = np.zeros((len(asked), len(known)))
    found[shared.rows, shared.texts] = shared.amount
    by_hand = [[len(runs_by_hand(row, sizes) & runs_by_hand(text, sizes)) for text in known] for row in asked]
    assert found.tolist() == by_hand


@given(TEXTS, st.sets(st.integers(1, 5), min_size=1))
def test_runs_of_each_text_are_counted_once(texts, sizes):
    runs = hashed_runs(texts, tuple(sizes))
    assert runs.counts(len(texts)).tolist() == [len(runs_by_hand(text, sizes)) for text in texts]


def test_another_key_gives_other_hashes():
    words = [["where", "is", "my", "payment"]]
    one, other = hashed_runs(words, (1, 2), b"one"), hashed_runs(words, (1, 2), b"other")
    assert not set(one.hashes.tolist()) & set(other.hashes.tolist())
    assert hashed_runs(words, (1, 2), b"one").hashes.tolist() == one.hashes.tolist()


def test_a_text_without_words_counts_by_its_signs():
    assert plain_words(" ?! ") == ["?", "!"]
    assert plain_words("The CLAIM, please") == ["the", "claim", "please"]
