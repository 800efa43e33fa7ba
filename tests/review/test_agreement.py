"""Agreement against published examples, scikit-learn and formulas written out by hand."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from burnish.review.agreement import Rating, answers_of, cohen_kappa, fleiss_kappa, krippendorff_alpha

KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C: four observers, twelve units."""

FLEISS = """
0 0 0 0 14
0 2 6 4 2
0 0 3 5 6
0 3 9 2 0
2 2 8 1 1
7 7 0 0 0
3 2 6 3 0
2 5 3 2 2
6 5 2 1 0
0 2 2 3 7
"""
"""The worked example of Fleiss' kappa: ten subjects, fourteen raters, five categories, kappa 0.210."""


def units() -> list[list[str]]:
    rows = [line.split() for line in KRIPPENDORFF.split("\n") if line]
    return [[value for value in unit if value != "."] for unit in zip(*rows, strict=True)]


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_the_published_one_with_missing_answers(level, published):
    found = krippendorff_alpha(units(), level)
    assert found.value == pytest.approx(published, abs=5e-4)
    assert (found.n, found.low) == (11, None)  # one unit has a single answer; eleven carry no interval


def test_fleiss_kappa_is_the_published_one():
    counts = [[int(cell) for cell in line.split()] for line in FLEISS.split("\n") if line]
    answers = [[str(kind) for kind, count in enumerate(row) for _ in range(count)] for row in counts]
    assert fleiss_kappa(answers).value == pytest.approx(0.210, abs=5e-4)


def test_cohen_kappa_is_the_one_by_hand():
    # 50 grant applications: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no; seen 0.7, by chance 0.5, so kappa 0.4.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs).value == pytest.approx(0.4)


def test_cohen_kappa_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    for kinds in (2, 3, 7):
        one = random.integers(0, kinds, 80)
        other = np.where(random.random(80) < 0.5, one, random.integers(0, kinds, 80))
        found = cohen_kappa([(str(a), str(b)) for a, b in zip(one, other, strict=True)])
        assert found.value == pytest.approx(cohen_kappa_score(one, other))
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high


def test_alpha_of_two_complete_raters_nears_fleiss_kappa_as_items_grow():
    random = np.random.default_rng(1)
    one = random.integers(0, 3, 400)
    other = np.where(random.random(400) < 0.6, one, random.integers(0, 3, 400))
    answers = [(str(a), str(b)) for a, b in zip(one, other, strict=True)]
    # by Krippendorff: alpha = 1 - (1 - 1 / 2N)(1 - pi), pi being Scott's and so Fleiss' kappa of two raters
    kappa = fleiss_kappa(answers).value
    assert krippendorff_alpha(answers).value == pytest.approx(1 - (1 - 1 / 800) * (1 - kappa))


def test_ordinal_order_can_be_told():
    answers = [("low", "mid"), ("mid", "high"), ("low", "low"), ("high", "high"), ("mid", "mid"), ("low", "mid")]
    told = krippendorff_alpha(answers, "ordinal", order=("low", "mid", "high")).value
    as_numbers = [[str(("low", "mid", "high").index(value)) for value in pair] for pair in answers]
    assert told == krippendorff_alpha(as_numbers, "ordinal").value
    assert told > krippendorff_alpha(answers, "ordinal").value  # by name: high, low, mid


def test_one_value_only_and_full_agreement_claim_no_interval():
    assert cohen_kappa([("a", "a")] * 50).value is None
    assert krippendorff_alpha([("a", "a")] * 50).value is None
    perfect = krippendorff_alpha([("a", "a"), ("b", "b")] * 25)
    assert (perfect.value, perfect.low, perfect.high) == (1.0, None, None)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    # two raters who each tell one of two equally common labels with 85%: kappa (0.745 - 0.5) / 0.5 = 0.49
    random = np.random.default_rng(2)
    held = 0
    for seed in range(100):
        truth = random.integers(0, 2, 60)
        seen = [np.where(random.random(60) < 0.85, truth, 1 - truth) for _ in range(2)]
        found = cohen_kappa([(str(a), str(b)) for a, b in zip(*seen, strict=True)], seed=seed)
        held += found.low <= 0.49 <= found.high
    assert held / 100 > 0.89  # 95% less two standard errors of 100 draws and the bootstrap's known 1 to 2 points


def test_answers_of_one_item_are_drawn_together():
    # four copies of each pair under one item's name say no more than one: the interval stays as wide
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    once = cohen_kappa(pairs)
    copied = cohen_kappa(pairs * 4, [f"{index % 50:02d}" for index in range(200)])
    alone = cohen_kappa(pairs * 4)
    assert copied.n == 50
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.1)
    assert alone.high - alone.low < 0.6 * (once.high - once.low)


def test_nobody_agrees_with_themselves():
    ratings = [Rating("a", "ann", "y"), Rating("a", "ann", "n"), Rating("a", "bob", "y")]
    assert answers_of(ratings) == [("n", "y")]  # the last answer of each


def test_answers_are_collected_by_item():
    ratings = [Rating("a", "ann", "y"), Rating("b", "ann", "n"), Rating("a", "bob", "n")]
    assert answers_of(ratings) == [("y", "n"), ("n",)]
