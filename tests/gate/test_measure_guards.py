"""Measures beside the score block a challenger that is better by score, and promote nobody."""

from burnish.config import GateSettings
from burnish.gate.decide import decide, public_view
from burnish.gate.guards import Beside
from tests.gate.test_decide import comparison

SETTINGS = GateSettings(measures=("hallucination",))
BETTER = comparison([(30, 2, 68, "web")])


def judge(measured, better=BETTER):
    beside = Beside(measures={"hallucination": measured})
    return decide(better, SETTINGS, attempt=1, vault="vault_1", vault_hash="a" * 64, beside=beside)


def test_a_challenger_that_is_better_by_score_and_makes_more_up_is_held():
    verdict = judge(comparison([(1, 15, 84, "web")]))
    assert verdict.decision == "HOLD"
    assert "hallucination -14.0 points on 100 rows" in verdict.reason


def test_one_that_makes_up_no_more_is_promoted_and_the_guard_is_shown():
    verdict = judge(comparison([(2, 1, 97, "web")]))
    assert verdict.decision == "PROMOTE"
    assert [guard.passed for guard in verdict.guards if guard.name == "hallucination"] == [True]


def test_a_measure_without_a_row_cannot_be_told_and_promotes_nobody():
    verdict = judge(None)
    assert verdict.decision == "INCONCLUSIVE"
    assert "hallucination has no rows in this set" in verdict.reason
    assert verdict.rows_needed is None


def test_the_rows_that_would_tell_are_counted_by_the_rows_of_the_measure():
    """8 of the vault's 100 rows have a value: the vault has to grow by as much as they have to."""
    verdict = judge(comparison([(1, 1, 6, "web")]))
    assert verdict.decision == "INCONCLUSIVE"
    assert verdict.rows_needed > 100 * 100 / 8


def test_a_better_measure_does_not_make_up_for_a_score_that_is_no_better():
    assert judge(comparison([(40, 0, 60, "web")]), comparison([(3, 3, 94, "web")])).decision != "PROMOTE"


def test_nothing_of_a_measure_leaves_a_sealed_vault():
    shown = public_view(judge(comparison([(1, 15, 84, "web")])), retired=False)
    assert shown.guards == ()
    assert "hallucination" not in shown.reason
