"""Smells: scores and outputs that look like a bug are named, ordinary ones are not."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from burnish.errors import EvaluationError
from burnish.evaluate.suspicion import demand_measurement, likely_bugs, suspicions
from burnish.records import Evaluation, Interval, RowResult, Task

TEXT = Task(kind="text", metric="token_f1")
LABELS = Task(kind="label", labels=("pay", "appeal", "other"))


def _rows(scores: Sequence[float | None], outputs: Sequence[str] = ()) -> list[RowResult]:
    return [
        RowResult(
            example=f"r{at}",
            prompt="p",
            output=outputs[at] if outputs else f"out {at}",
            expected=f"want {at}",
            score=score,
            why_missing="" if score is not None else "too-long: 3000 tokens",
        )
        for at, score in enumerate(scores)
    ]


def _evaluation(rows: Sequence[RowResult]) -> Evaluation:
    return Evaluation(
        model="r1",
        model_hash="h",
        template_hash="t",
        metric="token_f1",
        rows=tuple(rows),
        overall=Interval(value=0.0, low=0.0, high=0.3, n=len(rows)),
        slices={},
        warnings=suspicions(rows, TEXT),
    )


def _words(warnings: Sequence[str]) -> list[str]:
    return [warning.split(":")[0] for warning in warnings]


def test_an_ordinary_evaluation_has_no_smell() -> None:
    assert suspicions(_rows([0.0, 1.0] * 10), TEXT) == ()


def test_a_score_of_exactly_zero_is_a_likely_bug_with_three_samples() -> None:
    (warning,) = suspicions(_rows([0.0] * 10), TEXT)
    assert warning.startswith("zero:")
    assert "'out 0' (expected 'want 0')" in warning
    assert warning.count("expected") == 3


def test_zero_with_every_output_at_the_length_limit_is_no_measurement() -> None:
    rows = [replace(row, stop_reason="length") for row in _rows([0.0] * 10)]
    assert _words(suspicions(rows, TEXT)) == ["zero", "length"]
    with pytest.raises(EvaluationError, match=r"that is no measurement\. Samples: r0") as caught:
        demand_measurement(_evaluation(rows))
    assert "max_new_tokens" in caught.value.hint


def test_a_zero_of_outputs_that_ended_is_a_measurement() -> None:
    demand_measurement(_evaluation(_rows([0.0] * 10)))
    demand_measurement(_evaluation([replace(row, stop_reason="length") for row in _rows([0.0] * 9 + [0.1])]))


def test_outputs_at_the_length_limit_are_named_even_when_they_score() -> None:
    rows = [replace(row, stop_reason="length") for row in _rows([0.5, 0.2] * 10)]
    assert _words(suspicions(rows, TEXT)) == ["length"]
    assert suspicions([*rows[:5], *_rows([0.5] * 15)], TEXT) == ()


def test_one_output_for_every_prompt_is_named() -> None:
    assert _words(suspicions(_rows([0.0, 1.0] * 5, ["pay"] * 10), TEXT)) == ["identical"]


def test_everything_right_is_a_ceiling() -> None:
    assert _words(suspicions(_rows([1.0] * 10), TEXT)) == ["ceiling"]


def test_a_label_model_no_better_than_the_most_frequent_label_is_named() -> None:
    outputs = ["pay"] * 12 + ["appeal"] * 8
    rows = [
        replace(row, expected="pay" if at < 14 else "other", score=float(at < 12))
        for at, row in enumerate(_rows([0.0] * 20, outputs))
    ]
    (warning,) = suspicions(rows, LABELS)
    assert warning.startswith("chance: 60.0%")
    assert "'pay' (70.0%" in warning


def test_outputs_that_are_never_labels_are_named() -> None:
    assert "no-label" in _words(suspicions(_rows([0.0] * 10), LABELS))


def test_rows_without_a_score_are_counted_with_their_reason() -> None:
    warnings = suspicions(_rows([None, 0.0, 1.0, None, *[0.0, 1.0] * 4]), TEXT)
    assert warnings == ("not-scored: 2 of 12 rows (r0: too-long: 3000 tokens)",)


def test_few_rows_are_not_judged() -> None:
    assert suspicions(_rows([0.0] * 7), TEXT) == ()


def test_a_likely_bug_is_told_with_the_name_of_the_model_and_a_merely_bad_model_is_not() -> None:
    evaluation = _evaluation(_rows([0.0] * 10, ["pay"] * 10))
    assert _words(evaluation.warnings) == ["zero", "identical"]
    (told,) = likely_bugs(evaluation)
    assert told.startswith("r1: likely a bug: zero: all 10 rows score exactly 0")
