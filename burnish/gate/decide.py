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
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from burnish.config import GateSettings
from burnish.gate.guards import (
    COMMONEST,
    NOTHING,
    Beside,
    checked,
    measure_guards,
    measured_pairs,
    neighbour_guards,
    no_gain_note,
    points,
    protected_guards,
    superiority,
)
from burnish.gate.pairs import (
    POWER,
    Pairs,
    chance_of_loss,
    detectable,
    discordance,
    loss_is_seen,
    pairs_of,
)
from burnish.records import Comparison, Decision, Guard, Verdict
from burnish.stats.beliefs import posterior_gain
from burnish.stats.groups import design_effect
from burnish.stats.planning import detectable_gain, rows_needed, rows_needed_no_loss

FIRST_SHARE = 0.6
"""Share of alpha for a vault's first attempt; the rest falls linearly: 0.03, 0.0125, 0.0075 of 0.05 for three."""
PLAN_DISCORDANCE = 0.30
"""Share of changed rows assumed where the true one is sealed."""
LIKELY, UNLIKELY = 0.8, 0.2
"""Chance of a worthwhile gain on dev from which an attempt is spent, and up to which the challenger is held."""


class PreCheck(NamedTuple):
    """Whether dev rows justify an attempt; `decision` is HOLD or INCONCLUSIVE when they do not."""

    go: bool
    decision: Decision
    reason: str
    probability: float
    """P(gain >= half of min_gain) given dev."""


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
    beside: Beside = NOTHING,
) -> Verdict:
    """The whole verdict on a challenger, sealed until the vault retires; show `public_view` of it.

    PROMOTE: every guard passed. HOLD: a guard failed with evidence. INCONCLUSIVE: too few rows to tell, with the number
    that would. `comparison` is champion against challenger on all rows of the vault. Where `beside` brings the
    commonest answer, the challenger has to beat that too, at the same level.
    """
    alpha = alpha_of_attempt(settings, attempt, spent)
    pairs = pairs_of(comparison)
    guards = (
        superiority(pairs, settings, alpha),
        *([superiority(pairs_of(beside.commonest), settings, alpha, COMMONEST)] if beside.commonest else []),
        *protected_guards(comparison, settings, alpha),
        *neighbour_guards(comparison, settings, beside),
        *measure_guards(settings, beside),
    )
    failed = [guard for guard in guards if guard.passed is False]
    unclear = [guard for guard in guards if guard.passed is None]
    decision: Decision = "HOLD" if failed else "INCONCLUSIVE" if unclear else "PROMOTE"
    needed = _rows_needed(settings, alpha, unclear, comparison, beside) if decision == "INCONCLUSIVE" else None
    return Verdict(
        decision=decision,
        reason=_reason(guards, failed, unclear, needed),
        vault=vault,
        vault_hash=vault_hash,
        attempt=attempt,
        alpha=alpha,
        num_rows=len(pairs.differences),
        detectable_gain=detectable(pairs, alpha),
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


def precheck(comparison: Comparison, settings: GateSettings, beside: Beside = NOTHING) -> PreCheck:
    """Whether dev justifies an attempt: P(gain >= min_gain / 2) >= 0.8 over champion and commonest answer, no loser.

    Costs no alpha since dev rows are not the vault's. Optimistic for a challenger picked on these rows as the best of
    many; that wastes attempts, never validity.
    """
    over_champion = _hope(comparison, settings, "the champion")
    if not _tells(pairs_of(comparison)):
        return over_champion
    losing = [guard for guard in neighbour_guards(comparison, settings, beside) if guard.passed is not True]
    losing += [
        checked(name, part, settings)
        for name, part in ((name, pairs_of(comparison, name)) for name in settings.protected)
        if part.differences and (loss_is_seen(part) or chance_of_loss(part, settings.margin) > 0.5)
    ]
    if losing:
        decision: Decision = "HOLD" if any(guard.passed is False for guard in losing) else "INCONCLUSIVE"
        return PreCheck(False, decision, f"On dev, {losing[0].note}; no attempt is spent.", over_champion.probability)
    over_commonest = _hope(beside.commonest, settings, COMMONEST) if beside.commonest else over_champion
    return min(over_champion, over_commonest, key=lambda hope: hope.probability)


def _hope(comparison: Comparison, settings: GateSettings, over: str) -> PreCheck:
    """Whether a worthwhile gain over one yardstick is likely enough."""
    pairs = pairs_of(comparison)
    if not _tells(pairs):
        return PreCheck(False, "INCONCLUSIVE", no_gain_note("the dev rows", pairs), 0.5)
    wanted = settings.min_gain / 2
    probability = posterior_gain(pairs.differences, wanted, pairs.groups)
    seen = f"chance of a gain of {points(wanted)} or more over {over} on dev is {probability:.0%}"
    if probability >= LIKELY:
        return PreCheck(True, "PROMOTE", f"The {seen}: worth an attempt.", probability)
    decision: Decision = "HOLD" if probability <= UNLIKELY else "INCONCLUSIVE"
    return PreCheck(False, decision, f"The {seen}, under the 80% that an attempt needs; none is spent.", probability)


def _tells(pairs: Pairs) -> bool:
    """Whether a gain could be seen on these rows at all."""
    return bool(pairs.differences) and not pairs.is_floor and not pairs.is_ceiling


def _rows_needed(
    settings: GateSettings, alpha: float, unclear: Sequence[Guard], comparison: Comparison, beside: Beside
) -> int | None:
    """Vault rows at which the unclear guards have power 0.8 if the effects are those seen; None: no number helps."""
    needed, total = [], len(comparison.differences)
    if alpha <= 0 or not total:
        return None
    for guard in unclear:
        part = _rows_of(guard, comparison, beside)
        if not part.differences or part.is_floor or (part.is_ceiling and guard.kind == "superiority"):
            continue
        effect = design_effect(part.differences, part.groups)
        if guard.kind == "superiority":
            gain = max(float(np.mean(part.differences)), settings.min_gain, 0.01)
            needed.append(effect * rows_needed(gain, discordance(part), alpha, POWER))
        elif settings.margin > 0:
            rows = rows_needed_no_loss(settings.margin, discordance(part), alpha, POWER)
            needed.append(effect * rows * total / len(part.differences))
    return max(total + 1, math.ceil(max(needed))) if needed else None


def _rows_of(guard: Guard, comparison: Comparison, beside: Beside) -> Pairs:
    """The rows that a guard looked at."""
    if guard.name in beside.measures:
        return measured_pairs(beside, guard.name)
    if guard.kind != "superiority":
        return pairs_of(comparison, guard.name)
    return pairs_of(beside.commonest if guard.name == COMMONEST and beside.commonest else comparison)


def _reason(guards: Sequence[Guard], failed: Sequence[Guard], unclear: Sequence[Guard], needed: int | None) -> str:
    if failed:
        return f"Held: {failed[0].note}."
    if unclear:
        more = f" About {needed} rows would tell." if needed else ""
        return f"Cannot tell: {unclear[0].note}.{more}"
    return f"Promoted: {guards[0].note}; no guard objects."


def _gains_above(gain: float) -> str:
    return "no gain at all" if gain > 1.0 else f"gains above {100 * gain:.0f} points"
