"""Asking the gate: a pre-check on dev_b, then one look at a sealed vault, written down before it is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burnish.data.dataset import set_hash
from burnish.evaluate.commonest import commonest_evaluation
from burnish.evaluate.compare import compare
from burnish.evaluate.files import save_evaluation
from burnish.evaluate.skill import slices_without_skill
from burnish.gate.decide import alpha_of_attempt, decide, is_retired, precheck, public_view
from burnish.gate.guards import Beside
from burnish.loop.choose import Choice
from burnish.loop.guarding import guard_comparisons
from burnish.loop.judged import objections
from burnish.loop.kit import Kit
from burnish.loop.side import Side
from burnish.loop.stages import Shop, score_stage
from burnish.records import Comparison, Decision, Evaluation, Example, ModelVersion, Verdict, as_json, from_json
from burnish.registry import get
from burnish.review.standing import JudgedReport
from burnish.store.failpoints import failpoint
from burnish.store.looks import append_look, attempt_of, finish_look, looks

GATE_VERSION = 3
SOLVED = 0.5
"""Score from which a row counts as solved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What leaves the gate: the verdict as the public may see it, and whether its vault is now open."""

    verdict: Verdict
    retired: bool = False


def ask_gate(
    shop: Shop,
    champion: ModelVersion,
    choice: Choice,
    after: Evaluation,
    kit: Kit,
    *,
    shots: Sequence[Example],
    judged: JudgedReport | None = None,
) -> Ruling:
    """The gate's ruling on a challenger. A vault is spent only on one that dev_b gives a fair chance, and whose answers
    people, with a judge where one is admitted, do not find worse.

    `after` is the challenger on dev_a, `shots` what the champion is shown when it is the untuned base, and `kit` what
    the measures of gate.measures rest on.
    """
    settings = shop.project.settings.gate
    if not choice.trial.learned:
        loss, guess = choice.trial.dev_loss, shop.bench.guessing_loss
        seen = "no finite loss" if loss is None else f"a held-out loss of {loss:.2f} nats per token"
        return _no_look("HOLD", f"Training learned nothing: {seen}, where guessing costs {guess:.2f}.")
    if against := objections(judged):
        return _no_look("HOLD", f"Held: {against} No vault was opened.")
    before = score_stage(shop, champion, "dev_b", shots=shots)
    beside = Beside(
        commonest=_over_commonest(shop, choice.on_dev_b, shop.seeds.of("dev_b")),
        unguarded=_unguarded(shop, champion, shots),
    )
    check = precheck(compare(before, choice.on_dev_b), settings, beside)
    if not check.go:
        return _no_look(check.decision, f"{check.reason} No vault was opened.")
    vault = _usable_vault(shop, choice)
    if not vault:
        return _no_look("INCONCLUSIVE", "No vault is left: every one was used. Add labelled examples.")
    hearing = _Hearing(
        shop=shop,
        champion=champion,
        challenger=choice.challenger,
        vault=vault,
        shots=shots,
        beside=replace(beside, commonest=None, solved_before=solved_before(shop, champion, after)),
        kit=kit,
    )
    return _look(hearing)


def _usable_vault(shop: Shop, choice: Choice) -> str:
    """The oldest vault that may still judge this challenger; empty when there is none."""
    attempts, store = shop.project.settings.gate.attempts, shop.project.store
    for vault in shop.seeds.vaults:
        if attempt_of(store, set_hash(shop.seeds.of(vault)), choice.challenger.adapter_hash) <= attempts:
            return vault
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hearing:
    """Who is compared on which vault, and what else the gate looks at."""

    shop: Shop
    champion: ModelVersion
    challenger: ModelVersion
    vault: str
    shots: Sequence[Example]
    """What the champion is shown."""
    beside: Beside
    kit: Kit

    @property
    def rows(self) -> Sequence[Example]:
        """The vault's."""
        return self.shop.seeds.of(self.vault)


def _look(hearing: _Hearing) -> Ruling:
    """One look, written down before the vault is read."""
    shop, rows, challenger = hearing.shop, hearing.rows, hearing.challenger
    store, settings, vault_hash = shop.project.store, shop.project.settings.gate, set_hash(rows)
    attempt = attempt_of(store, vault_hash, challenger.adapter_hash)
    spent = sum(look.alpha for look in looks(store, vault_hash) if look.attempt < attempt)
    alpha = alpha_of_attempt(settings, attempt, spent)
    look = append_look(store, vault_hash, attempt, challenger.adapter_hash, alpha)

    def work(folder: Path) -> dict[str, Any]:
        return _judged(hearing, folder, attempt, spent)

    asked = {"gate": settings.model_dump(mode="json"), "attempt": attempt, "spent": spent}
    sealed = shop.run("gate", GATE_VERSION, asked, _inputs(hearing), 120 * len(rows), work)
    verdict = from_json(Verdict, sealed.record["verdict"])
    finish_look(store, look, verdict.decision)
    retired = is_retired(verdict, settings)
    return Ruling(verdict=public_view(verdict, retired=retired), retired=retired)


def _judged(hearing: _Hearing, folder: Path, attempt: int, spent: float) -> dict[str, Any]:
    """Both models' answers to the vault, kept in the folder, and the verdict on them."""
    shop, rows = hearing.shop, hearing.rows
    asked = ((hearing.champion, hearing.shots), (hearing.challenger, ()))
    seen = [
        shop.bench.score(model, shop.seeds.task, rows, columns=shop.seeds.columns, shots=shown)
        for model, shown in asked
    ]
    for evaluation, name in zip(seen, ("champion", "challenger"), strict=True):
        (folder / name).mkdir(exist_ok=True)
        save_evaluation(folder / name, evaluation)
    old, new = (Side(model, said, shown) for (model, shown), said in zip(asked, seen, strict=True))
    guarded = guard_comparisons(shop, hearing.kit, old, new, rows)
    failpoint("gate.decide")
    commonest = _over_commonest(shop, seen[1], rows)
    verdict = decide(
        compare(*seen),
        shop.project.settings.gate,
        attempt=attempt,
        vault=hearing.vault,
        vault_hash=set_hash(rows),
        spent=spent,
        beside=replace(hearing.beside, commonest=commonest, measures=guarded.comparisons),
    )
    num_tokens = sum(evaluation.num_tokens for evaluation in seen) + guarded.num_tokens
    return {"verdict": as_json(verdict), "num_tokens": num_tokens}


def _inputs(hearing: _Hearing) -> dict[str, str]:
    seeds = hearing.shop.seeds
    return {
        "champion": hearing.champion.adapter_hash,
        "challenger": hearing.challenger.adapter_hash,
        "vault": set_hash(hearing.rows),
        "shots": set_hash(hearing.shots),
        "base": hearing.shop.bench.base.base_hash,
        "dev_a": set_hash(seeds.of("dev_a")),
        "train": set_hash(seeds.of("train")),
        "kit": hearing.kit.identity if hearing.shop.project.settings.gate.measures else "",
    }


def _over_commonest(shop: Shop, after: Evaluation, rows: Sequence[Example]) -> Comparison:
    """The commonest answer of train against the challenger, on the rows that it was just asked."""
    return compare(commonest_evaluation(shop.seeds.task, shop.seeds.of("train"), after, rows), after)


def _unguarded(shop: Shop, champion: ModelVersion, shots: Sequence[Example]) -> frozenset[str]:
    """Slices that may lose: where an untuned base is right on dev_a by luck alone. A tuned champion's are all guarded.

    Only labels can be dealt out at random; of fields and text every slice is guarded.
    """
    if champion.artifact or shop.seeds.task.kind != "label":
        return frozenset()
    return slices_without_skill(score_stage(shop, champion, "dev_a", shots=shots))


def solved_before(shop: Shop, champion: ModelVersion, after: Evaluation) -> Comparison | None:
    """Champion and challenger on the dev_a rows that the model before the champion solved; None in the first round.

    Rows picked by what the champion itself solved could only get worse, so its predecessor picks them.
    """
    if not champion.parents:
        return None
    parent = score_stage(shop, get(shop.project.store, champion.parents[0]), "dev_a")
    solved = {name for name, score in parent.score_of().items() if score is not None and score >= SOLVED}
    if not solved:
        return None
    before = score_stage(shop, champion, "dev_a")
    return compare(_only(before, solved), _only(after, solved))


def _only(evaluation: Evaluation, examples: set[str]) -> Evaluation:
    return replace(evaluation, rows=tuple(row for row in evaluation.rows if row.example in examples))


def _no_look(decision: Decision, reason: str) -> Ruling:
    verdict = Verdict(
        decision=decision,
        reason=reason,
        vault="",
        vault_hash="",
        attempt=0,
        alpha=0.0,
        num_rows=0,
        detectable_gain=0.0,
    )
    return Ruling(verdict=verdict)
