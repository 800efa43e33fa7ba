"""Paired comparison of two evaluations, against counts and p-values worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from burnish.errors import EvaluationError
from burnish.evaluate.compare import MOST_GRADED, compare
from burnish.evaluate.summary import summarise
from burnish.records import Comparison, Evaluation, RowResult


def _evaluation(scores: Sequence[float | None], *, model: str = "m", groups: Sequence[str] = ()) -> Evaluation:
    """Rows r000, r001, ... of which the first half is by phone and the rest by web."""
    rows = tuple(
        RowResult(
            example=f"r{at:03d}",
            prompt=f"prompt {at}",
            output=f"says {score}",
            expected="right",
            score=score,
            group=groups[at] if groups else "",
            slices={"channel": "phone" if at < len(scores) / 2 else "web"},
        )
        for at, score in enumerate(scores)
    )
    overall, slices = summarise(rows, ("channel",))
    return Evaluation(
        model=model, model_hash=model, template_hash="t", metric="accuracy", rows=rows, overall=overall, slices=slices
    )


def _compare(before: Sequence[float | None], after: Sequence[float | None], groups: Sequence[str] = ()) -> Comparison:
    return compare(_evaluation(before, model="base", groups=groups), _evaluation(after, model="tuned", groups=groups))


def test_wins_losses_and_ties_are_counted_on_identical_rows() -> None:
    found = _compare([0.0] * 6 + [1.0] * 4, [1.0] * 5 + [0.0] + [0.0] + [1.0] * 3).overall
    assert (found.wins, found.losses, found.ties) == (5, 1, 4)
    assert found.gain.value == pytest.approx(0.4)
    # Mid-p of 5 wins against 1 loss, two-sided: 2 * (P(X=0) + P(X=1) / 2) = 2 * (1 + 3) / 64.
    assert found.p_value == pytest.approx(2 * 4 / 64)
    assert found.verdict == "no difference seen"


def test_a_clear_gain_is_called_better_and_a_clear_loss_worse() -> None:
    low, high = [0.0] * 10 + [1.0] * 10, [1.0] * 20
    assert _compare(low, high).overall.verdict == "better"
    assert _compare(high, low).overall.verdict == "worse"


def test_both_models_at_the_floor_or_ceiling_give_no_information() -> None:
    for score in (0.0, 1.0):
        found = _compare([score] * 30, [score] * 30)
        assert found.overall.verdict == "no information"
        assert found.overall.p_value is None
        assert all(one.p_holm is None for one in found.slices)


def test_equal_models_between_floor_and_ceiling_show_no_difference() -> None:
    found = _compare([0.0, 1.0] * 15, [0.0, 1.0] * 15).overall
    assert found.verdict == "no difference seen"
    assert found.p_value == pytest.approx(1.0)


def test_four_rows_tell_nothing_even_when_all_are_won() -> None:
    assert _compare([0.0] * 4, [1.0] * 4).overall.verdict == "no information"
    assert _compare([0.0] * 5, [1.0] * 5).overall.verdict == "better"


def test_slices_are_judged_by_holm_over_all_of_them() -> None:
    # Phone: 6 wins of 10 (two-sided mid-p 1/64); web: no change. Holm doubles the smaller p.
    found = _compare([0.0] * 10 + [0.0, 1.0] * 5, [1.0] * 6 + [0.0] * 4 + [0.0, 1.0] * 5)
    by_name = {one.slice: one for one in found.slices}
    assert by_name["channel=phone"].p_value == pytest.approx(1 / 64)
    assert by_name["channel=phone"].p_holm == pytest.approx(2 / 64)
    assert by_name["channel=phone"].verdict == "better"
    assert by_name["channel=web"].verdict == "no difference seen"


def test_rows_of_one_group_do_not_count_as_independent() -> None:
    before, after = [0.0] * 12 + [1.0] * 8, [1.0] * 20
    alone = _compare(before, after).overall
    grouped = _compare(before, after, groups=[f"g{at // 4}" for at in range(20)]).overall
    assert alone.verdict == "better"
    assert grouped.verdict == "no difference seen"
    assert alone.p_value is not None
    assert grouped.p_value is not None
    assert grouped.p_value > alone.p_value


def test_flips_name_the_losses_first() -> None:
    found = _compare([1.0, 0.0, 1.0], [1.0, 1.0, 0.0])
    assert [(flip.example, flip.gained) for flip in found.flips] == [("r002", False), ("r001", True)]
    assert found.flips[0].before == "says 1.0"
    assert found.flips[0].after == "says 0.0"


def test_of_graded_scores_the_largest_changes_are_kept_in_both_directions() -> None:
    before, after = [0.1] * 50 + [0.5, 0.3, 0.2], [0.3] * 50 + [0.4, 0.0, 0.2]
    flips = [(flip.example, flip.gained) for flip in _compare(before, after).flips]
    assert flips[:3] == [("r051", False), ("r050", False), ("r000", True)]
    assert len(flips) == 2 + MOST_GRADED


def test_a_row_without_a_score_is_left_out_and_counted() -> None:
    found = _compare([0.0, None, 1.0, 1.0], [1.0, 1.0, None, 1.0])
    assert found.examples == ("r000", "r003")
    assert found.num_unscored == 2
    with pytest.raises(EvaluationError, match="no row has a score"):
        _compare([None, 0.0], [1.0, None])


def test_the_order_of_rows_does_not_matter() -> None:
    before, after = _evaluation([0.0, 1.0, 0.0, 1.0, 0.0]), _evaluation([1.0, 1.0, 0.0, 0.0, 1.0])
    turned = replace(after, rows=tuple(reversed(after.rows)))
    assert compare(before, turned) == compare(before, after)


def test_more_rows_show_smaller_gains() -> None:
    few = _compare([0.0, 1.0] * 20, [1.0, 1.0] * 20).smallest_gain_shown
    many = _compare([0.0, 1.0] * 200, [1.0, 1.0] * 200).smallest_gain_shown
    assert few is not None
    assert many is not None
    assert many < few < 1.0
    assert _compare([0.0, 1.0], [1.0, 1.0]).smallest_gain_shown is None


def test_evaluations_that_differ_in_more_than_the_model_are_refused() -> None:
    one = _evaluation([0.0, 1.0, 1.0])
    with pytest.raises(EvaluationError, match="chat templates"):
        compare(one, replace(one, template_hash="other"))
    with pytest.raises(EvaluationError, match="token_f1"):
        compare(one, replace(one, metric="token_f1"))
    with pytest.raises(EvaluationError, match=r"only one of the two evaluations.*r002"):
        compare(one, replace(one, rows=one.rows[:2]))
    edited = (*one.rows[:2], replace(one.rows[2], expected="other"))
    with pytest.raises(EvaluationError, match=r"another expected answer.*r002"):
        compare(one, replace(one, rows=edited))
    doubled = replace(one, rows=(*one.rows, one.rows[0]))
    with pytest.raises(EvaluationError, match="twice"):
        compare(doubled, doubled)
