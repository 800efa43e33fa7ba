"""What people and a judge say of answers, in words: shown when somebody said something, and safe to show."""

from dataclasses import replace

import pytest

from burnish.records import Interval
from burnish.report.judged import people_words
from burnish.report.render import render_html, render_json, render_markdown
from burnish.review.assisted import AssistedGain
from burnish.review.concord import QueueAgreement, ReviewerReliability
from burnish.review.standing import JudgedQuestion, JudgedReport, SliceStanding
from tests.report.sample_report import sample_report

NOTHING = Interval(value=None, low=None, high=None, n=0)


def span(value: float, n: int) -> Interval:
    return Interval(value=value, low=value - 0.1, high=value + 0.1, n=n)


def question(**changes) -> JudgedQuestion:
    gain = AssistedGain(
        gain=span(0.2, 60),
        verdict="better",
        num_rows=120,
        trust=0.7,
        people_alone=span(0.18, 60),
        judge_alone=0.25,
        labels_worth=95.2,
    )
    where = SliceStanding(
        slice="all",
        is_admitted=True,
        why="",
        omega=1.0,
        advantage=0.9,
        judge_kappa=span(0.8, 60),
        people_alpha=span(0.85, 60),
        agreement=span(0.9, 180),
    )
    told = JudgedQuestion(
        name="right",
        counts="Share of answers that would do as they stand.",
        version="a" * 64,
        models={"judge-1": 240},
        num_unusable=0,
        before=span(0.5, 120),
        after=span(0.75, 120),
        num_verdicts=180,
        num_reviewers=3,
        is_admitted=True,
        why="",
        slices=(where,),
        length_bias=NOTHING,
        gain=gain,
        gate="right: no harm seen; it objects to nothing.",
    )
    return replace(told, **changes)


def report(*questions: JudgedQuestion, agreement: tuple[QueueAgreement, ...] = ()):
    judged = JudgedReport(champion="old", challenger="new", num_rows=120, num_same=30, questions=questions)
    return replace(sample_report(), judged=judged, agreement=agreement)


AGREED = QueueAgreement(
    queue="blind",
    num_answers=80,
    num_doubled=40,
    kappa=span(0.7, 40),
    kappa_of="cohen",
    alpha=span(0.7, 40),
    reviewers=(ReviewerReliability(reviewer="<b>ann</b>", accuracy=span(0.9, 40)),),
    slices=(),
    conflicts=("a", "b"),
)


def test_the_gain_its_worth_and_the_agreement_of_people_stand_in_every_format():
    told = report(question(), agreement=(AGREED,))
    page, text = render_html(told), render_markdown(told)
    for shown in ("People and judges", "admitted", "95 rows", "60 of 120", "it is used beside people", "blind labels"):
        assert shown in page
        assert shown in text
    assert "&lt;b&gt;ann" in page
    assert "<b>ann" not in page + text
    assert '"labels_worth": 95.2' in render_json(told)


def test_a_judge_that_was_not_admitted_is_shown_so_with_the_reason_and_its_liking():
    bias = Interval(value=0.4, low=0.2, high=0.6, n=60)
    words = people_words(report(question(is_admitted=False, why="few-people: 3 are needed", length_bias=bias)))
    assert words.gains[0].judge == "not admitted"
    told = " ".join(words.told)
    assert "not admitted, used for nothing: 3 are needed" in told
    assert "likes long answers more than people do, rank correlation 0.40 [0.20, 0.60] on 60 answers" in told


@pytest.mark.parametrize(
    "judged", [None, JudgedReport(champion="a", challenger="b", num_rows=1, num_same=0, questions=())]
)
def test_where_nobody_said_anything_there_is_no_section(judged):
    silent = replace(sample_report(), judged=judged)
    assert people_words(silent) is None
    assert "People and judges" not in render_html(silent) + render_markdown(silent)


def test_a_harm_needs_its_whole_interval_below_zero_on_rows_enough():
    gain = question().gain
    for value, n, is_harm in ((-0.2, 60, True), (-0.05, 60, False), (-0.2, 19, False), (0.2, 60, False)):
        assert question(gain=replace(gain, gain=span(value, n))).is_harm == is_harm
