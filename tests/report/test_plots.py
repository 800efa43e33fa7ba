"""Plots have ink: every slice its marks, every whisker a length, every curve many points, all inside the frame."""

import itertools
import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from burnish.records import CurvePoint, Interval
from burnish.report.plots import WhiskerRow, curve_plot, history_plot, search_plot, whisker_plot
from tests.report.sample_report import PARTS, rate, sample_report, search, searched

WIDTHS = pytest.mark.parametrize("width", [760, 346])


def drawn(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(str(markup))


def by_class(svg: ElementTree.Element, tag: str, kind: str) -> list[ElementTree.Element]:
    return [node for node in svg.iter(tag) if kind in node.get("class", "").split()]


def places(svg: ElementTree.Element) -> list[tuple[float, float]]:
    """Every point that is drawn: line ends, circle centres, path corners."""
    points = [(float(n.get(x)), float(n.get(y))) for n in svg.iter("line") for x, y in (("x1", "y1"), ("x2", "y2"))]
    points += [(float(n.get("cx")), float(n.get("cy"))) for n in svg.iter("circle")]
    for node in svg.iter("path"):
        numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", node.get("d"))]
        points += list(zip(numbers[::2], numbers[1::2], strict=True))
    return points


def assert_inside(svg: ElementTree.Element) -> None:
    left, top, width, height = map(float, svg.get("viewBox").split())
    for x, y in places(svg):
        assert left <= x <= left + width, (x, y)
        assert top <= y <= top + height, (x, y)


def slice_rows() -> list[WhiskerRow]:
    return [WhiskerRow(label=p.slice, marks=(("before", p.before), ("after", p.after)), note="9") for p in PARTS]


@WIDTHS
def test_every_slice_has_two_marks_and_two_whiskers_of_some_length(width):
    svg = drawn(whisker_plot(slice_rows(), width, "slices"))
    assert len(by_class(svg, "circle", "before")) == len(by_class(svg, "circle", "after")) == len(PARTS)
    whiskers = by_class(svg, "line", "whisker")
    assert len(whiskers) == 2 * len(PARTS)
    assert all(float(line.get("x2")) - float(line.get("x1")) > 5 for line in whiskers)
    assert_inside(svg)


@WIDTHS
def test_a_mark_stands_where_its_value_is(width):
    rows = [WhiskerRow(label="x", marks=(("after", rate(k, 4)),)) for k in range(5)]
    svg = drawn(whisker_plot(rows, width, "quarters"))
    marks = [float(node.get("cx")) for node in by_class(svg, "circle", "after")]
    grid = [float(node.get("x1")) for node in by_class(svg, "line", "grid")]
    assert marks == pytest.approx(grid, abs=0.1), "0, 25, 50, 75 and 100% stand on their grid lines"


def test_a_slice_without_interval_has_a_mark_and_one_without_value_has_none():
    rows = [
        WhiskerRow(label="a", marks=(("after", Interval(value=0.5, low=None, high=None, n=1)),)),
        WhiskerRow(label="b", marks=(("after", Interval(value=None, low=None, high=None, n=0)),)),
    ]
    svg = drawn(whisker_plot(rows, 760, "thin"))
    assert len(by_class(svg, "circle", "mark")) == 1
    assert not by_class(svg, "line", "whisker")


@WIDTHS
def test_every_adapter_has_a_dev_and_a_train_curve_with_many_different_points(width):
    trials = sample_report().trials
    svg = drawn(curve_plot(trials, "lr x1", 4.16, width, "curves"))
    curves = by_class(svg, "path", "curve")
    assert len(curves) == 2 * len(trials)
    assert len(by_class(svg, "path", "after")) == 2, "the chosen adapter's"
    for curve in curves:
        numbers = re.findall(r"-?\d+\.\d", curve.get("d"))
        assert len(set(zip(numbers[::2], numbers[1::2], strict=True))) == 24
    assert len(by_class(svg, "line", "guess")) == 1
    assert_inside(svg)


@pytest.mark.parametrize(
    ("tried", "tags"),
    [
        ([(1e-3, 32), (2e-3, 32)], {"lr 0.001", "lr 0.002"}),
        ([(1e-3, 128), (1e-3, 256)], {"alpha 128", "alpha 256"}),
        ([(1e-3, 128), (1e-3, 128)], {"a", "b"}),
    ],
)
def test_each_curve_is_called_by_what_tells_it_apart(tried, tags):
    trials = [
        replace(trial, candidate=replace(trial.candidate, name=name, lr=lr, alpha=alpha))
        for trial, name, (lr, alpha) in zip(sample_report().trials, "ab", tried, strict=False)
    ]
    svg = drawn(curve_plot(trials, "a", 4.16, 760, "curves"))
    assert tags <= {node.text for node in svg.iter("text")}


def test_a_loss_that_is_not_finite_is_left_out_of_the_curve():
    trial = sample_report().trials[0]
    wild = CurvePoint(step=200, epoch=6.5, train_loss=math.inf, dev_loss=math.nan, lr=0.1)
    svg = drawn(curve_plot((replace(trial, curve=(*trial.curve, wild)),), "", None, 760, "wild"))
    assert "nan" not in ElementTree.tostring(svg).decode()
    assert_inside(svg)


def test_a_single_point_is_a_dot_and_no_point_is_no_plot():
    trial = sample_report().trials[0]
    one = drawn(curve_plot((replace(trial, curve=trial.curve[:1]),), "", None, 760, "one"))
    assert len(by_class(one, "circle", "curve")) == 2
    assert curve_plot((replace(trial, curve=()),), "", None, 760, "none") == ""


@WIDTHS
def test_every_trial_of_a_search_has_a_curve_and_the_chosen_one_stands_out_last(width):
    svg = drawn(search_plot(search(), 4.16, width, "search"))
    curves = by_class(svg, "path", "curve")
    assert len(curves) == 16
    assert [curve.get("class") for curve in curves].count("curve dev other thin") == 9, "left behind or diverged"
    assert [curve for curve in curves if "after" in curve.get("class")] == [curves[-1]], "above all others"
    for curve in curves:
        assert len(set(re.findall(r"-?\d+\.\d,-?\d+\.\d", curve.get("d")))) > 2
    words = [node.text for node in svg.iter("text")]
    assert "trial 2" in words
    assert "trial 0" in words, "the best one, which was not taken"
    assert_inside(svg)


def test_on_a_log_scale_equal_ratios_of_loss_are_equal_lengths():
    points = [CurvePoint(step=k, epoch=k, train_loss=None, dev_loss=8.0 / 4**k, lr=0.1) for k in range(4)]
    one = searched(0, 1e-3, "done")
    one = replace(one, trial=replace(one.trial, curve=tuple(points)))
    svg = drawn(search_plot(search(trials=(one,)), None, 760, "halves"))
    heights = [y for _, y in places(svg)[-4:]]
    falls = [after - before for before, after in itertools.pairwise(heights)]
    # places are written with one decimal, so a difference of two is off by at most 0.1
    assert falls == pytest.approx([falls[0]] * 3, abs=0.11)
    assert falls[0] > 10


@pytest.mark.parametrize("losses", [(1.2, 1.1, 1.0), (0.0, 0.0), (5.0, 0.0), (math.inf, 2.0, 1.0), (1e9, 1.0)])
def test_any_losses_of_a_search_stay_inside_the_frame(losses):
    points = [CurvePoint(step=k, epoch=k, train_loss=None, dev_loss=y, lr=0.1) for k, y in enumerate(losses)]
    one = searched(0, 1e-3, "diverged")
    one = replace(one, trial=replace(one.trial, curve=tuple(points)))
    svg = drawn(search_plot(search(trials=(one,)), 4.16, 346, "odd"))
    assert "nan" not in ElementTree.tostring(svg).decode()
    assert by_class(svg, "path", "curve")
    assert_inside(svg)


def test_a_search_without_a_curve_is_no_plot():
    one = searched(0, 1e-3, "done")
    assert search_plot(search(trials=(replace(one, trial=replace(one.trial, curve=())),)), 4.16, 760, "none") == ""


@WIDTHS
def test_every_round_has_its_pair_and_only_promotions_are_filled(width):
    rounds = sample_report().history
    svg = drawn(history_plot(rounds, width, "rounds"))
    assert len(by_class(svg, "circle", "mark")) == 2 * len(rounds)
    assert len(by_class(svg, "circle", "promoted")) == 2
    assert len(by_class(svg, "circle", "hollow")) == 1
    whiskers = by_class(svg, "line", "whisker")
    assert all(abs(float(line.get("y2")) - float(line.get("y1"))) > 3 for line in whiskers)
    assert_inside(svg)
    waiting = replace(rounds[1], approval="waiting")
    svg = drawn(history_plot([rounds[0], waiting], width, "rounds"))
    assert (len(by_class(svg, "circle", "promoted")), len(by_class(svg, "circle", "hollow"))) == (1, 1)


def test_labels_of_any_text_stay_text():
    svg = whisker_plot([WhiskerRow(label="</text><script>", text="<b>")], 760, '"><script>')
    assert "<script" not in svg
    assert drawn(svg).get("aria-label") == '"><script>'
