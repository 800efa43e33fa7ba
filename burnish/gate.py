"""The gate: one question to a sealed vault, "is the challenger better, and worse nowhere that matters?".

Why any number of rounds may ask (the protocol; after ease.ml/ci, Renggli et al. 2019, arXiv 1903.00278). Until a vault
is retired the gate lets one bit out: promoted or not. A vault is retired at its first promotion, so before that the
only transcript anybody can have seen is "no, no, ...". The t-th challenger, however it was tuned, is then a fixed
function of t and of data outside the vault, its false-promotion rate is at most alpha_t, and a vault's is at most
alpha_1 + ... + alpha_T = alpha. A second bit would double the transcripts at each attempt and break the sum. So HOLD
and INCONCLUSIVE, which differ by what the vault says, are told apart in public only when the vault retires: see
`public_view`. Whoever calls `decide` writes the look to the ledger before the vault is read.

Promotion needs every guard (an intersection-union test, Berger 1982), each at alpha_t with no correction between them.
Superiority of ungrouped 0/1 scores is tested exactly, so the bound holds at any n; with grouped rows or other scores it
holds as far as group-robust t and sign-flip do. All of it for independent groups drawn from the population that the
vault stands for; not after that population drifts.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from burnish.config import GateSettings
from burnish.records import Comparison, Decision, Guard, Verdict
from burnish.stats import (
    Belief,
    belief_of_gain,
    design_effect,
    detectable_gain,
    holm,
    noninferiority_p,
    paired_interval,
    paired_p,
    posterior_gain,
    rows_needed,
    rows_needed_no_loss,
    shrink_gains,
    superiority_p,
)

Kind = Literal["superiority", "non-inferiority", "checked"]

FIRST_SHARE = 0.6
"""Share of alpha for a vault's first attempt; the rest falls linearly: 0.03, 0.0125, 0.0075 of 0.05 for three."""
POWER = 0.8
EVIDENCE = 0.05
"""Level at which a loss counts as seen, Holm-adjusted over the slices that are not protected."""
PLAN_DISCORDANCE = 0.30
"""Share of changed rows assumed where the true one is sealed."""
ROWS_FOR_TWO_PROOFS = 400
"""Below this many vault rows only the first protected slice is proven; the others are checked and labelled so."""
CHECKED_BELIEF = 0.2
"""A checked slice passes when the chance of a loss beyond the margin is at most this."""
MIN_SLICE_ROWS = 5
"""Smaller slices are left to the overall comparison: they can neither show nor exclude anything."""


class PreCheck(NamedTuple):
    """Whether dev rows justify an attempt; `decision` is HOLD or INCONCLUSIVE when they do not."""

    go: bool
    decision: Decision
    reason: str
    probability: float
    """P(gain >= half of min_gain) given dev."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The paired differences of a set of rows."""

    differences: tuple[float, ...]
    groups: tuple[str, ...]
    is_floor: bool
    """Both models score 0 on every row: a broken metric looks like this, so it says nothing."""
    is_ceiling: bool = False
    """Both models score 1 on every row: no gain can be seen there, though a loss could."""


def alpha_of_attempt(settings: GateSettings, attempt: int, spent: float = 0.0) -> float:
    """Level of a vault's attempt 1 ... T: 0.6 alpha first, then 0.4 alpha in the proportions T - t + 1.5.

    Never more than is left of alpha after `spent`, the sum of the levels of this vault's earlier looks, so that changed
    settings cannot raise a vault's bound.
    """
    total = settings.attempts
    assert 1 <= attempt <= total, f"attempt {attempt} of {total}: this vault should have been retired"
    if total == 1:
        share = 1.0
    elif attempt == 1:
        share = FIRST_SHARE
    else:
        weights = [total - t + 1.5 for t in range(2, total + 1)]
        share = (1 - FIRST_SHARE) * (total - attempt + 1.5) / sum(weights)
    return max(0.0, min(settings.alpha * share, settings.alpha - spent))


def decide(
    comparison: Comparison,
    settings: GateSettings,
    *,
    attempt: int,
    vault: str,
    vault_hash: str,
    spent: float = 0.0,
    solved_before: Comparison | None = None,
    unguarded: Collection[str] = (),
) -> Verdict:
    """The whole verdict on a challenger, sealed until the vault retires; show `public_view` of it.

    PROMOTE: every guard passed. HOLD: a guard failed with evidence. INCONCLUSIVE: too few rows to tell, with the number
    that would. `comparison` is champion against challenger on all rows of the vault, `solved_before` the same on rows
    outside it that an earlier promoted model answered right. `unguarded` names columns whose slices may lose: the
    expected answer, as long as the champion is the untuned base, since a model that says one label to everything scores
    100% on that label.
    """
    alpha = alpha_of_attempt(settings, attempt, spent)
    pairs = pairs_of(comparison)
    guards = (
        superiority(pairs, settings, alpha),
        *protected_guards(comparison, settings, alpha),
        *neighbour_guards(comparison, settings, solved_before, unguarded),
    )
    failed = [guard for guard in guards if guard.passed is False]
    unclear = [guard for guard in guards if guard.passed is None]
    decision: Decision = "HOLD" if failed else "INCONCLUSIVE" if unclear else "PROMOTE"
    needed = _rows_needed(comparison, settings, alpha, unclear) if decision == "INCONCLUSIVE" else None
    return Verdict(
        decision=decision,
        reason=_reason(guards, failed, unclear, needed),
        vault=vault,
        vault_hash=vault_hash,
        attempt=attempt,
        alpha=alpha,
        num_rows=len(pairs.differences),
        detectable_gain=_detectable(pairs, alpha),
        guards=guards,
        rows_needed=needed,
    )


def is_retired(verdict: Verdict, settings: GateSettings) -> bool:
    """True when the vault may be opened after this verdict: it promoted, or its last attempt is spent."""
    return verdict.decision == "PROMOTE" or verdict.attempt >= settings.attempts


def public_view(verdict: Verdict, *, retired: bool) -> Verdict:
    """What may leave the gate: everything once the vault is retired, before that only whether it promoted.

    A sealed vault that did not promote reads INCONCLUSIVE ("not proven"), and the gain it can prove is the planned one,
    as the observed share of changed rows is sealed too.
    """
    if retired or verdict.decision == "PROMOTE":
        return verdict
    planned = detectable_gain(verdict.num_rows, PLAN_DISCORDANCE, verdict.alpha, POWER)
    reason = (
        f"Not proven on vault {verdict.vault} (attempt {verdict.attempt}, {verdict.num_rows} rows, which prove "
        f"{_gains_above(planned)}). The details stay sealed until this vault is retired."
    )
    return replace(
        verdict, decision="INCONCLUSIVE", reason=reason, guards=(), rows_needed=None, detectable_gain=min(planned, 1.0)
    )


def precheck(comparison: Comparison, settings: GateSettings, *, unguarded: Collection[str] = ()) -> PreCheck:
    """Whether a dev comparison justifies spending an attempt: P(gain >= min_gain / 2) >= 0.8, and no slice that loses.

    Costs no alpha since dev rows are not the vault's. Optimistic for a challenger picked on these rows as the best of
    many; that wastes attempts, never validity.
    """
    pairs = pairs_of(comparison)
    if not pairs.differences or pairs.is_floor or pairs.is_ceiling:
        return PreCheck(False, "INCONCLUSIVE", _no_gain_note("the dev rows", pairs), 0.5)
    wanted = settings.min_gain / 2
    probability = posterior_gain(pairs.differences, wanted, pairs.groups)
    losing = [guard for guard in neighbour_guards(comparison, settings, None, unguarded) if guard.passed is not True]
    losing += [
        _checked(name, part, settings)
        for name, part in ((name, pairs_of(comparison, name)) for name in settings.protected)
        if part.differences and (_loss_is_seen(part) or _chance_of_loss(part, settings.margin) > 0.5)
    ]
    seen = f"chance of a gain of {_points(wanted)} or more on dev is {probability:.0%}"
    if losing:
        decision: Decision = "HOLD" if any(guard.passed is False for guard in losing) else "INCONCLUSIVE"
        return PreCheck(False, decision, f"On dev, {losing[0].note}; no attempt is spent.", probability)
    if probability >= 0.8:
        return PreCheck(True, "PROMOTE", f"The {seen}: worth an attempt.", probability)
    decision = "HOLD" if probability <= 0.2 else "INCONCLUSIVE"
    return PreCheck(False, decision, f"The {seen}, under the 80% that an attempt needs; none is spent.", probability)


# Guards ---------------------------------------------------------------------------------------------------------------


def superiority(pairs: Pairs, settings: GateSettings, alpha: float) -> Guard:
    """Is the challenger better over all rows? Failed: worse, or a gain of min_gain is ruled out at 95% one-sided."""
    if not pairs.differences or pairs.is_floor or pairs.is_ceiling:
        return _guard("overall", "superiority", 0.0, None, None, _no_gain_note("the vault", pairs))
    p = superiority_p(pairs.differences, pairs.groups)
    gain = paired_interval(pairs.differences, pairs.groups, alpha=2 * EVIDENCE)
    if p is None or gain.high is None or gain.value is None:
        return _guard("overall", "superiority", 0.0, None, None, "all rows are of one group, which supports no test")
    seen = f"gain {_points(gain.value, signed=True)}, one-sided p {p:.3g} at level {alpha:.3g}"
    if p < alpha:
        return _guard("overall", "superiority", 0.0, p, True, f"better: {seen}")
    if gain.high < 0:
        return _guard("overall", "superiority", 0.0, p, False, f"worse: {seen}")
    if gain.high < settings.min_gain:
        return _guard("overall", "superiority", 0.0, p, False, f"a gain worth having is ruled out: {seen}")
    return _guard("overall", "superiority", 0.0, p, None, f"not proven: {seen}")


def protected_guards(comparison: Comparison, settings: GateSettings, alpha: float) -> tuple[Guard, ...]:
    """One guard per protected slice, proven at alpha; under 400 rows only the first is proven, the others checked."""
    proven = len(settings.protected) if len(comparison.differences) >= ROWS_FOR_TWO_PROOFS else 1
    guards = []
    for place, name in enumerate(settings.protected):
        pairs = pairs_of(comparison, name)
        guards.append(_proven(name, pairs, settings, alpha) if place < proven else _checked(name, pairs, settings))
    return tuple(guards)


def neighbour_guards(
    comparison: Comparison,
    settings: GateSettings,
    solved_before: Comparison | None = None,
    unguarded: Collection[str] = (),
) -> tuple[Guard, ...]:
    """One guard per slice that is not protected, and one for rows solved before: they block, they prove nothing.

    Failed: a loss is seen, Holm-adjusted, and it is larger than the margin. Unclear: after shrinkage a loss beyond the
    margin is likelier than not.
    """
    names = (name for name in slice_names(comparison) if name.partition("=")[0] not in unguarded)
    named = {name: pairs_of(comparison, name) for name in names if name not in settings.protected}
    if solved_before is not None:
        named["rows solved before"] = pairs_of(solved_before)
    named = {name: pairs for name, pairs in named.items() if len(pairs.differences) >= MIN_SLICE_ROWS}
    p_of_loss = [paired_p(_negated(pairs), pairs.groups) for pairs in named.values()]
    adjusted = holm(p_of_loss)
    beliefs = shrink_gains([belief_of_gain(pairs.differences, pairs.groups) for pairs in named.values()])
    guards = []
    for (name, pairs), p, belief in zip(named.items(), adjusted, beliefs, strict=True):
        chance = _chance_below(belief, -settings.margin)
        seen = f"{name} changed by {_points(float(np.mean(pairs.differences)), signed=True)} on {_rows(pairs)}"
        if pairs.is_floor:
            guards.append(_guard(name, "checked", settings.margin, None, True, f"no information: {_floor_note(name)}"))
        elif p is not None and p < EVIDENCE and float(np.mean(pairs.differences)) < -settings.margin:
            guards.append(_guard(name, "checked", settings.margin, p, False, f"{seen}, a loss at Holm p {p:.3g}"))
        elif chance > 0.5:
            note = f"{seen}, a loss beyond {_points(settings.margin)} is likely ({chance:.0%})"
            guards.append(_guard(name, "checked", settings.margin, p, None, note))
        else:
            guards.append(_guard(name, "checked", settings.margin, p, True, f"{seen}, no loss seen"))
    return tuple(guards)


def _proven(name: str, pairs: Pairs, settings: GateSettings, alpha: float) -> Guard:
    margin = settings.margin
    if not pairs.differences or pairs.is_floor:
        return _guard(name, "non-inferiority", margin, None, None, _floor_note(name, pairs))
    p = noninferiority_p(pairs.differences, margin, pairs.groups)
    seen = f"{name} {_points(float(np.mean(pairs.differences)), signed=True)} on {_rows(pairs)}"
    if p is not None and p < alpha:
        return _guard(name, "non-inferiority", margin, p, True, f"PROVEN: {seen}, loss below {_points(margin)}")
    if _loss_is_seen(pairs):
        return _guard(name, "non-inferiority", margin, p, False, f"worse: {seen}")
    return _guard(name, "non-inferiority", margin, p, None, f"not proven: {seen}, loss below {_points(margin)} open")


def _checked(name: str, pairs: Pairs, settings: GateSettings) -> Guard:
    margin = settings.margin
    if not pairs.differences or pairs.is_floor:
        return _guard(name, "checked", margin, None, None, _floor_note(name, pairs))
    chance = _chance_of_loss(pairs, margin)
    seen = f"{name} {_points(float(np.mean(pairs.differences)), signed=True)} on {_rows(pairs)}"
    note = f"CHECKED, not proven: {seen}, chance of a loss beyond {_points(margin)} {chance:.0%}"
    if _loss_is_seen(pairs):
        return _guard(name, "checked", margin, None, False, f"worse: {note}")
    return _guard(name, "checked", margin, None, True if chance <= CHECKED_BELIEF else None, note)


# Reading a comparison -------------------------------------------------------------------------------------------------


def slice_names(comparison: Comparison) -> tuple[str, ...]:
    """Every "column=value" of the rows, sorted."""
    return tuple(sorted({f"{column}={value}" for row in comparison.slice_of for column, value in row.items()}))


def pairs_of(comparison: Comparison, name: str | None = None) -> Pairs:
    """The pairs of all rows, or of the slice `name` ("column=value"); a row without a group is its own."""
    places: Sequence[int] = range(len(comparison.differences))
    if name is not None:
        column, _, value = name.partition("=")
        places = [place for place, row in enumerate(comparison.slice_of) if row.get(column) == value]
    differences = tuple(comparison.differences[place] for place in places)
    return Pairs(
        differences=differences,
        groups=tuple(comparison.groups[place] or comparison.examples[place] for place in places),
        is_floor=not any(differences) and _champion_at(0.0, comparison, name),
        is_ceiling=not any(differences) and _champion_at(1.0, comparison, name),
    )


def _champion_at(score: float, comparison: Comparison, name: str | None) -> bool:
    named: Mapping[str, float | None] = {part.slice: part.before.value for part in comparison.slices}
    value = comparison.overall.before.value if name is None else named.get(name)
    return value == score


def _negated(pairs: Pairs) -> list[float]:
    return [-difference for difference in pairs.differences]


def _loss_is_seen(pairs: Pairs) -> bool:
    p = paired_p(_negated(pairs), pairs.groups)
    return p is not None and p < EVIDENCE


def _chance_of_loss(pairs: Pairs, margin: float) -> float:
    return 1.0 - posterior_gain(pairs.differences, -margin, pairs.groups)


def _chance_below(belief: Belief, threshold: float) -> float:
    return 0.5 * math.erfc((belief.mean - threshold) / (belief.sd * math.sqrt(2)))


# Power and words ------------------------------------------------------------------------------------------------------


def _discordance(pairs: Pairs) -> float:
    """Mean squared difference, with the two rows that the prior of a posterior weighs, so that it is never 0."""
    n = len(pairs.differences)
    return (sum(d * d for d in pairs.differences) + 1.0) / (n + 2)


def _detectable(pairs: Pairs, alpha: float) -> float:
    rows = len(pairs.differences) / design_effect(pairs.differences, pairs.groups) if pairs.differences else 0
    gain = detectable_gain(int(rows), _discordance(pairs), alpha, POWER) if alpha > 0 else math.inf
    return min(gain, 1.0)


def _rows_needed(comparison: Comparison, settings: GateSettings, alpha: float, unclear: Sequence[Guard]) -> int | None:
    """Vault rows at which the unclear guards have power 0.8 if the effects are those seen; None: no number helps."""
    pairs, needed = pairs_of(comparison), []
    if alpha <= 0 or not pairs.differences:
        return None
    total = len(pairs.differences)
    for guard in unclear:
        part = pairs if guard.name == "overall" else pairs_of(comparison, guard.name)
        if not part.differences or part.is_floor or (part.is_ceiling and guard.kind == "superiority"):
            continue
        effect = design_effect(part.differences, part.groups)
        if guard.kind == "superiority":
            gain = max(float(np.mean(part.differences)), settings.min_gain, 0.01)
            needed.append(effect * rows_needed(gain, _discordance(part), alpha, POWER))
        elif settings.margin > 0:
            rows = rows_needed_no_loss(settings.margin, _discordance(part), alpha, POWER)
            needed.append(effect * rows * total / len(part.differences))
    return max(total + 1, math.ceil(max(needed))) if needed else None


def _reason(guards: Sequence[Guard], failed: Sequence[Guard], unclear: Sequence[Guard], needed: int | None) -> str:
    if failed:
        return f"Held: {failed[0].note}."
    if unclear:
        more = f" About {needed} rows would tell." if needed else ""
        return f"Cannot tell: {unclear[0].note}.{more}"
    return f"Promoted: {guards[0].note}; no guard objects."


def _guard(name: str, kind: Kind, margin: float, p: float | None, passed: bool | None, note: str) -> Guard:
    return Guard(name=name, kind=kind, margin=margin, p_value=p, passed=passed, note=note)


def _no_gain_note(name: str, pairs: Pairs) -> str:
    if pairs.is_ceiling:
        return f"{name} gives no information: both models score 100% on every row, so no gain can be seen there"
    return _floor_note(name)


def _floor_note(name: str, pairs: Pairs | None = None) -> str:
    if pairs is not None and not pairs.differences:
        return f"{name} has no rows in this set"
    return f"{name} gives no information: no rows, or both models score 0 on every one of them"


def _rows(pairs: Pairs) -> str:
    return f"{len(pairs.differences)} rows"


def _points(gain: float, *, signed: bool = False) -> str:
    return f"{100 * gain:{'+' if signed else ''}.1f} points"


def _gains_above(gain: float) -> str:
    return "no gain at all" if gain > 1.0 else f"gains above {100 * gain:.0f} points"
