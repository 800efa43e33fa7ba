"""Agreement from the log itself: double labels, reviewers, slices and conflicts, and silence where nothing is known."""

import pytest

from burnish.records import Message
from burnish.report.judged import reviewer_lines
from burnish.review.agreement import cohen_kappa, krippendorff_alpha
from burnish.review.concord import agreement_of
from burnish.review.decisions import outcomes
from burnish.store.reviews import ReviewDecision, ReviewItem


def item(name: str, queue: str = "blind", **more) -> ReviewItem:
    prompt = (Message(role="user", content=name),)
    return ReviewItem(name=name, queue=queue, purpose="gold", example=name, role="train", messages=prompt, **more)


def log(*told: tuple[str, str, str, str]) -> list[ReviewDecision]:
    return [
        ReviewDecision(
            seq=at,
            item=name,
            reviewer=reviewer,
            turn=1,
            kind=kind,
            text=text,
            note="",
            seconds=1.0,
            edit_distance=0,
            at="",
        )
        for at, (name, reviewer, kind, text) in enumerate(told)
    ]


def test_two_reviewers_have_cohens_kappa_alpha_and_a_reliability_each():
    items = [item(f"i{at:02d}", wanted=2) for at in range(40)]
    answers = [("pay", "pay")] * 18 + [("login", "login")] * 18 + [("pay", "login")] * 4
    told = [
        (one.name, by, "label", word)
        for one, pair in zip(items, answers, strict=True)
        for by, word in zip(("ann", "bob"), pair, strict=True)
    ]
    slices = {one.example: ["desk=a"] if at < 30 else ["desk=b"] for at, one in enumerate(items)}
    (found,) = agreement_of(outcomes(items, log(*told)), slices)
    assert (found.queue, found.num_answers, found.num_doubled, found.kappa_of) == ("blind", 80, 40, "cohen")
    assert found.kappa.value == pytest.approx(cohen_kappa(answers).value)
    assert found.alpha.value == pytest.approx(krippendorff_alpha(answers).value)
    assert found.kappa.low < found.kappa.value < found.kappa.high
    assert [one.reviewer for one in found.reviewers] == ["ann", "bob"]
    assert all(one.accuracy.n == 40 for one in found.reviewers)
    assert [one.slice for one in found.slices] == ["desk=a"], "ten items are too few for a slice"
    assert len(found.conflicts) == 4
    assert found.verdict == "good"


def test_of_the_pairs_that_people_confuse_the_commonest_are_shown_and_the_others_counted():
    pairs = [(one, two) for one in range(6) for two in range(one)]  # 15 pairs of six values
    answers = [*pairs, *pairs[:3], (1, 0), (2, 2)]
    items = [item(f"i{at:02d}", wanted=2) for at in range(len(answers))]
    told = [
        (one.name, by, "label", f"label-{value}")
        for one, pair in zip(items, answers, strict=True)
        for by, value in zip(("ann", "bob"), pair, strict=True)
    ]
    (found,) = agreement_of(outcomes(items, log(*told)))
    assert [(one.values, one.num_items) for one in found.confused[:2]] == [
        (("label-0", "label-1"), 3),
        (("label-0", "label-2"), 2),
    ]
    assert (len(found.confused), found.num_confused_left) == (8, 7)
    (line,) = [one for one in reviewer_lines(found) if "confused" in one]
    assert line.startswith("blind labels, confused most, by items: label-0 and label-1 on 3, label-0 and label-2 on 2")
    assert line.endswith("; 7 more pairs")


def test_a_conflict_that_was_settled_waits_no_more_and_its_third_answer_counts_there():
    first = item("a", wanted=2)
    third = item("b", settles="a", not_by=("ann", "bob"))
    disagreed = [("a", "ann", "label", "pay"), ("a", "bob", "label", "login")]
    (waiting,) = agreement_of(outcomes([first, third], log(*disagreed)))
    (settled,) = agreement_of(outcomes([first, third], log(*disagreed, ("b", "cy", "label", "pay"))))
    assert (waiting.conflicts, settled.conflicts) == (("a",), ())
    assert settled.num_doubled == 1


def test_three_reviewers_have_fleiss_kappa_and_drafts_agree_when_both_are_turned_down():
    items = [item(f"i{at:02d}", queue="correction", draft="pay", wanted=3) for at in range(30)]
    kinds = ("accept", "edit", "reject")
    told = [
        (one.name, by, "accept" if at % 3 == 0 else kinds[1 + place % 2], "x" if place == 0 else "")
        for at, one in enumerate(items)
        for place, by in enumerate(("ann", "bob", "cy"))
    ]
    (found,) = agreement_of(outcomes(items, log(*told)))
    assert found.kappa_of == "fleiss"
    assert found.kappa.value == found.alpha.value == pytest.approx(1.0)
    assert found.alpha.low is None, "where no two answers differ nothing is proven"


def test_single_answers_skips_and_free_texts_say_nothing_and_say_why():
    told = log(("a", "ann", "label", "pay"), ("b", "ann", "skip", ""))
    (found,) = agreement_of(outcomes([item("a"), item("b")], told))
    assert (found.num_answers, found.num_doubled, found.alpha.value) == (1, 0, None)
    assert found.why.startswith("none-doubled: ")
    assert found.verdict == "nothing can be said yet"
    (texts,) = agreement_of(outcomes([item("a")], told[:1]), is_closed=False)
    assert texts.why.startswith("free-text: ")
    assert agreement_of([]) == ()
