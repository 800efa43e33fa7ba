"""The report's section on the worth of batches: gains with their intervals, prices only where a gain was seen."""

import re

from burnish.records import Cost, Interval
from burnish.report.record import AttributedBatch, AttributionReport
from burnish.report.render import render_html, render_json, render_markdown
from burnish.report.worth import waterfall_steps, worth_words
from tests.report.sample_report import sample_report


def around(value: float, half: float) -> Interval:
    return Interval(value=value, low=value - half, high=value + half, n=120)


GOOD = AttributedBatch(
    name="synthetic-r1-abc",
    num_rows=60,
    origin="synthetic",
    gain=around(0.08, 0.03),
    verdict="helped",
    cost=Cost(usd=4.0, seconds=80.0),
    cost_per_point=Cost(usd=0.5, seconds=10.0),
    use="in full",
)
BAD = AttributedBatch(
    name="second|file.jsonl",
    num_rows=1200,
    origin="people",
    gain=around(-0.02, 0.03),
    verdict="no difference seen",
    use="in full",
)
TOLD = AttributionReport(
    metric="accuracy",
    num_rows=120,
    num_repeats=2,
    start="first.jsonl",
    before=around(0.70, 0.08),
    after=around(0.77, 0.07),
    unattributed=around(0.01, 0.04),
    batches=(GOOD, BAD),
    notes=("dev_b also stopped the trainings",),
)


def test_a_report_without_an_attribution_says_nothing_of_it():
    assert worth_words(None) is None
    assert "Which batch helped" not in render_html(sample_report())
    assert "Which batch helped" not in render_markdown(sample_report())


def test_gain_interval_verdict_and_the_price_of_a_point_stand_in_every_format():
    report = sample_report(attribution=TOLD)
    for text in (render_html(report), render_markdown(report)):
        line = next(line for line in text.splitlines() if "synthetic-r1-abc" in line and "helped" in line)
        assert "+8.0 \\[+5.0, +11.0\\]" in line or "+8.0 [+5.0, +11.0]" in line
        assert re.search(r"\\?\$0\.50, 10 s", line)
        assert "2 trainings of each kind" in text
        assert "without any of them: 70.0%" in text
    assert '"cost_per_point": {"usd": 0.5' in render_json(report)


def test_what_brought_no_gain_has_no_price_and_no_name_makes_a_column():
    text = render_markdown(sample_report(attribution=TOLD))
    line = next(line for line in text.splitlines() if line.startswith("| second"))
    assert line.count("| - ") == 2
    assert len(re.findall(r"(?<!\\)\|", line)) == 9


def test_the_waterfall_leads_from_the_first_score_over_every_gain_to_the_last():
    assert [step.label for step in waterfall_steps(TOLD)] == [
        "first.jsonl",
        "synthetic-r1-abc",
        "second|file.jsonl",
        "overlap or synergy",
        "with all batches",
    ]
    assert [step.tone for step in waterfall_steps(TOLD)] == ["", "better", "", "rest", ""]
    page = render_html(sample_report(attribution=TOLD))
    assert page.count('<rect class="better"') == 2, "once wide, once narrow"
