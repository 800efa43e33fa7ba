"""The sections on weak places and on measures: numbers with intervals, reasons instead of blanks, no personal data."""

import json
from dataclasses import replace

from burnish.report.diagnosed import MOST_SHOWN, diagnosis_words
from burnish.report.measured import measure_words
from burnish.report.render import render_html, render_json, render_markdown
from burnish.report.story import story
from tests.report.sample_report import diagnosis, measures, sample_report


def plain(markdown: str) -> str:
    return markdown.replace("\\", "")


def test_every_weak_place_stands_there_with_both_intervals_causes_and_a_remedy():
    for text in (render_html(sample_report()), plain(render_markdown(sample_report()))):
        assert "claims-r1 had 91 of 110 rows of dev_a wrong" in text
        assert "2 slices stand out; 1 of them are confirmed on the 112 rows of dev_b" in text
        assert "missing knowledge 7, ambiguous or wrong gold 3" in text
        assert "14 gold answers of train and dev_a are doubted" in text
        assert "how do i fight this decision" in text
    row = next(line for line in plain(render_markdown(sample_report())).splitlines() if "| intent=appeal |" in line)
    assert "| 16.7% [4.7, 44.8] | 9.1% [1.6, 37.7] | confirmed | 0.004 | 10.4% |" in row


def test_no_more_weak_places_are_shown_than_can_be_read_and_the_rest_is_counted():
    told = diagnosis()
    many = replace(told, found=replace(told.found, weaknesses=told.found.weaknesses[:1] * (MOST_SHOWN + 3)))
    found = diagnosis_words(sample_report(diagnosis=many))
    assert (len(found.rows), found.more) == (MOST_SHOWN, 3)
    assert "And 3 more, of less weight." in render_html(sample_report(diagnosis=many))


def test_the_story_says_what_was_found_weak_before_training():
    told = diagnosis()
    assert any("claims-r1 was found to be weak in intent=appeal" in step for step in story(sample_report()))
    none = replace(told, found=replace(told.found, weaknesses=told.found.weaknesses[1:]))
    assert any("1 stood out on dev_a, none was confirmed" in step for step in story(sample_report(diagnosis=none)))


def test_texts_and_names_of_the_diagnosis_are_masked_in_every_format():
    told = diagnosis()
    named = replace(told.found.weaknesses[0], name="text: ann@x.org", terms=("ann@x.org",))
    found = replace(told.found, weaknesses=(named,), untested=("text: ann@x.org: too few rows",))
    private = sample_report(diagnosis=replace(told, found=found, texts={"c-0184": "call me at 555-867-5309"}))
    for text in (render_html(private), render_markdown(private), render_json(private)):
        assert "867-5309" not in text
        assert "ann@x.org" not in text
        assert "call me at" in text


def test_measures_are_shown_before_and_after_with_intervals_in_their_own_unit():
    markdown = plain(render_markdown(sample_report()))
    (flips,) = [line for line in markdown.splitlines() if line.startswith("| flips: names |")]
    assert "| 40 | 2.5% [0.4, 12.9] | 22.5% [12.3, 37.5] | +20.0 [+7.0, +34.0] | worse; after: +15.0 points" in flips
    (kl,) = [line for line in markdown.splitlines() if line.startswith("| KL to the base |")]
    assert "1.204 nats [0.981, 1.427]" in kl
    assert "+1.204 nats [+0.981, +1.427]" in kl
    assert "| further from the base |" in kl
    assert "Of 1 measures that can be compared row by row, worse: flips: names." in markdown
    assert "| flips: names, channel=web |" in markdown


def test_a_measure_that_does_not_apply_is_named_with_the_reason_and_without_a_number():
    for text in (render_html(sample_report()), plain(render_markdown(sample_report()))):
        assert "hallucination: not applicable, a label of a closed set states no facts" in text
    assert all(row.name != "hallucination" for row in measure_words(sample_report()).rows)


def test_a_report_of_before_there_were_measures_has_neither_section():
    old = sample_report(diagnosis=None, measures=())
    for text in (render_html(old), render_markdown(old)):
        assert "Where it was weak before" not in text
        assert "Measures" not in text
    assert json.loads(render_json(old))["diagnosis"] is None


def test_no_measure_that_changed_is_said_in_words():
    same = tuple(replace(one, verdict="no difference seen", slices=()) for one in measures()[1:])
    assert "no difference is seen in any of them" in measure_words(sample_report(measures=same)).lead
