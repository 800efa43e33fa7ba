"""Hand-offs: what the threshold promises, by simulation, and reductions worked out by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from burnish.errors import EvaluationError
from burnish.evaluate.handoff import HandoffChange, handoff_change, rare_values, relative_reduction
from burnish.evaluate.summary import summarise
from burnish.evaluate.threshold import Threshold, calibrate, confidence
from burnish.records import Evaluation, Example, Message, RowResult

Said = tuple[float | None, float | None]
"""Probability of the answer, and its score."""


def evaluation(
    said: Sequence[Said], *, model: str = "m", groups: Sequence[str] = (), answers: Sequence[str] = ()
) -> Evaluation:
    """Rows r000, r001, ... of which the first half is by phone and the rest by web."""
    rows = tuple(
        RowResult(
            example=f"r{at:03d}",
            prompt="",
            output="x",
            expected="x",
            score=score,
            logprob=None if sure is None else math.log(sure),
            group=groups[at] if groups else "",
            slices={
                "channel": "phone" if at < len(said) / 2 else "web",
                **({"answer": answers[at]} if answers else {}),
            },
        )
        for at, (sure, score) in enumerate(said)
    )
    overall, slices = summarise(rows, ("channel", "answer"))
    return Evaluation(
        model=model, model_hash=model, template_hash="t", metric="accuracy", rows=rows, overall=overall, slices=slices
    )


def above(value: float | None) -> Threshold:
    return Threshold(value=value, target=0.1, delta=0.05, num_rows=99, num_answered=9, num_wrong=0)


def change(before: Sequence[Said], after: Sequence[Said], **more: Sequence[str]) -> HandoffChange:
    """With a threshold of 0.5 for both models."""
    both = [evaluation(said, model=name, **more) for name, said in (("old", before), ("new", after))]
    return handoff_change(both[0], both[1], (above(0.5), above(0.5)), rare={"answer": ("r",)})


SURE, UNSURE, WRONG = (0.9, 1.0), (0.4, 1.0), (0.9, 0.0)


def test_thirty_sure_and_right_rows_and_thirty_unsure_and_wrong_ones_are_told_apart() -> None:
    # Three starts at 1.67% each need ln(0.0167) / ln(0.9) = 38.9 rows without an error; they are at 39, 45 and 52.
    said = [(0.90 + at / 1000, 1.0) for at in range(45)] + [(0.1 + at / 1000, 0.0) for at in range(15)]
    found = calibrate(evaluation(said))
    # The first wrong row: P(Bin(46, 0.1) <= 1) = 0.9^46 + 46 * 0.1 * 0.9^45 = 0.048 > 0.0167 ends the first two walks.
    assert (found.num_answered, found.num_wrong, found.num_rows) == (45, 0, 60)
    assert found.value == pytest.approx(0.114), "the surest row that is not answered"


def test_where_nearly_all_is_right_everything_is_answered() -> None:
    said = [(0.5 + at / 1000, 0.0 if at == 3 else 1.0) for at in range(200)]
    assert calibrate(evaluation(said)).value == 0.0


def test_a_model_that_is_always_wrong_hands_everything_off() -> None:
    rows = evaluation([(0.5 + at / 1000, 0.0) for at in range(200)])
    found = calibrate(rows)
    assert found.value is None
    assert found.why.startswith("not-proven: ")


def test_few_rows_prove_nothing_and_the_least_number_is_said() -> None:
    found = calibrate(evaluation([(0.9, 1.0)] * 28))
    # 0.9^28 = 0.052 and 0.9^29 = 0.047.
    assert found.value is None
    assert "28 independent rows with a score; 29 without an error are the least" in found.why
    assert calibrate(evaluation([(0.9, 1.0)] * 29)).value == 0.0


def test_rows_without_a_score_or_an_answer_are_no_part_of_the_calibration() -> None:
    said: list[Said] = [(0.9, 1.0)] * 29 + [(0.9, None), (None, None)] * 20
    assert calibrate(evaluation(said)).num_rows == 29


def test_of_each_group_one_row_counts() -> None:
    found = calibrate(evaluation([(0.9, 1.0)] * 58, groups=[f"g{at // 2}" for at in range(58)]))
    assert (found.num_rows, found.num_answered) == (29, 29)


def test_equally_sure_rows_are_answered_together_or_not_at_all() -> None:
    said = [(0.9, 1.0)] * 50 + [(0.5, 1.0)] * 4 + [(0.5, 0.0)] * 46
    found = calibrate(evaluation(said))
    assert (found.value, found.num_answered) == (pytest.approx(0.5), 50)


def test_the_order_of_the_rows_changes_nothing() -> None:
    random = np.random.default_rng(0)
    said = [(float(sure), float(random.random() < sure)) for sure in np.round(random.random(150), 1) * 0.9 + 0.1]
    forth = calibrate(evaluation(said))
    back = evaluation(said)
    assert calibrate(Evaluation(**{**_fields(back), "rows": back.rows[::-1]})) == forth


def _fields(one: Evaluation) -> dict[str, object]:
    return {name: getattr(one, name) for name in Evaluation.__slots__}


@pytest.mark.parametrize("num_levels", [0, 12], ids=["distinct", "ties"])
def test_too_many_wrong_answers_get_through_in_at_most_delta_of_the_calibrations(num_levels: int) -> None:
    # Error 0.5 (1 - sure)^2: 10% of the answers are wrong when 77% of the cases are answered, 17% when all are.
    random = np.random.default_rng(7)
    edges = np.arange(100_000) / 100_000
    levels = np.floor(edges * num_levels) / num_levels if num_levels else edges
    true_error = 0.5 * (1.0 - levels) ** 2
    draws, unsafe, answered = 400, 0, 0.0
    for _ in range(draws):
        picked = random.integers(len(levels), size=150)
        sure = 0.001 + 0.99 * levels
        wrong = random.random(150) < true_error[picked]
        found = calibrate(
            evaluation([(float(sure[at]), float(not bad)) for at, bad in zip(picked, wrong, strict=True)])
        )
        if found.value is None:
            continue
        let_through = sure > found.value + 1e-9
        answered += float(let_through.mean()) / draws
        unsafe += bool(true_error[let_through].mean() > found.target)
    # At most 5%; three standard errors of 400 draws are 3.3 points.
    assert unsafe / draws <= 0.05 + 0.033
    assert answered > 0.15, "a rule that answers nothing keeps any promise"


def test_hand_offs_are_counted_by_hand() -> None:
    before = [SURE] * 4 + [UNSURE] * 4 + [WRONG] * 2
    after = [SURE] * 7 + [UNSURE] * 1 + [WRONG] * 2
    found = change(before, after)
    assert (found.overall.before.value, found.overall.after.value) == (pytest.approx(0.6), pytest.approx(0.3))
    assert found.overall.reduction.value == pytest.approx(0.3)
    assert found.overall.relative.value == pytest.approx(0.5)
    assert found.overall.relative.low is None, "ten groups are too few for a bootstrap"
    # 3 wins and no loss: mid-p 2 * (1/2)^3 / 2 = 0.125.
    assert found.overall.p_value == pytest.approx(0.125)
    assert found.overall.verdict == "no difference seen"
    assert (found.before.unsure.value, found.after.unsure.value) == (pytest.approx(0.4), pytest.approx(0.1))
    assert found.before.wrong.value == pytest.approx(2 / 6)
    assert {part.name: part.reduction.value for part in found.slices} == {
        "channel=phone": pytest.approx(0.2),
        "channel=web": pytest.approx(0.4),
    }


def test_exchanging_the_models_turns_the_signs() -> None:
    before, after = [SURE] * 10 + [UNSURE] * 20, [SURE] * 22 + [UNSURE] * 8
    there, back = change(before, after).overall, change(after, before).overall
    assert there.reduction.value == pytest.approx(-(back.reduction.value or 0.0))
    assert there.reduction.low == pytest.approx(-(back.reduction.high or 0.0), abs=1e-6)
    assert (there.verdict, back.verdict) == ("better", "worse")


def test_without_a_threshold_all_is_handed_off_and_nothing_can_fall() -> None:
    both = [evaluation([SURE] * 30, model=name) for name in ("old", "new")]
    found = handoff_change(both[0], both[1], (above(None), above(None)), rare={})
    assert found.overall.before.value == found.overall.after.value == 1.0
    assert found.overall.verdict == "no information"
    assert (found.overall.relative.value, found.overall.relative.low) == (0.0, None)
    assert found.before.wrong.value is None


def test_nothing_handed_off_before_leaves_no_relative_reduction() -> None:
    found = change([SURE] * 30, [UNSURE] * 30).overall
    assert (found.reduction.value, found.relative.value) == (pytest.approx(-1.0), None)


def test_rows_that_have_no_score_are_left_out_and_counted() -> None:
    said: list[Said] = [SURE] * 6 + [(None, None)] * 2
    found = change(said, [UNSURE] * 6 + [(None, None)] * 2)
    assert (found.num_unscored, found.overall.before.n) == (2, 6)


def test_rare_answers_are_a_part_of_their_own_beside_the_others() -> None:
    answers = ["r"] * 10 + ["s"] * 20
    found = change([UNSURE] * 10 + [SURE] * 20, [SURE] * 30, answers=answers)
    assert [part.name for part in found.rare] == ["other answer", "rare answer"]
    other, rare = found.rare
    assert (rare.reduction.value, rare.before.n, rare.verdict) == (pytest.approx(1.0), 10, "better")
    assert (other.reduction.value, other.relative.value) == (0.0, None)


def test_the_rarest_third_is_by_training_rows_then_by_name() -> None:
    counts = {"a": 9, "b": 2, "c": 2, "d": 5, "e": 1, "f": 9}
    train = [
        Example(
            id=f"{label}{at}",
            group="",
            messages=(Message(role="user", content="x"), Message(role="assistant", content=label)),
            slices={"channel": "web"},
        )
        for label, count in counts.items()
        for at in range(count)
    ]
    found = rare_values(train, ("channel",), has_labels=True)
    assert found == {"answer": ("e", "b")}, "one channel alone is not rare"
    assert rare_values(train, ("channel",), has_labels=False) == {}


def test_a_relative_reduction_is_covered_by_its_interval_about_as_often_as_said() -> None:
    random = np.random.default_rng(3)
    groups = [f"g{at}" for at in range(150)]
    truth, draws, inside = 0.5, 400, 0
    for _ in range(draws):
        old = random.random(150) < 0.6
        new = old & (random.random(150) < 0.5)
        found = relative_reduction(old.astype(float).tolist(), new.astype(float).tolist(), groups, 0)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
    # Nominal 95%; three standard errors of 400 draws are 3.3 points.
    assert inside / draws >= 0.95 - 0.033


def test_a_confidence_is_the_probability_of_the_answer() -> None:
    row = evaluation([(0.25, 1.0)]).rows[0]
    assert confidence(row) == pytest.approx(0.25)
    assert confidence(evaluation([(None, None)]).rows[0]) is None


def test_models_of_different_rows_are_refused() -> None:
    with pytest.raises(EvaluationError, match="only one of the two"):
        change([SURE] * 5, [SURE] * 6)
