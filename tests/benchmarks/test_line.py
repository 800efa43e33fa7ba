"""The line that every benchmark prints: ratios round by round, absent peers, and the table."""

import json

import pytest

from benchmarks.line import Timed, by_cpu, line, ratios, shown, timed
from benchmarks.plot import Panel, slope, write_plot

OURS = Timed(seconds=[1.0, 2.0, 1.0], work=100, cpu_seconds=[2.0, 2.0, 2.0])
PEER = Timed(seconds=[4.0, 16.0, 2.0], work=100, peak_mb=7.0, cpu_seconds=[8.0, 9.0, 7.0])


def test_a_ratio_is_the_middle_of_the_rounds_with_the_lowest_and_the_highest():
    assert ratios(OURS, PEER) == [4.0, 2.0, 8.0]


def test_engines_that_do_different_amounts_are_compared_by_work_per_second():
    half = Timed(seconds=[2.0, 8.0, 1.0], work=50, cpu_seconds=[4.0, 4.5, 3.5])
    assert ratios(OURS, half) == ratios(OURS, PEER)
    assert by_cpu(OURS, half) == by_cpu(OURS, PEER) == 4.0


def test_a_peer_that_failed_once_is_absent_and_keeps_its_reason():
    ran = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_mb": 1.0}
    peer = timed([ran, {"absent": "no such module"}], work=1)
    found = line("train", {"burnish": OURS, "peer": peer}, unit="tokens", default="peer", tuned="peer")
    assert found["ratio_default"] is None
    assert found["absent"] == {"peer": "no such module"}
    assert "no such module" in shown(found)


def test_the_line_has_what_every_reader_of_it_expects_and_is_json():
    found = line("train", {"burnish": OURS, "peer": PEER}, unit="tokens", default="peer", limit_share=0.5, rank=16)
    assert json.loads(json.dumps(found)) == found
    assert found["name"] == "train"
    assert (found["ratio_default"], found["ratio_tuned"], found["limit_share"]) == (4.0, None, 0.5)
    assert found["medians_s"] == {"burnish": 1.0, "peer": 4.0}
    assert found["range_s"] == {"burnish": [1.0, 2.0], "peer": [2.0, 16.0]}
    assert found["tokens_per_s"] == {"burnish": 100.0, "peer": 25.0}
    assert found["peak_mb"] == {"peer": 7.0}
    assert found["rank"] == 16


def test_the_slope_of_a_power_law_is_its_power():
    assert slope([(x, 3 * x**1.5) for x in (1, 2, 4, 100)]) == pytest.approx(1.5, abs=1e-12)
    assert slope([(1, 5), (10, 5), (1000, 5)]) == pytest.approx(0, abs=1e-12)


def test_a_plot_marks_every_point_inside_its_axes(tmp_path):
    points = [(1_000, 0.02), (10_000, 0.2), (1_000_000, 21.0)]
    write_plot(tmp_path / "plot.svg", [Panel("Rows", "rows", "seconds", {"read <fast>": points, "add": points})])
    text = (tmp_path / "plot.svg").read_text()
    assert text.count("<circle") == 2 * len(points)
    assert "read &lt;fast&gt;" in text
    assert "100k" in text
    places = [float(part.split('"')[1]) for part in text.split("<circle ")[1:]]
    assert places[:3] == places[3:] == sorted(places[:3])
    assert places[0] > 50
    assert places[-1] < 340
