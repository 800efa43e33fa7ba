"""Of several alike the first is kept; what is dropped is dropped for a text that was kept."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.data.dedup import similarity
from burnish.synthesize.duplicates import copies_of, cosine_duplicates, near_duplicates

WORDS = ["claim", "week", "payment", "bank", "letter", "office", "form", "date", "appeal", "wage", "job", "help"]
WORDS += ["card", "state"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS[:5]), min_size=1, max_size=8).map(" ".join), min_size=1, max_size=12)


def test_a_text_that_shares_most_long_runs_with_a_seed_is_a_copy():
    seed = " ".join(WORDS)  # 14 words, 7 runs of 8.
    one_changed_at_the_end = " ".join([*WORDS[:-1], "island"])  # 6 of 8 runs shared.
    changed_in_the_middle = " ".join([*WORDS[:7], "island", *WORDS[8:]])  # No run of 8 is left.
    assert copies_of([seed.upper(), one_changed_at_the_end, changed_in_the_middle], [seed]) == (True, True, False)


def test_a_short_text_is_a_copy_only_word_for_word():
    assert copies_of(["Where is it?", "where is it now"], ["where is it"]) == (True, False)
    assert copies_of(["where is it"], []) == (False,)


@given(TEXTS, st.integers(0, 3), st.sampled_from([0.5, 0.8, 1.0]))
def test_near_duplicates_are_those_that_going_through_all_pairs_finds(texts, num_seeds, threshold):
    num_seeds = min(num_seeds, len(texts))
    kept, dropped = list(range(num_seeds)), set()
    for place in range(num_seeds, len(texts)):
        if any(similarity(texts[place], texts[other]) >= threshold for other in kept):
            dropped.add(place)
        else:
            kept.append(place)
    assert near_duplicates(texts, num_seeds, threshold) == dropped


def vectors_of(count, seed):
    """Unit vectors, every third a small turn of an earlier one."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(count, 24)).astype(np.float32)
    for at in range(3, count, 3):
        rows[at] = rows[draw.integers(at)] + draw.uniform(0, 0.8) * draw.normal(size=24)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("num_seeds", [0, 40])
def test_duplicates_by_vector_are_those_that_going_through_all_pairs_finds(num_seeds):
    vectors = vectors_of(2500, seed=1)  # More than two blocks of rows.
    likeness, kept, dropped = vectors @ vectors.T, list(range(num_seeds)), set()
    for place in range(num_seeds, len(vectors)):
        if kept and likeness[place, kept].max() >= 0.92:
            dropped.add(place)
        else:
            kept.append(place)
    texts = [str(at) for at in range(len(vectors))]
    found = cosine_duplicates(texts, num_seeds, embed=lambda texts: vectors[[int(text) for text in texts]])
    assert len(dropped) > 100
    assert found == dropped


def test_the_same_words_in_another_order_are_duplicates_and_other_words_are_none():
    draw = random.Random(2)
    rows = [" ".join(draw.sample([f"word{at}" for at in range(400)], 9)) for _ in range(300)]
    turned = " ".join(reversed(rows[7].split()))
    assert cosine_duplicates([*rows, turned], 10) == {300}
    assert cosine_duplicates(rows[:1], 0) == frozenset()
