"""A waterfall's bars hang together, end at the score with all batches, and are as long as the gains."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from burnish.records import Interval
from burnish.report.waterfall import Step, waterfall_page, waterfall_plot

WIDTHS = pytest.mark.parametrize("width", [760, 346])
GAINS = (0.06, 0.03, 0.0, -0.05)
TONES = ("better", "", "", "worse")


def around(value: float, half: float = 0.02) -> Interval:
    return Interval(value=value, low=value - half, high=value + half, n=400)


def steps() -> list[Step]:
    """From 70 to 76%, of which the batches explain four points."""
    gains = [
        Step(label=f"batch-{at}", interval=around(gain), tone=tone)
        for at, (gain, tone) in enumerate(zip(GAINS, TONES, strict=True))
    ]
    return [
        Step(label="first file", interval=around(0.70), is_level=True),
        *gains,
        Step(label="overlap or synergy", interval=around(0.02), tone="rest"),
        Step(label="with all batches", interval=around(0.76), is_level=True),
    ]


def drawn(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(str(markup))


def spans(svg: ElementTree.Element) -> list[tuple[float, float]]:
    """Left and right ends of the bars."""
    return [(float(n.get("x")), float(n.get("x")) + float(n.get("width"))) for n in svg.iter("rect")]


@WIDTHS
def test_bars_are_as_long_as_the_gains_and_lead_from_the_first_score_to_the_last(width):
    svg = drawn(waterfall_plot(steps(), width, metric="accuracy"))
    first, last = (float(node.get("cx")) for node in svg.iter("circle"))
    point = (last - first) / 6
    found = spans(svg)
    # places are written with one decimal, so that a length is off by at most 0.1; no gain is a hair line of 1
    lengths = [high - low for low, high in found]
    assert lengths == pytest.approx([6 * point, 3 * point, 1.0, 5 * point, 2 * point], abs=0.11)
    assert found[0][0] == pytest.approx(first, abs=0.11)
    assert found[1][0] == pytest.approx(found[0][1], abs=0.11), "the second begins where the first ends"
    assert found[3][1] == pytest.approx(found[1][1], abs=0.11), "a loss goes back from there"
    assert found[4] == pytest.approx((found[3][0], last), abs=0.11)


@WIDTHS
def test_every_step_has_a_whisker_around_its_end_and_all_is_inside_the_frame(width):
    svg = drawn(waterfall_plot(steps(), width, metric="accuracy"))
    whiskers = [node for node in svg.iter("line") if node.get("class") == "whisker"]
    assert len(whiskers) == len(steps())
    links = [node for node in svg.iter("line") if node.get("class") == "link"]
    assert len(links) == len(steps()) - 1
    for whisker, link in zip(whiskers, links, strict=False):
        middle = (float(whisker.get("x1")) + float(whisker.get("x2"))) / 2
        assert middle == pytest.approx(float(link.get("x1")), abs=0.11)
    _, _, across, down = map(float, svg.get("viewBox").split())
    for node in svg.iter("line"):
        assert all(0 <= float(node.get(name)) <= across for name in ("x1", "x2"))
        assert all(0 <= float(node.get(name)) <= down for name in ("y1", "y2"))


def test_grid_lines_stand_at_their_shares():
    svg = drawn(waterfall_plot(steps(), 760, metric="accuracy"))
    ticks = [(float(n.get("x")), float(n.text[:-1])) for n in svg.iter("text") if re.fullmatch(r"\d+%", n.text or "")]
    first, last = (float(node.get("cx")) for node in svg.iter("circle"))
    rate = (last - first) / 6
    assert len(ticks) > 2
    for (x, share), (other_x, other) in pairwise(ticks):
        assert other_x - x == pytest.approx((other - share) * rate, abs=0.21)


def test_colour_is_never_the_only_sign_and_words_say_what_is_drawn():
    svg = drawn(waterfall_plot(steps(), 760, metric="accuracy"))
    texts = [node.text for node in svg.iter("text")]
    assert "+6.0 \N{BLACK UP-POINTING SMALL TRIANGLE}" in texts
    assert "\N{MINUS SIGN}5.0 \N{BLACK DOWN-POINTING SMALL TRIANGLE}" in texts
    assert "+3.0" in texts
    label = svg.get("aria-label")
    assert "batch-3 \N{MINUS SIGN}5.0 points [\N{MINUS SIGN}7.0, \N{MINUS SIGN}3.0]" in label
    assert label.startswith("Right answers: first file 70.0% [68.0, 72.0]; ")


def test_without_a_first_score_the_gains_still_end_at_the_last():
    gains = [step for step in steps() if step.label.startswith("batch")]
    svg = drawn(waterfall_plot([*gains, steps()[-1]], 760, metric="accuracy"))
    (circle,) = svg.iter("circle")
    assert spans(svg)[-1][0] == pytest.approx(float(circle.get("cx")), abs=0.11)


def test_steps_without_a_value_are_left_out_and_none_at_all_is_no_drawing():
    unknown = Step(label="nobody knows", interval=Interval(value=None, low=None, high=None, n=0))
    svg = drawn(waterfall_plot([*steps(), unknown], 760, metric="accuracy"))
    assert "nobody knows" not in "".join(svg.itertext())
    assert waterfall_plot([unknown], 760, metric="accuracy") == ""


def test_labels_of_any_text_stay_text():
    wild = Step(label="</text><script>", interval=around(0.5), is_level=True, note='"><b>')
    assert "<script" not in waterfall_plot([wild], 760, metric="accuracy")
    assert drawn(waterfall_plot([wild], 760, metric="accuracy")) is not None


def test_the_file_is_an_image_of_its_own_and_the_same_each_time():
    page = waterfall_page(steps(), 760, metric="accuracy")
    assert page == waterfall_page(steps(), 760, metric="accuracy")
    svg = drawn(page)
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme:dark" in page
