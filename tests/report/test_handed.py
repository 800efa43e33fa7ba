"""The section on hand-offs: every number with its interval, no reduction claimed where none was seen."""

import json
from dataclasses import replace

from burnish.records import Interval
from burnish.report.handed import handoff_sentence, handoff_words
from burnish.report.render import render_html, render_json, render_markdown
from tests.report.sample_report import handoffs, sample_report


def plain(markdown: str) -> str:
    return markdown.replace("\\", "")


def test_hand_offs_stand_there_with_intervals_thresholds_and_what_is_rare():
    for text in (render_html(sample_report()), plain(render_markdown(sample_report()))):
        assert "On 110 rows of dev_a claims-r1 hands 100.0% of the cases to a person and claims-r2 43.6%" in text
        assert "a reduction by +56.4 points [+46.6, +65.2], +56.4% [+47.3, +65.5] of the hand-offs" in text
        assert "claims-r1: everything is handed off; it errs often" in text
        assert "claims-r2: answers by itself above a probability of 0.71, set on 98 rows of dev_b" in text
        assert "2 of 80 answers wrong; at most 10% wrong with 95% confidence" in text
        assert "rare answer: appeal, the third with the fewest training rows" in text
        assert "1 row has no score and is left out" in text
    lines = plain(render_markdown(sample_report())).splitlines()
    assert any(line.startswith("| channel=web | 110 |") for line in lines), "a slice that changed"
    assert not any(line.startswith("| channel=fax |") for line in lines), "a slice that did not"


def test_where_no_difference_was_seen_no_reduction_is_claimed():
    told = handoffs()
    small = replace(
        told.overall, reduction=Interval(value=0.02, low=-0.05, high=0.09, n=110), verdict="no difference seen"
    )
    sentence = handoff_sentence(replace(told, overall=small))
    assert sentence.endswith("no difference seen, +2.0 points [\N{MINUS SIGN}5.0, +9.0].")
    assert "reduction" not in sentence


def test_a_part_without_hand_offs_before_has_no_share_of_them():
    (row,) = [row for row in handoff_words(handoffs()).rows if row.name == "rare answer"]
    assert (row.relative, row.verdict, row.tone) == ("n/a", "no information", "soft")


def test_a_report_of_before_hand_offs_were_counted_has_no_section():
    old = sample_report(handoffs=None)
    for text in (render_html(old), render_markdown(old)):
        assert "goes to people" not in text
    assert json.loads(render_json(old))["handoffs"] is None
    assert json.loads(render_json(sample_report()))["handoffs"]["overall"]["verdict"] == "better"
