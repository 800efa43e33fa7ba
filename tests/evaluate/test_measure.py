"""What every measure has in common: intervals, reasons, and pairs that the gate can read."""

import pytest

from burnish.config import GateSettings
from burnish.errors import EvaluationError
from burnish.evaluate.measure import Measure, MeasuredRow, answered, measured, not_applicable, pair
from burnish.gate.guards import checked
from burnish.gate.pairs import pairs_of
from burnish.records import Task, as_json, from_json
from burnish.stats.rates import mean_interval
from tests.evaluate.measured_rows import evaluation, example


def _measure(values, *, direction="lower is better", unit="share", name="m", is_pairable=True, groups=None) -> Measure:
    rows = [
        MeasuredRow(
            example=f"r{at:03d}",
            value=value,
            why_missing="" if value is not None else "no-term: none",
            group=groups[at] if groups else "",
            slices={"channel": "web" if at % 2 else "phone"},
        )
        for at, value in enumerate(values)
    ]
    return measured(name, "What it counts.", direction, rows, unit=unit, is_pairable=is_pairable)


def test_rows_without_a_value_are_left_out_of_the_mean_and_of_the_slices():
    found = _measure([1.0, 0.0, None, 1.0])
    assert found.overall.n == 3
    assert found.overall.value == pytest.approx(2 / 3)
    assert {name: one.value for name, one in found.slices.items()} == {"channel=phone": 1.0, "channel=web": 0.5}
    expected = mean_interval([1.0, 0.0, 1.0], ["r000", "r001", "r003"])
    assert (found.overall.low, found.overall.high) == (expected.low, expected.high)


def test_a_measure_without_any_value_says_why_and_is_not_zero():
    found = _measure([None, None])
    assert found.overall.value is None
    assert found.why_missing == "no-term: none"
    assert found.slices == {}


def test_nats_are_not_cut_at_one():
    # Mean 3, sd 1, n 3: 3 +- t(0.025, 2) / sqrt(3) with t = 4.302653.
    found = _measure([2.0, 3.0, 4.0], unit="nats per token").overall
    assert found.value == pytest.approx(3.0)
    assert found.high == pytest.approx(3 + 4.302653 / 3**0.5, abs=1e-5)
    assert _measure([2.0], unit="nats per token").overall.low is None


def test_a_positive_difference_is_an_improvement_whatever_the_direction():
    lower = pair(_measure([1.0, 1.0, 0.0]), _measure([0.0, 1.0, 0.0]))
    higher = pair(
        _measure([1.0, 1.0, 0.0], direction="higher is better"), _measure([0.0, 1.0, 0.0], direction="higher is better")
    )
    nats = pair(_measure([0.1, 0.0, 0.0], unit="nats per token"), _measure([0.0, 0.0, 0.0], unit="nats per token"))
    assert lower is not None
    assert higher is not None
    assert nats is not None
    assert lower.differences == (1.0, 0.0, 0.0)
    assert higher.differences == (-1.0, 0.0, 0.0)
    assert nats.differences[0] == pytest.approx(1 - 2.718281828**-0.1)
    assert lower.examples == ("r000", "r001", "r002")


def test_a_pair_keeps_the_rows_that_both_have():
    found = pair(_measure([1.0, None, 0.0]), _measure([0.0, 0.0, None]))
    assert found is not None
    assert found.examples == ("r000",)
    assert pair(_measure([1.0, None]), _measure([None, 0.0])) is None


def test_measures_that_cannot_be_paired_are_refused():
    with pytest.raises(EvaluationError, match="cannot be paired"):
        pair(_measure([1.0]), _measure([1.0], name="other"))
    with pytest.raises(EvaluationError, match="depend on what a model says"):
        pair(_measure([1.0], is_pairable=False), _measure([1.0], is_pairable=False))
    with pytest.raises(EvaluationError, match="only one of the two evaluations"):
        pair(_measure([1.0, 1.0]), _measure([1.0]))


def test_the_gate_holds_a_challenger_that_hallucinates_more_and_passes_one_that_does_not():
    settings = GateSettings(margin=0.03)
    worse = pair(_measure([0.0] * 60), _measure([1.0] * 15 + [0.0] * 45))
    same = pair(_measure([0.0] * 60 + [1.0] * 20), _measure([0.0] * 60 + [1.0] * 20))
    assert worse is not None
    assert same is not None
    assert checked("hallucination", pairs_of(worse), settings).passed is False
    assert checked("hallucination", pairs_of(same), settings).passed is True


def test_groups_widen_the_interval():
    alone = _measure([1.0] * 10 + [0.0] * 10).overall
    grouped = _measure([1.0] * 10 + [0.0] * 10, groups=[f"g{at // 5}" for at in range(20)]).overall
    assert alone.high is not None
    assert grouped.high is not None
    assert grouped.high > alone.high


def test_a_measure_becomes_json_and_comes_back():
    for found in (_measure([1.0, None, 0.5]), not_applicable("m", "Counts.", "lower is better", "label: none")):
        assert from_json(Measure, as_json(found)) == found


def test_an_evaluation_of_other_examples_is_refused():
    task = Task(kind="text", metric="token_f1")
    one, other = example("a", "b", "r0"), example("a", "b", "r1")
    with pytest.raises(EvaluationError, match="r0"):
        answered([other], evaluation(task, [one], ["b"]))
