"""Means helped by a judge: the published formulas, coverage, unbiasedness, and when there is no answer."""

import numpy as np
import pytest

from burnish.ppi import active_mean, assisted_mean


def world(random, *, rows, judge_right, differing=0.3, gains=0.7):
    """Paired differences of people, and a judge's who is right with this probability and else guesses."""
    d = np.where(random.random(rows) < differing, np.where(random.random(rows) < gains, 1.0, -1.0), 0.0)
    return d, np.where(random.random(rows) < judge_right, d, random.integers(-1, 2, rows).astype(float))


def asked(random, d, labels):
    people = np.full(len(d), np.nan)
    chosen = random.permutation(len(d))[:labels]
    people[chosen] = d[chosen]
    return people


def test_value_trust_and_error_are_those_of_the_formulas():
    random = np.random.default_rng(0)
    d, judge = world(random, rows=300, judge_right=0.8)
    people = asked(random, d, 80)
    labelled = ~np.isnan(people)
    y, f, g = people[labelled], judge[labelled], judge[~labelled]
    n, rest = 80, 220
    trust = np.cov(y, f)[0, 1] / ((1 + n / rest) * np.var(judge, ddof=1))
    found = assisted_mean(people, judge)
    assert 0 < trust < 1
    assert found.trust == pytest.approx(trust)
    assert found.value == pytest.approx(y.mean() + trust * (g.mean() - f.mean()))
    assert found.se**2 == pytest.approx(np.var(y - trust * f, ddof=1) / n + trust**2 * np.var(g, ddof=1) / rest)


def test_a_judge_that_says_nothing_or_the_opposite_leaves_the_mean_of_people():
    random = np.random.default_rng(1)
    d, _ = world(random, rows=300, judge_right=1.0)
    people = asked(random, d, 80)
    for judge in (np.zeros(300), -d):
        found = assisted_mean(people, judge)
        assert (found.trust, found.value) == (0.0, pytest.approx(np.nanmean(people)))
    assert assisted_mean(d, d).value == pytest.approx(d.mean())  # everything is labelled: nothing is left to add


@pytest.mark.parametrize(("labels", "judge_right"), [(50, 0.8), (50, 0.6), (100, 0.8)])
def test_the_interval_covers_as_often_as_it_says(labels, judge_right):
    random = np.random.default_rng(labels)
    held, shorter = 0, []
    for _ in range(400):
        d, judge = world(random, rows=10 * labels, judge_right=judge_right)
        people = asked(random, d, labels)
        found = assisted_mean(people, judge)
        held += found.low <= 0.12 <= found.high
        shorter.append(np.nanvar(people, ddof=1) / labels / found.se**2)
    assert 0.93 <= held / 400 <= 0.975  # 93 to 97%, and half a standard error of 400 draws
    # rows of people that the judge is worth: 1.9 to 2.2 and 1.3 to 1.4 times by the design's own simulation
    assert np.mean(shorter) > (1.6 if judge_right == 0.8 else 1.2)


def test_alike_rows_of_a_group_do_not_feign_certainty():
    random = np.random.default_rng(2)
    held = {True: 0, False: 0}
    for _ in range(200):
        d, judge = (np.repeat(values, 5) for values in world(random, rows=80, judge_right=0.8))
        groups = np.repeat([f"g{place:03d}" for place in range(80)], 5)
        people = np.where(random.random(400) < 0.4, d, np.nan)  # groups are labelled in part
        for grouped in held:
            found = assisted_mean(people, judge, groups.tolist() if grouped else None)
            held[grouped] += found.low <= 0.12 <= found.high
    assert held[True] / 200 > 0.92
    assert held[False] / 200 < 0.85


def test_strata_may_be_labelled_unevenly():
    random = np.random.default_rng(3)
    values, held = [], 0
    for _ in range(200):
        easy, easy_judge = world(random, rows=400, judge_right=0.95, differing=0.1, gains=0.5)  # mean 0
        hard, hard_judge = world(random, rows=100, judge_right=0.5, differing=0.6, gains=0.8)  # mean 0.36
        people = np.concatenate([asked(random, easy, 40), asked(random, hard, 40)])
        strata = ["easy"] * 400 + ["hard"] * 100
        found = assisted_mean(people, np.concatenate([easy_judge, hard_judge]), strata=strata)
        values.append(found.value)
        held += found.low <= 0.072 <= found.high
    assert np.mean(values) == pytest.approx(0.072, abs=3 * np.std(values) / 200**0.5)
    assert held / 200 > 0.92


def test_one_stratum_is_no_stratum_and_single_rows_are_no_groups():
    random = np.random.default_rng(4)
    d, judge = world(random, rows=300, judge_right=0.8)
    people = asked(random, d, 80)
    plain = assisted_mean(people, judge)
    assert assisted_mean(people, judge, strata=["all"] * 300) == plain
    grouped = assisted_mean(people, judge, groups=[f"{row:03d}" for row in range(300)])
    assert grouped == pytest.approx(plain, nan_ok=True) or grouped.se == pytest.approx(plain.se)


def test_too_few_labels_are_refused_with_a_reason():
    d, judge = world(np.random.default_rng(5), rows=300, judge_right=0.8)
    few = [*d[:49], *[None] * 251]
    found = assisted_mean(few, judge)
    assert (found.value, found.low, found.why) == (
        None,
        None,
        "few-labels: 49 rows have a label of people; 50 are needed",
    )
    enough = [*d[:60], *[None] * 240]
    assert assisted_mean(enough, judge, groups=["one", "two"] * 150).why.startswith("few-groups: ")
    thin = assisted_mean(enough, judge, strata=["web"] * 55 + ["fax"] * 5 + ["web"] * 240)
    assert thin.why == "thin-slice: fax has 5 labels; 20 are needed in each"
    assert active_mean(few, judge, np.full(300, 0.2)).why.startswith("few-labels: ")


def asked_by(doubt, count):
    """Probabilities in proportion to doubts, of about so many rows, none asked for with less than 0.05."""
    return np.clip(count * doubt / doubt.sum(), 0.05, 1.0)


def test_active_means_are_unbiased_and_covered_for_good_and_for_bad_doubts():
    random = np.random.default_rng(7)
    d, judge = world(random, rows=400, judge_right=0.7)
    wrong = (d != judge).astype(float)
    spread = {}
    for name, doubt in {"good": wrong + 0.1, "bad": 1.1 - wrong, "even": np.ones(400)}.items():
        p = asked_by(doubt, 80)
        found = [active_mean(np.where(random.random(400) < p, d, np.nan), judge, p) for _ in range(400)]
        values = [one.value for one in found if one.value is not None]
        spread[name] = np.std(values)
        # these rows are fixed, so the mean that is estimated is theirs; three standard errors of the simulation
        assert np.mean(values) == pytest.approx(d.mean(), abs=3 * spread[name] / len(values) ** 0.5), name
    assert spread["good"] < spread["even"] < spread["bad"]


def test_active_intervals_cover_as_often_as_they_say():
    random = np.random.default_rng(8)
    held, answered = 0, 0
    for _ in range(300):
        d, judge = world(random, rows=500, judge_right=0.8)
        p = asked_by(0.2 + (d != judge) * random.random(500), 80)
        found = active_mean(np.where(random.random(500) < p, d, np.nan), judge, p)
        if found.value is not None:
            answered += 1
            held += found.low <= 0.12 <= found.high
    assert answered > 294
    assert 0.925 <= held / answered <= 0.98
