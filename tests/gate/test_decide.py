"""The gate says PROMOTE, HOLD or INCONCLUSIVE for the right reasons, and lets one bit out until the vault retires."""

from dataclasses import replace

import pytest

from burnish.config import GateSettings
from burnish.gate.decide import alpha_of_attempt, decide, is_retired, precheck, public_view
from burnish.gate.guards import Beside, protected_guards
from burnish.records import Comparison, Interval, SliceComparison, Verdict

NOTHING = Interval(value=None, low=None, high=None, n=0)
SETTINGS = GateSettings()


def comparison(rows: list[tuple[int, int, int, str]], *, champion: float = 0.6, group_size: int = 1) -> Comparison:
    """A comparison from (wins, losses, ties, channel) blocks; `champion` is the champion's score everywhere."""
    differences: list[float] = []
    slices: list[dict[str, str]] = []
    for wins, losses, ties, channel in rows:
        differences += [1.0] * wins + [-1.0] * losses + [0.0] * ties
        slices += [{"channel": channel}] * (wins + losses + ties)

    def part(name: str, n: int) -> SliceComparison:
        before = Interval(value=champion, low=None, high=None, n=n)
        return SliceComparison(
            slice=name, before=before, after=NOTHING, gain=NOTHING, wins=0, losses=0, ties=0, p_value=None
        )

    return Comparison(
        metric="accuracy",
        before_model="champion",
        after_model="challenger",
        overall=part("overall", len(differences)),
        slices=tuple(part(f"channel={row[3]}", sum(row[:3])) for row in rows),
        differences=tuple(differences),
        examples=tuple(str(i) for i in range(len(differences))),
        groups=tuple(str(i // group_size) for i in range(len(differences))),
        slice_of=tuple(slices),
    )


def judge(rows: list[tuple[int, int, int, str]], settings: GateSettings = SETTINGS, **more: object) -> Verdict:
    beside = Beside(solved_before=more.pop("solved_before", None), commonest=more.pop("commonest", None))
    return decide(comparison(rows, **more), settings, attempt=1, vault="vault_1", vault_hash="a" * 64, beside=beside)


def test_three_attempts_spend_alpha_as_the_design_says():
    assert [alpha_of_attempt(SETTINGS, t) for t in (1, 2, 3)] == pytest.approx([0.03, 0.0125, 0.0075])


@pytest.mark.parametrize("attempts", range(1, 11))
def test_any_number_of_attempts_spends_alpha_and_no_more(attempts):
    settings = GateSettings(attempts=attempts)
    levels = [alpha_of_attempt(settings, t) for t in range(1, attempts + 1)]
    assert sum(levels) == pytest.approx(0.05)
    assert levels == sorted(levels, reverse=True)


def test_settings_changed_between_attempts_cannot_raise_the_bound():
    spent = 0.0
    for attempt, attempts in [(1, 3), (2, 2), (3, 3), (4, 10)]:
        spent += alpha_of_attempt(GateSettings(attempts=attempts), attempt, spent)
    assert spent <= 0.05 + 1e-12


def test_no_alpha_left_promotes_nobody():
    settings = GateSettings(attempts=2)
    verdict = decide(comparison([(60, 0, 0, "web")]), settings, attempt=2, vault="v", vault_hash="", spent=0.05)
    assert (verdict.alpha, verdict.decision) == (0.0, "INCONCLUSIVE")


def test_an_attempt_on_a_vault_that_should_be_retired_is_our_mistake():
    with pytest.raises(AssertionError, match="should have been retired"):
        alpha_of_attempt(SETTINGS, 4)


def test_a_clear_gain_is_promoted():
    verdict = judge([(20, 2, 38, "web"), (12, 1, 27, "phone")])
    assert verdict.decision == "PROMOTE"
    assert verdict.reason.startswith("Promoted: better: gain +29.0 points")
    assert verdict.rows_needed is None


def test_one_win_in_thirty_rows_cannot_be_told_and_says_how_many_rows_would():
    verdict = judge([(1, 0, 29, "web")])
    assert verdict.decision == "INCONCLUSIVE"
    assert verdict.rows_needed is not None
    assert verdict.rows_needed > 100
    assert f"About {verdict.rows_needed} rows would tell" in verdict.reason


def test_a_clear_loss_is_held():
    verdict = judge([(2, 20, 78, "web")])
    assert verdict.decision == "HOLD"
    assert "worse: gain -18.0 points" in verdict.reason


def test_a_gain_too_small_to_matter_is_held_once_the_vault_is_large_enough_to_know():
    assert judge([(10, 10, 980, "web")]).decision == "HOLD"
    assert judge([(10, 10, 40, "web")]).decision == "INCONCLUSIVE"


def test_a_neighbour_that_clearly_loses_holds_a_better_challenger():
    verdict = judge([(60, 2, 58, "web"), (0, 12, 18, "phone")])
    assert verdict.decision == "HOLD"
    assert "channel=phone changed by -40.0 points on 30 rows, a loss at Holm p" in verdict.reason


def test_a_proven_loss_below_the_margin_counts_as_no_loss():
    """A base that calls everything ham has all ham right: 1.6% of it lost is the price of finding the spam."""
    verdict = judge([(0, 8, 492, "ham"), (90, 0, 10, "spam")])
    assert verdict.decision == "PROMOTE"


def test_an_unguarded_slice_may_lose():
    blocks = [(0, 6, 24, "most common label"), (60, 0, 30, "others")]
    vault = {"attempt": 1, "vault": "v", "vault_hash": ""}
    lucky = Beside(unguarded={"channel=most common label"})
    assert decide(comparison(blocks), SETTINGS, **vault).decision == "HOLD"
    assert decide(comparison(blocks), SETTINGS, **vault, beside=lucky).decision == "PROMOTE"
    assert not precheck(comparison(blocks), SETTINGS).go
    assert precheck(comparison(blocks), SETTINGS, lucky).go


def test_a_model_that_only_knows_the_commonest_answer_is_not_promoted_over_a_base_that_knows_less():
    over_base, over_commonest = [(60, 2, 38, "web")], comparison([(0, 0, 100, "web")])
    assert judge(over_base).decision == "PROMOTE"
    verdict = judge(over_base, commonest=over_commonest)
    assert verdict.decision == "HOLD"
    assert "a gain worth having is ruled out: gain over the commonest answer +0.0 points" in verdict.reason
    few = judge(over_base, commonest=comparison([(4, 1, 95, "web")]))
    assert few.decision == "INCONCLUSIVE"
    assert few.rows_needed > 100
    check = precheck(comparison(over_base), SETTINGS, Beside(commonest=over_commonest))
    assert not check.go
    assert "over the commonest answer" in check.reason


def test_a_model_that_beats_base_and_commonest_answer_is_promoted_and_both_guards_are_shown():
    verdict = judge([(60, 2, 38, "web")], commonest=comparison([(40, 8, 52, "web")]))
    assert verdict.decision == "PROMOTE"
    shown = {guard.name: guard.passed for guard in verdict.guards if guard.kind == "superiority"}
    assert shown == {"overall": True, "the commonest answer": True}


def test_rows_without_a_group_are_their_own():
    rows = comparison([(20, 2, 38, "web")])
    bare = replace(rows, groups=("",) * len(rows.groups))
    vault = {"attempt": 1, "vault": "v", "vault_hash": ""}
    assert decide(bare, SETTINGS, **vault) == decide(rows, SETTINGS, **vault)


def test_a_neighbour_that_loses_a_row_does_not_block():
    verdict = judge([(30, 2, 58, "web"), (2, 1, 12, "phone")])
    assert verdict.decision == "PROMOTE"


def test_a_neighbour_that_probably_loses_blocks_without_being_called_worse():
    verdict = judge([(9, 0, 91, "web"), (0, 3, 9, "phone")])
    phone = next(guard for guard in verdict.guards if guard.name == "channel=phone")
    assert verdict.decision == "INCONCLUSIVE"
    assert phone.passed is None
    assert "likely" in phone.note


def test_rows_solved_by_earlier_rounds_are_guarded():
    lost = comparison([(0, 9, 51, "web")], champion=1.0)
    verdict = judge([(30, 2, 58, "web")], solved_before=lost)
    assert verdict.decision == "HOLD"
    assert "rows solved before" in verdict.reason


def test_a_protected_slice_must_be_proven_and_too_few_rows_are_no_rejection():
    settings = GateSettings(protected=("channel=phone",))
    verdict = judge([(30, 2, 58, "web"), (2, 0, 28, "phone")], settings)
    assert verdict.decision == "INCONCLUSIVE"
    assert "not proven: channel=phone" in verdict.reason
    assert verdict.rows_needed is not None
    assert judge([(30, 2, 58, "web"), (6, 0, 94, "phone")], settings).decision == "PROMOTE"


def test_a_protected_slice_that_is_seen_to_lose_holds():
    verdict = judge([(40, 2, 58, "web"), (0, 6, 24, "phone")], GateSettings(protected=("channel=phone",)))
    assert verdict.decision == "HOLD"


def test_a_protected_slice_without_rows_is_not_passed_over():
    verdict = judge([(40, 2, 58, "web")], GateSettings(protected=("channel=fax",)))
    assert verdict.decision == "INCONCLUSIVE"
    assert "channel=fax has no rows" in verdict.reason


def test_under_400_rows_only_the_first_protected_slice_is_proven():
    settings = GateSettings(protected=("channel=web", "channel=phone"))
    few = protected_guards(comparison([(9, 0, 91, "web"), (9, 0, 91, "phone")]), settings, 0.03)
    many = protected_guards(comparison([(9, 0, 191, "web"), (9, 0, 191, "phone")]), settings, 0.03)
    assert [guard.kind for guard in few] == ["non-inferiority", "checked"]
    assert few[1].note.startswith("CHECKED, not proven: channel=phone")
    assert [guard.kind for guard in many] == ["non-inferiority", "non-inferiority"]


def test_zero_to_zero_is_no_information_rather_than_no_loss():
    verdict = judge([(0, 0, 500, "web")], champion=0.0)
    assert verdict.decision == "INCONCLUSIVE"
    assert "no information" in verdict.reason
    protected = judge([(0, 0, 200, "web")], GateSettings(protected=("channel=web",)), champion=0.0)
    assert all(guard.passed is not False for guard in protected.guards)
    assert protected.guards[1].passed is None


def test_a_champion_that_has_everything_right_leaves_no_gain_to_see():
    """100% before and after is no evidence against the challenger, and no slice of it blocks."""
    verdict = judge([(0, 0, 500, "web")], champion=1.0)
    assert verdict.decision == "INCONCLUSIVE"
    assert "no gain can be seen there" in verdict.reason
    assert verdict.rows_needed is None
    assert all(guard.passed for guard in verdict.guards[1:])
    assert precheck(comparison([(0, 0, 500, "web")], champion=1.0), SETTINGS)[:2] == (False, "INCONCLUSIVE")


def test_rows_of_one_group_support_no_promotion():
    assert judge([(30, 0, 0, "web")], group_size=30).decision == "INCONCLUSIVE"


def test_grouped_rows_prove_less_than_their_number():
    rows = [(9, 1, 50, "web")]
    assert judge(rows).decision == "PROMOTE"
    assert judge(rows, group_size=10).decision == "INCONCLUSIVE"
    assert judge(rows, group_size=10).detectable_gain > judge(rows).detectable_gain


def test_a_sealed_vault_lets_out_one_bit():
    """HOLD and INCONCLUSIVE look alike to everybody outside until the vault retires: the alpha argument needs it."""
    held = public_view(judge([(2, 20, 38, "web")]), retired=False)
    unclear = public_view(judge([(4, 2, 54, "web")]), retired=False)
    assert held == unclear
    assert (held.guards, held.rows_needed, held.decision) == ((), None, "INCONCLUSIVE")


def test_a_retired_vault_tells_everything():
    verdict = judge([(2, 20, 38, "web")])
    assert public_view(verdict, retired=True) == verdict
    promoted = judge([(20, 2, 38, "web")])
    assert is_retired(promoted, SETTINGS)
    assert public_view(promoted, retired=True).guards
    assert not is_retired(verdict, SETTINGS)
    assert is_retired(replace(verdict, attempt=3), SETTINGS)


def test_the_same_comparison_gives_the_same_verdict():
    rows = [(9, 3, 50, "web"), (3, 2, 20, "phone")]
    assert judge(rows, group_size=2) == judge(rows, group_size=2)


def test_a_good_chance_on_dev_is_worth_an_attempt():
    check = precheck(comparison([(15, 3, 42, "web")]), SETTINGS)
    assert check.go
    assert check.probability > 0.95


def test_a_poor_chance_on_dev_spends_no_attempt():
    worse = precheck(comparison([(2, 12, 46, "web")]), SETTINGS)
    unclear = precheck(comparison([(4, 2, 54, "web")]), SETTINGS)
    assert (worse.go, worse.decision) == (False, "HOLD")
    assert (unclear.go, unclear.decision) == (False, "INCONCLUSIVE")
    assert "under the 80% that an attempt needs" in unclear.reason


def test_a_slice_that_loses_on_dev_spends_no_attempt():
    blocks = [(40, 2, 58, "web"), (0, 8, 22, "phone")]
    assert precheck(comparison(blocks), SETTINGS).decision == "HOLD"
    assert precheck(comparison(blocks), GateSettings(protected=("channel=phone",))).decision == "HOLD"


def test_no_dev_rows_are_no_chance():
    assert precheck(comparison([]), SETTINGS)[:2] == (False, "INCONCLUSIVE")
