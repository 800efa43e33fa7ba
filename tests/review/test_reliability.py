"""Reviewers' accuracy without gold, conflicts and fatigue."""

import numpy as np
import pytest

from burnish.review.agreement import Rating
from burnish.review.reliability import Decided, conflicts, consensus, fatigue

TABLE = (
    "111-1-1-1-1 333-4-3-3-4 112-2-1-2-2 222-3-1-2-1 222-3-2-2-2 222-3-3-2-2 122-2-1-1-1 333-3-4-3-3 222-2-2-2-3 "
    "232-2-2-2-3 444-4-4-4-4 222-3-3-4-3 111-1-1-1-1 222-3-2-1-2 121-1-1-1-1 111-2-1-1-1 111-1-1-1-1 111-1-1-1-1 "
    "222-2-2-2-1 222-1-3-2-2 222-2-2-2-2 222-2-2-2-1 222-3-2-2-2 221-2-2-2-2 111-1-1-1-1 111-1-1-1-1 232-2-2-2-2 "
    "111-1-1-1-1 111-1-1-1-1 112-1-1-2-1 111-1-1-1-1 333-3-2-3-3 111-1-1-1-1 222-2-2-2-2 222-3-2-3-2 433-4-3-4-3 "
    "221-2-2-3-2 232-3-2-3-3 333-3-4-3-2 111-1-1-1-1 111-1-1-1-1 121-2-1-1-1 232-2-2-2-2 121-1-1-1-1 222-2-2-2-2"
)
"""Dawid and Skene 1979, table 1: 45 patients by five anaesthetists, the first of whom looked three times."""


def anaesthetists() -> list[Rating]:
    return [
        Rating(f"{patient:02d}", str(observer), answer)
        for patient, row in enumerate(TABLE.split(), start=1)
        for observer, answers in enumerate(row.split("-"), start=1)
        for answer in answers
    ]


def simulated(
    accuracies: dict[str, float], *, items: int, kinds: int = 3, seed: int = 0
) -> tuple[list[Rating], list[str]]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, kinds, items)
    ratings = []
    for name, accuracy in accuracies.items():
        off = (truth + random.integers(1, kinds, items)) % kinds
        said = np.where(random.random(items) < accuracy, truth, off)
        ratings += [Rating(f"{item:04d}", name, str(value)) for item, value in enumerate(said)]
    return ratings, [str(value) for value in truth]


def literal_em(ratings: list[Rating], steps: int) -> tuple[dict[str, float], dict[tuple[str, str, str], float]]:
    """Equations 2.3 to 2.5 of the paper as they stand, without smoothing: shares, and P(answer | observer, label)."""
    items, people, labels = (sorted({rating[field] for rating in ratings}) for field in range(3))
    said = {(i, j, k): 0 for i in items for j in people for k in labels}
    for rating in ratings:
        said[rating] += 1
    given = {i: sum(said[i, j, k] for j in people for k in labels) for i in items}
    posterior = {(i, q): sum(said[i, j, q] for j in people) / given[i] for i in items for q in labels}
    for _ in range(steps):
        shares = {q: sum(posterior[i, q] for i in items) / len(items) for q in labels}
        joint = {
            (j, q, k): sum(posterior[i, q] * said[i, j, k] for i in items)
            for j in people
            for q in labels
            for k in labels
        }
        rates = {(j, q, k): joint[j, q, k] / sum(joint[j, q, m] for m in labels) for j, q, k in joint}
        for i in items:
            chances = {
                q: shares[q] * np.prod([rates[j, q, k] ** said[i, j, k] for j in people for k in labels])
                for q in labels
            }
            posterior |= {(i, q): chances[q] / sum(chances.values()) for q in labels}
    return shares, rates


def test_the_published_example_comes_out_as_published_and_as_the_equations_say():
    found = consensus(anaesthetists())
    assert found.shares == pytest.approx((0.40, 0.42, 0.11, 0.07), abs=0.01)  # table 2 of the paper
    shares, rates = literal_em(anaesthetists(), 40)
    assert found.shares == pytest.approx(tuple(shares.values()), abs=0.005)  # the smoothing moves them by less
    for one in found.reviewers:
        for q, row in zip(found.labels, one.table, strict=True):
            assert row == pytest.approx([rates[one.reviewer, q, k] for k in found.labels], abs=0.02)
    assert [found.label_of(patient) for patient in ("01", "05", "11")] == ["1", "2", "4"]


def test_known_accuracies_are_recovered():
    known = {"ann": 0.95, "bob": 0.85, "cem": 0.70, "dan": 0.60}
    ratings, truth = simulated(known, items=1000)
    found = consensus(ratings)
    for one in found.reviewers:
        # three standard errors of 1000 answers at 0.6: 0.046
        assert one.accuracy.value == pytest.approx(known[one.reviewer], abs=0.046)
    right = np.mean([found.label_of(f"{item:04d}") == label for item, label in enumerate(truth)])
    assert right > 0.95  # better than its best reviewer is expected to be, since three others help


def test_it_beats_the_majority_where_one_of_three_is_good():
    ratings, truth = simulated({"ann": 0.97, "bob": 0.6, "cem": 0.6}, items=1000, seed=1)
    found = consensus(ratings)
    weighed = np.mean([found.label_of(f"{item:04d}") == label for item, label in enumerate(truth)])
    said = {(rating.item, rating.reviewer): rating.value for rating in ratings}
    majority = [
        said[item, "bob"] if said[item, "bob"] == said[item, "cem"] else said[item, "ann"]
        for item in (f"{item:04d}" for item in range(1000))
    ]
    assert weighed > np.mean([one == label for one, label in zip(majority, truth, strict=True)]) + 0.02


def test_missing_answers_are_no_matter():
    ratings, _ = simulated({"ann": 0.9, "bob": 0.9, "cem": 0.9, "dan": 0.9}, items=1000, seed=2)
    kept = [rating for place, rating in enumerate(ratings) if np.random.default_rng(place).random() < 0.6]
    found = consensus(kept)
    assert all(abs(one.accuracy.value - 0.9) < 0.05 for one in found.reviewers)
    assert found == consensus(list(reversed(kept)))


def test_a_conflict_is_an_item_without_a_majority():
    ratings = [
        *[Rating("tie", "ann", "y"), Rating("tie", "bob", "n")],
        *[Rating("same", "ann", "y"), Rating("same", "bob", "y")],
        *[Rating("settled", "ann", "y"), Rating("settled", "bob", "n"), Rating("settled", "cem", "n")],
        *[Rating("three", "ann", "a"), Rating("three", "bob", "b"), Rating("three", "cem", "c")],
        Rating("single", "ann", "y"),
    ]
    assert [one.item for one in conflicts(ratings)] == ["tie", "three"]
    assert {rating.reviewer for rating in conflicts(ratings)[0].answers} == {"ann", "bob"}


def session(seconds, right) -> list[Decided]:
    return [Decided(place / 2, one, good) for place, (one, good) in enumerate(zip(seconds, right, strict=True))]


def test_a_steady_session_gives_no_notice_and_a_tiring_one_does():
    random = np.random.default_rng(3)
    steady = np.exp(random.normal(3, 0.3, 80))
    calm = fatigue(session(steady, [None] * 80))
    assert (calm.should_rest, calm.words, calm.p_less_right) == (False, "", None)
    slower = fatigue(session(np.concatenate([steady[:40], steady[40:] * 1.6]), [None] * 80))
    assert "longer" in slower.words
    worse = fatigue(session(steady, [True] * 40 + [True, False] * 20))
    assert "right" in worse.words


def test_a_false_notice_comes_no_more_often_than_said():
    random = np.random.default_rng(4)
    said = [
        fatigue(session(np.exp(random.normal(3, 0.4, 60)), (random.random(60) < 0.9).tolist())).should_rest
        for _ in range(200)
    ]
    assert np.mean(said) < 0.09  # 5% and three standard errors of 200 sessions, less Fisher's caution


def test_a_long_session_gives_a_notice_and_a_short_one_is_not_tested():
    assert "90 minutes" in fatigue([Decided(0, 10.0), Decided(90, 10.0)]).words
    assert fatigue([Decided(place, 10.0 + place) for place in range(39)]) == (False, "", None, None)
    assert fatigue([]).should_rest is False
