"""A measure before and after: in its own unit, paired, judged as the gate's comparisons are, its samples masked."""

import json

import pytest

from burnish.evaluate.change import MeasureChange, change_of
from burnish.evaluate.measure import Finding, Measure, MeasuredRow, measured, not_applicable, pair
from burnish.records import as_json, from_json
from burnish.stats.groups import cluster_t
from burnish.stats.pairs import paired_interval


def _measure(values, *, direction="lower is better", unit="share", is_pairable=True, findings=()) -> Measure:
    rows = [
        MeasuredRow(
            example=f"r{at:03d}",
            value=value,
            why_missing="" if value is not None else "no-term: none",
            slices={"channel": "web" if at % 2 else "phone"},
            findings=tuple(findings) if value else (),
        )
        for at, value in enumerate(values)
    ]
    return measured("m", "What it counts.", direction, rows, unit=unit, is_pairable=is_pairable)


def test_less_of_what_should_be_low_is_a_negative_difference_and_better():
    before, after = _measure([1.0] * 12 + [0.0] * 8), _measure([0.0] * 16 + [1.0] * 4)
    found = change_of("hallucination", before, after)
    # rows 0 to 11 fall from 1 to 0, 12 to 15 stay 0, 16 to 19 rise from 0 to 1
    expected = paired_interval([-1.0] * 12 + [0.0] * 4 + [1.0] * 4, [f"r{at:03d}" for at in range(20)])
    assert found.difference.value == pytest.approx((4 - 12) / 20)
    assert (found.difference.low, found.difference.high) == (expected.low, expected.high)
    clear = change_of("hallucination", _measure([1.0] * 12 + [0.0] * 8), _measure([0.0] * 20))
    assert (clear.verdict, clear.difference.value) == ("better", pytest.approx(-0.6))
    assert clear.p_value == pair(_measure([1.0] * 12 + [0.0] * 8), _measure([0.0] * 20)).overall.p_value
    assert change_of("hallucination", _measure([0.0] * 20), _measure([1.0] * 12 + [0.0] * 8)).verdict == "worse"


def test_slices_have_the_difference_of_their_own_rows():
    before, after = _measure([0.0] * 40), _measure([1.0, 0.0] * 20)
    found = {one.slice: one for one in change_of("bias", before, after).slices}
    assert (found["channel=phone"].difference.value, found["channel=phone"].verdict) == (1.0, "worse")
    assert (found["channel=web"].difference.value, found["channel=web"].verdict) == (0.0, "no information")


def test_nats_have_an_interval_that_no_bound_cuts():
    before, after = (
        _measure([0.0] * 8, unit="nats per token"),
        _measure([1.0, 3.0, 2.0, 4.0, 5.0, 3.0, 2.0, 4.0], unit="nats per token"),
    )
    found = change_of("forgetting", before, after)
    assert found.difference.value == pytest.approx(3.0)
    test = cluster_t([1.0, 3.0, 2.0, 4.0, 5.0, 3.0, 2.0, 4.0])
    assert found.difference.high == pytest.approx(3.0 + 2.364624 * test.se)  # t of 7 degrees at 97.5%
    assert found.verdict == "worse"


def test_a_measure_whose_rows_depend_on_the_answers_is_shown_and_not_compared():
    found = change_of("jargon", _measure([1.0, 0.0], is_pairable=False), _measure([1.0, 1.0], is_pairable=False))
    assert (found.before.value, found.after.value, found.verdict) == (0.5, 1.0, "not compared")
    assert found.difference.value is None


def test_a_measure_that_does_not_apply_keeps_its_reason_and_has_no_number():
    absent = not_applicable("m", "What it counts.", "lower is better", "label: no text")
    found = change_of("hallucination", absent, absent)
    assert (found.why_missing, found.after.value, found.slices) == ("label: no text", None, ())
    nothing = change_of("jargon", _measure([None, None]), _measure([None, None]))
    assert nothing.why_missing == "no-term: none"
    assert change_of("jargon", _measure([None, None]), _measure([None, 1.0])).why_missing == ""


def test_samples_are_few_name_their_row_and_hold_no_personal_data():
    said = Finding(kind="identifier", text="write to ann@x.org", start=0, end=18)
    found = change_of("hallucination", _measure([0.0] * 9), _measure([1.0] * 9, findings=[said]))
    assert [sample.example for sample in found.samples] == ["r000", "r001", "r002"]
    assert found.samples[0].text == "identifier: write to [email]"


def test_a_change_comes_back_from_json():
    found = change_of("bias", _measure([0.0] * 40), _measure([1.0, 0.0] * 20), note="why")
    assert from_json(MeasureChange, json.loads(json.dumps(as_json(found)))) == found
