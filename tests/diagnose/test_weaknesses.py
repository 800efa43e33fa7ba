"""Weaknesses that were planted are found, confirmed and ranked; others are not; the order of rows plays no part."""

from dataclasses import replace

import numpy as np
import pytest

from burnish.diagnose.causes import REMEDIES, Cause
from burnish.diagnose.topics import Vectors
from burnish.diagnose.weaknesses import MOST
from tests.diagnose.rows import columns_at_random, evaluation, sentences, texts_of, weaknesses_of


def _two_sets(error_of, n=600, seed=0, names=("channel", "product", "region"), texts=None, **more):
    """dev_a and dev_b with random columns; `error_of` gives the chance of an error from columns and text."""
    random = np.random.default_rng(seed)
    sets = []
    for prefix in ("a", "b"):
        columns = columns_at_random(random, n, names, 3)
        said = texts(random, n) if texts else ["please help"] * n
        chance_N = np.array([error_of(row, text) for row, text in zip(columns, said, strict=True)])
        one = evaluation(1.0 - (random.random(n) < chance_N), columns, prefix=prefix, **more)
        sets.append((one, texts_of(one, said)))
    (a, a_texts), (b, b_texts) = sets
    return a, b, a_texts, b_texts


def test_a_weak_value_of_a_declared_column_is_found_and_confirmed():
    found = weaknesses_of(*_two_sets(lambda row, _: 0.5 if row["channel"] == "v1" else 0.1), ("channel",))
    first = found[0]
    assert (first.name, first.kind, first.confirmed) == ("channel=v1", "declared", True)
    assert first.columns == {"channel": "v1"}
    assert first.found.n + first.checked.n == pytest.approx(first.prevalence * 1200)
    assert all(example.startswith("a") for example in first.examples), "dev_b gives numbers only"


def test_a_weak_value_of_a_column_that_nobody_declared_is_found_and_confirmed():
    found = weaknesses_of(*_two_sets(lambda row, _: 0.45 if row["region"] == "v0" else 0.1))
    assert [(one.name, one.kind) for one in found if one.confirmed] == [("region=v0", "metadata")]


def test_a_weak_conjunction_is_found_without_its_halves():
    """Its halves are worse than the rest too, but only by what the conjunction explains."""
    is_weak = {"channel": "v1", "product": "v2"}
    found = weaknesses_of(*_two_sets(lambda row, _: 0.7 if is_weak.items() <= row.items() else 0.1, n=800))
    assert (found[0].name, found[0].confirmed) == ("channel=v1 & product=v2", True)
    assert found[0].columns == is_weak
    assert not {"channel=v1", "product=v2"} & {one.name for one in found}


def test_a_weak_topic_is_found_by_what_its_texts_say():
    def texts(random, n):
        topics = (
            "refund money invoice charge paid bill",
            "password login locked reset code access",
            "weather sun rain",
        )
        return [sentences(random, 1, topics[kind].split())[0] for kind in random.integers(3, size=n)]

    sets = _two_sets(lambda _, text: 0.6 if {"login", "reset", "code"} & set(text.split()) else 0.1, texts=texts)
    first = weaknesses_of(*sets)[0]
    assert (first.kind, first.confirmed) == ("text", True)
    assert set(first.terms) <= {"password", "login", "locked", "reset", "code", "access"}
    assert first.name == "text: " + ", ".join(first.terms)


def test_a_weak_topic_is_found_in_embeddings_of_the_caller():
    a, b, a_texts, b_texts = _two_sets(lambda *_: 0.1, n=300, texts=sentences)
    random = np.random.default_rng(5)
    weak = [random.random(300) < 0.3 for _ in range(2)]
    a, b = (
        replace(
            one,
            rows=tuple(
                replace(row, score=0.0) if w and at % 3 else row
                for at, (row, w) in enumerate(zip(one.rows, own, strict=True))
            ),
        )
        for one, own in zip((a, b), weak, strict=True)
    )
    spots = [
        np.where(own[:, None], [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]) + random.normal(0, 0.1, (300, 3)) for own in weak
    ]
    found = weaknesses_of(a, b, a_texts, b_texts, vectors=Vectors(*spots))
    assert (found[0].kind, found[0].confirmed) == ("text", True)
    assert found[0].found.n == weak[0].sum()


def test_errors_by_the_expected_answer_are_a_declared_slice_of_label_tasks():
    random = np.random.default_rng(6)
    sets = []
    for prefix in ("a", "b"):
        gold = [f"label{value}" for value in random.integers(6, size=400)]
        scores = [float(random.random() > (0.6 if label == "label3" else 0.1)) for label in gold]
        one = evaluation(scores, [{}] * 400, prefix=prefix, metric="accuracy", expected=gold)
        sets.append((one, texts_of(one)))
    found = weaknesses_of(sets[0][0], sets[1][0], sets[0][1], sets[1][1])
    assert [(one.name, one.kind) for one in found if one.confirmed] == [("answer=label3", "declared")]


def test_a_weakness_of_dev_a_alone_is_found_and_not_confirmed():
    a, _, a_texts, b_texts = _two_sets(lambda row, _: 0.5 if row["channel"] == "v1" else 0.1)
    _, sound, _, _ = _two_sets(lambda *_: 0.2, seed=7)
    found = {one.name: one for one in weaknesses_of(a, sound, a_texts, b_texts, ("channel",))}
    assert not found["channel=v1"].confirmed
    assert found["channel=v1"].p_holm > 0.05


def test_groups_that_fail_together_are_not_taken_for_many_witnesses():
    """Twelve customers of 20 rows; two of the three customers in the slice fail throughout, on both sides."""
    sets = []
    for prefix in ("a", "b"):
        columns = [{"channel": "phone" if at // 20 in (0, 1, 2) else "web"} for at in range(240)]
        scores = [0.0 if at // 20 in (0, 1, 7) else 1.0 for at in range(240)]
        groups = [f"{prefix}{at // 20}" for at in range(240)]
        sets.append([evaluation(scores, columns, prefix=prefix, groups=own) for own in (groups, ())])
    (a, a_alone), (b, b_alone) = sets
    grouped = weaknesses_of(a, b, texts_of(a), texts_of(b), ("channel",))
    alone = weaknesses_of(a_alone, b_alone, texts_of(a), texts_of(b), ("channel",))
    # Two or three of the failing customers in the slice: (C(3,2) 9 + 1) / C(12,3) = 28 / 220 = 0.127.
    # 4 standard errors of a share over 5000 deals are 0.019.
    assert grouped[0].p_holm == pytest.approx(28 / 220, abs=0.019)
    assert alone[0].confirmed
    assert not grouped[0].confirmed


def test_a_small_slice_is_pulled_further_toward_the_mean_than_a_large_one():
    """Both are wrong on all rows of dev_b."""

    def one_set(prefix):
        names = ["tiny"] * 8 + ["large"] * 80 + [f"other{at % 9}" for at in range(360)]
        scores = [0.0 if name in ("tiny", "large") else float(at % 5 > 0) for at, name in enumerate(names)]
        return evaluation(scores, [{"kind": name} for name in names], prefix=prefix)

    a, b = one_set("a"), one_set("b")
    found = {one.name: one for one in weaknesses_of(a, b, texts_of(a), texts_of(b), ("kind",))}
    tiny, large = found["kind=tiny"], found["kind=large"]
    assert tiny.checked.value == large.checked.value == 0.0
    overall = 1 - np.mean([row.score for row in b.rows])
    assert overall < tiny.shrunk_error < large.shrunk_error < 1.0
    assert large.shrunk_error > 0.95


def test_priority_is_prevalence_times_shrunk_error_above_the_target_and_orders_the_list():
    sets = _two_sets(lambda row, _: {"v0": 0.1, "v1": 0.4, "v2": 0.6}[row["channel"]])
    found = weaknesses_of(*sets, ("channel",), target_error=0.2)
    assert len(found) > 1
    for one in found:
        assert one.priority == pytest.approx(one.prevalence * max(one.shrunk_error - 0.2, 0.0))
    assert [one.priority for one in found] == sorted((one.priority for one in found), reverse=True)
    assert all(one.priority == 0.0 for one in weaknesses_of(*sets, ("channel",), target_error=1.0))


def test_the_order_of_rows_does_not_matter_and_a_seed_gives_the_same_again():
    sets = _two_sets(lambda row, _: 0.4 if row["channel"] == "v1" else 0.2, n=200, texts=sentences)
    a, b, a_texts, b_texts = sets
    random = np.random.default_rng(8)
    mixed = [replace(one, rows=tuple(one.rows[at] for at in random.permutation(200))) for one in (a, b)]
    first = weaknesses_of(*sets, ("channel",), seed=3)
    assert first == weaknesses_of(*sets, ("channel",), seed=3)
    assert first == weaknesses_of(*mixed, a_texts, b_texts, ("channel",), seed=3)


def test_however_many_columns_there_are_only_so_many_slices_are_brought_forward():
    names = tuple(f"column{at}" for at in range(12))
    found = weaknesses_of(*_two_sets(lambda *_: 0.3, n=300, names=names), names)
    assert 0 < len(found) <= MOST


def test_without_an_error_or_without_rows_there_is_nothing_to_find():
    a, b, a_texts, b_texts = _two_sets(lambda *_: 0.0, n=60)
    assert weaknesses_of(a, b, a_texts, b_texts, ("channel",)) == ()
    a, b, a_texts, b_texts = _two_sets(lambda *_: 0.5, n=60)
    assert weaknesses_of(a, replace(b, rows=()), a_texts, {}, ("channel",)) == ()


def test_rows_without_a_score_play_no_part():
    a, b, a_texts, b_texts = _two_sets(lambda row, _: 0.5 if row["channel"] == "v1" else 0.1, n=300)
    lost = replace(a.rows[0], example="zzz", score=None, why_missing="judge: away", slices={"channel": "v9"})
    more = replace(a, rows=(*a.rows, lost))
    assert weaknesses_of(more, b, a_texts, b_texts, ("channel",)) == weaknesses_of(a, b, a_texts, b_texts, ("channel",))


def test_a_weakness_tells_the_commonest_cause_of_its_rows_and_the_remedy_of_that():
    a, b, a_texts, b_texts = _two_sets(lambda row, _: 0.6 if row["channel"] == "v1" else 0.1)
    weak = {row.example for row in a.rows if row.slices["channel"] == "v1"}
    causes = {
        row.example: Cause(name="jargon" if row.example in weak else "format", why="")
        for row in a.rows
        if row.score == 0.0
    }
    first = weaknesses_of(a, b, a_texts, b_texts, ("channel",), causes=causes)[0]
    wrong = sum(row.score == 0.0 and row.example in weak for row in a.rows)
    assert first.causes == {"jargon": wrong}
    assert first.remedy == REMEDIES["jargon"]
