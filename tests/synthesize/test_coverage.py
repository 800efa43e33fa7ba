"""Coverage figures are those of their definitions where rows can be counted by hand, and tell poor sets from good."""

import math
import random

import numpy as np
import pytest

from benchmarks.guards import Source
from burnish.errors import DataError
from burnish.synthesize.coverage import measure_coverage, vendi_score

SOURCE = Source()


def texts(count, seed, labels=40):
    draw = random.Random(seed)
    return [SOURCE.text(draw, at % labels) for at in range(count)]


@pytest.mark.parametrize("order", [0.1, 0.5, 1.0, 2.0])
def test_the_vendi_score_counts_kinds_that_share_nothing(order):
    of_four_kinds = np.kron(np.eye(4), np.ones((5, 5)))
    assert vendi_score(np.eye(7), order) == pytest.approx(7)
    assert vendi_score(np.ones((7, 7)), order) == pytest.approx(1)
    assert vendi_score(of_four_kinds, order) == pytest.approx(4)


def test_the_order_of_the_vendi_score_decides_what_rare_kinds_count():
    # Nine rows of one kind and one of another: eigenvalues 0.9 and 0.1 by hand.
    kernel = np.eye(10)
    kernel[:9, :9] = 1
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert vendi_score(kernel) == pytest.approx(math.exp(entropy))
    assert vendi_score(kernel, 0.1) == pytest.approx((0.9**0.1 + 0.1**0.1) ** (1 / 0.9))


def test_recall_and_precision_are_shares_within_the_distance_of_real_neighbours():
    # Real rows stand at angles 0 to 9 degrees; each has a neighbour at 1 degree, so eps is that of 1 degree.
    angles = {f"row{at}": math.radians(at) for at in range(10)}
    angles |= {f"made{at}": math.radians(one) for at, one in enumerate([0, 1, 2, 3, 0, 1, 2, 3, 60, 70])}

    def embed(rows):
        return np.array([[math.cos(angles[row]), math.sin(angles[row])] for row in rows])

    names = list(angles)
    found = measure_coverage(names[:10], names[10:], embed=embed, classify=False)
    assert found.eps == pytest.approx(1 - math.cos(math.radians(1)))
    assert (found.recall.value, found.recall.n) == (0.5, 10)  # 0 to 4 degrees.
    assert found.precision.value == 0.8
    assert found.auc is None


def test_rows_of_the_same_source_pass_and_rows_of_few_kinds_do_not():
    real = texts(300, 1)
    same, few = measure_coverage(real, texts(300, 2)), measure_coverage(real, texts(300, 3, labels=4))
    # Of the same source 0.9 are covered by definition; a tenth of the labels can cover little more than a tenth.
    assert same.recall_equal.high >= 0.9 > 0.5 > few.recall_equal.high
    assert same.vendi_ratio == pytest.approx(1, abs=0.1)
    # Ten words drawn from thousands make rows of one label differ, so fewer labels are a small fall of this score.
    assert few.vendi_ratio < same.vendi_ratio
    # Folds of a few rows lean below 0.5 where nothing tells the two apart: a word that the fitted rows have more of,
    # the others have less of. So only a figure above it would say something.
    assert same.auc.low <= 0.5
    assert few.auc.low > 0.75


def test_rows_that_repeat_few_texts_are_less_varied():
    found = measure_coverage(texts(200, 1), texts(10, 2) * 20, classify=False)
    # At most 10 kinds of 200 rows; the real ones are fewer kinds than rows, since they share words.
    assert found.vendi_ratio <= 10 / 100


def test_words_that_only_synthetic_rows_have_are_named():
    marked = [f"{text} kindly advise" for text in texts(100, 2)]
    found = measure_coverage(texts(100, 1), marked)
    assert found.auc.value > 0.99
    assert "kindly" in found.telling.synthetic
    assert "kindly" not in found.telling.real


def test_the_same_seed_gives_the_same_figures():
    assert measure_coverage(texts(80, 1), texts(120, 2), seed=4) == measure_coverage(
        texts(80, 1), texts(120, 2), seed=4
    )


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="100 real and 9 synthetic rows are too few"):
        measure_coverage(texts(100, 1), texts(9, 2))
