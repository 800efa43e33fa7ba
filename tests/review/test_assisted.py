"""A gain from people's scores on some rows and a judge's on all."""

import numpy as np
import pytest

from burnish.ppi import assisted_mean
from burnish.review.assisted import JudgeScores, assisted_gain

ROWS = [f"row-{place:04d}" for place in range(600)]


def scored(seed: int = 0, *, generous: float = 0.0):
    """Two models whose answers people find right 60% and 75% of the time; a judge who agrees on 85% of them."""
    random = np.random.default_rng(seed)
    truth = {model: (random.random(600) < right).astype(float) for model, right in (("old", 0.6), ("new", 0.75))}
    judge = {}
    for model, right in truth.items():
        seen = np.where(random.random(600) < 0.85, right, 1 - right)
        judge[model] = np.where(random.random(600) < generous, 1.0, seen)  # calls wrong answers right, for both alike
    people = {ROWS[place]: float(truth["new"][place] - truth["old"][place]) for place in random.permutation(600)[:120]}
    sides = {
        model: JudgeScores(version="v1", scores=dict(zip(ROWS, scores.tolist(), strict=True)))
        for model, scores in judge.items()
    }
    return people, sides["old"], sides["new"], float((truth["new"] - truth["old"]).mean())


def test_the_gain_is_that_of_the_estimator_and_says_what_the_judge_was_worth():
    people, before, after, _ = scored()
    found = assisted_gain(people, before, after)
    differences = [after.scores[row] - before.scores[row] for row in ROWS]
    plain = assisted_mean([people.get(row) for row in ROWS], differences)
    assert (found.gain.value, found.gain.low, found.gain.high) == plain[:3]
    assert (found.gain.n, found.num_rows, found.why) == (120, 600, "")
    assert found.labels_worth > 120
    assert found.judge_alone == pytest.approx(np.mean(differences))


def test_a_judge_generous_to_both_models_does_not_bias_the_gain():
    errors, biases, held = [], [], 0
    for seed in range(100):
        people, before, after, truth = scored(seed, generous=0.4)
        found = assisted_gain(people, before, after)
        errors.append(found.gain.value - truth)
        biases.append(found.judge_alone - truth)
        held += found.gain.low <= 0.15 <= found.gain.high
    assert abs(np.mean(errors)) < 3 * np.std(errors) / 10
    assert abs(np.mean(biases)) > 0.05  # the judge by itself hides most of the gain
    assert held >= 90


def test_two_versions_of_a_judge_are_never_subtracted():
    people, before, after, _ = scored()
    found = assisted_gain(people, before, JudgeScores(version="v2", scores=after.scores))
    assert found.why.startswith("changed-judge: ")
    assert (found.gain, found.trust, found.judge_alone) == (found.people_alone, 0.0, None)


def test_too_few_labels_leave_people_alone_with_the_reason():
    people, before, after, _ = scored()
    few = dict(list(people.items())[:30])
    found = assisted_gain(few, before, after)
    assert found.gain == found.people_alone
    assert found.why.startswith("few-labels: 30 rows")
    assert assisted_gain({}, before, after).verdict == "no information"


def test_rows_drawn_by_probabilities_are_weighed_and_never_averaged_plainly():
    people, before, after, _ = scored()
    p = dict(zip(ROWS, np.linspace(0.05, 0.35, 600).tolist(), strict=True))
    found = assisted_gain(people, before, after, probabilities=p)
    assert found.gain.value is not None
    assert found.people_alone.value is None
    few = dict(list(people.items())[:30])
    assert assisted_gain(few, before, after, probabilities=p).verdict == "no information"


def test_verdicts_follow_the_interval():
    people, before, after, _ = scored()
    assert assisted_gain(people, before, after).verdict == "better"
    assert assisted_gain({row: -value for row, value in people.items()}, after, before).verdict == "worse"
    none = {row: float(place % 2) * 2 - 1 for place, row in enumerate(sorted(people))}
    assert assisted_gain(none, before, after).verdict == "no difference seen"
