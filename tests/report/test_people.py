"""The report says what people decided, what it cost them, and what nobody has shown."""

from burnish.records import Cost
from burnish.report.record import ReviewReport, StageCost
from burnish.report.render import render_html, render_markdown
from tests.report.sample_report import sample_report

TOLD = ReviewReport(
    num_rows=1,
    num_corrected={"dev_a": 2, "train": 12},
    num_out_of_scope=3,
    preferred="80 pairs of people were learned, 20 others told when to stop; dev_b chose a-dpo1.",
    minutes=41.6,
    unproven=("Nobody has judged synthetic-r1-abc, so its rows trained nothing.",),
)


def test_every_decision_of_people_is_a_sentence_on_the_page_and_in_markdown():
    cost = StageCost(stage="review", cost=Cost(reviewer_minutes=41.6))
    report = sample_report(review=TOLD, costs=(cost,))
    for text in (render_html(report), render_markdown(report)):
        for sentence in (
            "People corrected 2 answers on file of dev_a; the files keep the old ones.",
            "People corrected 12 answers on file of train",
            "1 row to learn from came out of the review.",
            "3 rows trained nothing: people hold them out of scope.",
            "dev_b chose a-dpo1",
            "People spent 42 minutes on it since the round before.",
            "Nobody has judged synthetic-r1-abc",
        ):
            assert sentence in text.replace("\\", ""), sentence
    assert "42 minutes of people" in render_markdown(report)


def test_a_report_from_before_has_no_such_part():
    assert "What people decided" not in render_html(sample_report()) + render_markdown(sample_report())
