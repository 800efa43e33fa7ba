"""Judges with known faults are let in or kept out, and watched."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from burnish.review.admission import (
    Admission,
    admit,
    alternative_annotator_test,
    benjamini_yekutieli,
    judge_version,
    objection,
    retest_reason,
    version_change,
)
from burnish.review.agreement import Rating

PEOPLE = {"ann": 0.9, "bob": 0.9, "cem": 0.9}


def answers(random, truth, accuracy: float) -> list[str]:
    off = (truth + random.integers(1, 3, len(truth))) % 3
    return [str(value) for value in np.where(random.random(len(truth)) < accuracy, truth, off)]


def sample(judge_accuracy: float, *, items: int = 80, seed: int = 0) -> tuple[dict[str, str], list[Rating]]:
    """A judge and three people who are right this often, of three labels."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, items)
    ratings = [
        Rating(str(item), name, value)
        for name, accuracy in PEOPLE.items()
        for item, value in enumerate(answers(random, truth, accuracy))
    ]
    return {str(item): value for item, value in enumerate(answers(random, truth, judge_accuracy))}, ratings


def test_wins_are_counted_as_by_hand():
    # ann: the judge says b, ann a; bob and cem say (a, a) 10 times: ann wins; (b, b) 20 times: the judge; (a, b): both
    others = [("a", "a")] * 10 + [("b", "b")] * 20 + [("a", "b")] * 10
    ratings = []
    for item, (bob, cem) in enumerate(others):
        ratings += [Rating(str(item), "ann", "a"), Rating(str(item), "bob", bob), Rating(str(item), "cem", cem)]
    ann = alternative_annotator_test({str(item): "b" for item in range(40)}, ratings)[0]
    assert (ann.reviewer, ann.num_items, ann.judge_wins, ann.reviewer_wins) == ("ann", 40, 0.75, 0.5)


def shares_of_others(ratings: list[Rating], reviewer: str, said: dict[str, str]) -> np.ndarray:
    """Share of the other people who said the same, by item."""
    others = [rating for rating in ratings if rating.reviewer != reviewer]
    same = {item: [rating.value == value for rating in others if rating.item == item] for item, value in said.items()}
    return np.array([np.mean(same[item]) for item in sorted(said)])


def test_the_exact_test_is_near_the_papers_t_test_and_more_careful_where_all_is_tied():
    judge, ratings = sample(0.72, items=100)
    for rival in alternative_annotator_test(judge, ratings):
        own = {rating.item: rating.value for rating in ratings if rating.reviewer == rival.reviewer}
        by_person, by_judge = (shares_of_others(ratings, rival.reviewer, said) for said in (own, judge))
        assert rival.judge_wins == (by_judge >= by_person).mean()
        losses = (by_person >= by_judge).astype(float) - (by_judge >= by_person).astype(float)
        paper = ttest_1samp(losses, 0.2, alternative="less").pvalue
        assert np.log10(rival.p_value) == pytest.approx(np.log10(paper), abs=0.5)
    same = [Rating(str(item), name, "a") for item in range(30) for name in PEOPLE]
    tied = alternative_annotator_test({str(item): "a" for item in range(30)}, same)
    assert all(0.0 < rival.p_value < 0.01 for rival in tied)  # a t-test has no spread to divide by


def test_benjamini_and_yekutieli_by_hand():
    # m = 3, 1 + 1/2 + 1/3 = 1.8333: bounds 0.00909, 0.01818, 0.02727
    assert benjamini_yekutieli([0.02, 0.001, 0.017]) == (True, True, True)
    assert benjamini_yekutieli([0.03, 0.001, 0.017]) == (False, True, True)
    assert benjamini_yekutieli([0.03, 0.01, 0.019]) == (False, False, False)
    assert benjamini_yekutieli([]) == ()


def test_a_judge_as_good_as_people_is_let_in_and_a_bad_one_is_not():
    good = [admit("v", *sample(0.95, seed=seed)).slices["all"] for seed in range(10)]
    bad = [admit("v", *sample(0.55, seed=seed)).slices["all"] for seed in range(10)]
    assert sum(one.is_admitted for one in good) >= 9
    assert not any(one.is_admitted for one in bad)
    assert min(one.advantage for one in good) > max(one.advantage for one in bad)
    assert good[0].people_alpha.value == pytest.approx(0.71, abs=0.15)  # 0.9 * 0.9 + 0.1 * 0.1 / 2 of 1/3 by chance


def test_a_judge_at_the_margin_beats_a_given_person_rarely():
    # judge at 0.62 beside people of 0.9: it loses by about 0.3 of the items where epsilon forgives 0.2
    beaten = [
        rival.is_beaten
        for seed in range(40)
        for rival in alternative_annotator_test(*sample(0.62, items=60, seed=seed))
    ]
    assert len(beaten) == 120
    assert np.mean(beaten) < 0.05


def test_a_judge_that_says_one_label_to_everything_is_kept_out():
    random = np.random.default_rng(1)
    truth = np.where(random.random(80) < 0.92, 0, 1)
    ratings = [Rating(str(item), name, str(value)) for item, value in enumerate(truth) for name in PEOPLE]
    found = admit("v", {str(item): "0" for item in range(80)}, ratings).slices["all"]
    assert found.omega == 1.0  # it agrees with people nearly always: the alternative annotator test alone lets it in
    assert not found.is_admitted
    assert found.why.startswith("little-agreement: its kappa with people is 0.00")


def test_a_judge_is_let_in_by_slice():
    judge, ratings = sample(0.95, items=160)
    slice_of = {str(item): ["channel=web" if item < 80 else "channel=fax"] for item in range(160)}
    rotated = {"0": "1", "1": "2", "2": "0"}
    biased = {item: rotated[value] if int(item) >= 80 and int(item) % 2 else value for item, value in judge.items()}
    found = admit("v", biased, ratings, slice_of)
    assert found.slices["channel=web"].is_admitted
    assert not found.slices["channel=fax"].is_admitted
    assert found.slices["channel=fax"].why.startswith(("worse-than-people", "little-agreement"))


def test_too_few_people_or_items_let_no_judge_in():
    judge, ratings = sample(0.95)
    two = [rating for rating in ratings if rating.reviewer != "cem"]
    few = [rating for rating in ratings if int(rating.item) < 29]
    for lacking in (two, few, []):
        found = admit("v", judge, lacking).slices["all"]
        assert (found.is_admitted, found.omega) == (False, None)
        assert found.why.startswith("few-people: ")


def test_people_may_have_answered_what_the_judge_did_not():
    judge, ratings = sample(0.95)
    extra = [*ratings, *[Rating("unjudged", name, "0") for name in PEOPLE]]
    assert alternative_annotator_test(judge, extra) == alternative_annotator_test(judge, ratings)
    assert admit("v", judge, extra) == admit("v", judge, ratings)


def test_another_version_is_another_judge():
    version = judge_version(model="small", prompt="Is it right?", rubric="r1")
    other = judge_version(model="small", prompt="Is it  right?", rubric="r1")
    assert version_change(version, other).startswith(f"changed-judge: the judge was {version[:12]} ")
    assert version_change(version, version) == ""


def admitted() -> Admission:
    return admit("v", *sample(0.95))


def test_a_judge_is_objected_to_until_people_have_answered_and_when_it_no_longer_agrees():
    found = admitted()
    assert objection(found, []).startswith("untested: ")
    assert objection(found, [True] * 100) == ""
    assert objection(found, [False] * 100).startswith("agreement-dropped: ")
    assert objection(admit("v", *sample(0.3)), [True] * 100).startswith(("worse-than-people: ", "little-agreement: "))


def test_a_drop_of_agreement_calls_for_a_new_test_and_chance_rarely_does():
    found = admitted()
    level = found.slices["all"].agreement.value
    random = np.random.default_rng(2)
    assert "agreement-dropped: " in retest_reason(found, (random.random(100) < level - 0.25).tolist())
    alarms = [retest_reason(found, (random.random(100) < level).tolist()) != "" for _ in range(300)]
    assert np.mean(alarms) < 0.03  # 1%, and what the noise of the admission itself adds
    assert retest_reason(found, [False] * 29) == ""
    assert retest_reason(found, [False] * 200 + [True] * 100) == ""  # the last hundred count
