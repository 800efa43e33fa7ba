"""Slices of columns and of texts: where they come from, against brute force and against a reference."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from burnish.diagnose.metadata import declared_places, min_support, sliced_places
from burnish.diagnose.rows import rows_of
from burnish.diagnose.topics import Vectors, silhouette, text_places
from burnish.diagnose.words import content_terms, distinctive_terms, form_of, length_edges
from burnish.errors import DataError
from tests.diagnose.rows import columns_at_random, evaluation, sentences, texts_of


def _rows(scores, columns, texts=(), prefix="a", **more):
    one = evaluation(scores, columns, prefix=prefix, **more)
    return rows_of(one, texts_of(one, texts))


def _slice_score(members_N, error_N):
    """SliceLine's score, read off the paper's formula."""
    n, size = len(error_N), members_N.sum()
    return 0.95 * (error_N[members_N].mean() / error_N.mean() - 1) - 0.05 * (n / size - 1)


def test_the_shortlist_is_what_brute_force_over_all_pairs_finds():
    random = np.random.default_rng(0)
    columns = columns_at_random(random, 400, ("x", "y", "z"), 3)
    error_N = (random.random(400) < [0.5 if row["x"] == "v1" and row["y"] == "v2" else 0.2 for row in columns]) * 1.0
    rows = _rows(1 - error_N, columns)
    _, found = sliced_places(rows, rows)
    members = {(f"{c}={v}",): np.array([r[c] == v for r in columns]) for c in "xyz" for v in ("v0", "v1", "v2")}
    scores = {name: _slice_score(rows_N, error_N) for name, rows_N in members.items()}
    wanted = {name: score for name, score in scores.items() if score > 0}
    singles = list(members)
    for at, one in enumerate(singles):
        for other in singles[at + 1 :]:
            both_N = members[one] & members[other]
            if both_N.sum() >= 20:
                score = _slice_score(both_N, error_N)
                if score > max(scores[one], scores[other], 0):
                    wanted[one + other] = score
    assert [place.name for place in found] == [" & ".join(key) for key in sorted(wanted, key=lambda key: -wanted[key])]
    assert found[0].name == "x=v1 & y=v2"


def test_a_slice_needs_20_rows_or_a_hundredth_and_less_in_small_sets():
    assert [min_support(n) for n in (20, 45, 100, 200, 1000, 2000, 10_000)] == [5, 5, 10, 20, 20, 20, 100]


def test_declared_slices_are_the_values_of_their_columns_and_the_expected_answers():
    columns = [{"channel": "web" if at % 3 else "phone"} for at in range(30)]
    rows = _rows([1.0] * 30, columns, metric="accuracy", expected=["refund" if at < 8 else "card" for at in range(30)])
    assert [place.name for place in declared_places(rows, rows, ("channel",))] == [
        "answer=card",
        "answer=refund",
        "channel=phone",
        "channel=web",
    ]


def test_a_declared_column_that_no_row_has_is_refused_by_name():
    rows = _rows([1.0] * 10, [{"channel": "web"}] * 10)
    with pytest.raises(DataError, match="'region'") as refused:
        declared_places(rows, rows, ("region",))
    assert "channel" in refused.value.hint


def test_the_form_of_a_text_is_read_off_it():
    assert form_of("WHY is my refund of $20 late since March 3?", (3, 6)) == {
        "text.length": "7 words and more",
        "text.digits": "yes",
        "text.date": "yes",
        "text.capitals": "yes",
        "text.question": "yes",
    }
    assert form_of("ok thanks", (3, 6))["text.length"] == "0 to 3 words"
    assert form_of("where is my card", (3, 6))["text.length"] == "4 to 6 words"


def test_lengths_are_cut_into_parts_of_about_equal_size():
    texts = [" ".join(["word"] * count) for count in range(1, 101)]
    edges = length_edges(texts)
    sizes = np.bincount([sum(len(text.split()) > edge for edge in edges) for text in texts])
    assert sizes.tolist() == [25, 25, 25, 25]


def test_terms_name_what_sets_texts_apart_and_not_what_all_have():
    texts = ["please appeal the deadline"] * 5 + ["please move the appeal"] * 5 + ["please block the card"] * 30
    inside_N = np.arange(40) < 10
    found = distinctive_terms([content_terms(text) for text in texts], inside_N)
    assert found[0] == "appeal"
    assert "card" not in found


def test_the_silhouette_is_that_of_scikit_learn():
    random = np.random.default_rng(1)
    x_ND = random.normal(size=(60, 5))
    x_ND /= np.linalg.norm(x_ND, axis=1, keepdims=True)
    cluster_N = np.r_[random.integers(3, size=59), 3]  # the last row is alone in its cluster
    assert silhouette(x_ND @ x_ND.T, cluster_N) == pytest.approx(silhouette_score(x_ND, cluster_N, metric="cosine"))


def test_texts_of_two_kinds_are_told_apart_and_dev_b_follows_by_nearness():
    random = np.random.default_rng(2)
    kinds = (["refund", "money", "invoice", "charge", "paid"], ["password", "login", "locked", "reset", "code"])
    texts = [sentences(random, 60, kind) for kind in kinds]
    a = _rows([1.0] * 120, [{}] * 120, texts[0] + texts[1])
    b = _rows([1.0] * 40, [{}] * 40, texts[1][:20] + texts[0][:20], prefix="b")
    places = text_places(a, b, None, 0)
    about_money = next(place for place in places if (place.in_a_N == (np.arange(120) < 60)).all())
    assert (about_money.in_b_N == (np.arange(40) >= 20)).all()
    assert set(about_money.terms) <= set(kinds[0])


def test_slices_of_texts_ignore_scores():
    random = np.random.default_rng(3)
    texts = sentences(random, 100)
    one, other = (_rows(scores, [{}] * 100, texts) for scores in ([1.0] * 100, [0.0, 1.0] * 50))
    for left, right in zip(text_places(one, one, None, 0), text_places(other, other, None, 0), strict=True):
        assert left.name == right.name
        assert (left.in_a_N == right.in_a_N).all()


@pytest.mark.parametrize("texts", [["same words every time"] * 60, [""] * 60, [f"w{at} x{at}" for at in range(60)]])
def test_texts_that_are_all_alike_or_share_nothing_have_no_slices(texts):
    rows = _rows([1.0] * 60, [{}] * 60, texts)
    assert text_places(rows, rows, None, 0) == []


def test_embeddings_of_the_caller_are_used_in_the_order_of_its_rows():
    random = np.random.default_rng(4)
    is_left = random.random(80) < 0.5
    embedding_ND = np.where(is_left[:, None], [[1.0, 0.0]], [[0.0, 1.0]]) + random.normal(0, 0.05, (80, 2))
    texts = ["left side story" if left else "right wing tale" for left in is_left]
    columns = [{}] * 80
    backwards = evaluation([1.0] * 80, columns, prefix="a")
    turned = replace(backwards, rows=backwards.rows[::-1])
    rows = rows_of(turned, texts_of(backwards, texts))
    vectors = Vectors(embedding_ND[::-1], embedding_ND[::-1])
    places = text_places(rows, rows, vectors, 0)
    assert any((place.in_a_N == is_left).all() for place in places)
