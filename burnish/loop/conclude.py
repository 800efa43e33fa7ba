"""After the verdict: write what was decided, then act on it. Every act may be done twice and counts once."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from burnish.data.check import DataCheck
from burnish.diagnose.diagnosis import Diagnosis
from burnish.evaluate.change import MeasureChange
from burnish.evaluate.handoff import HandoffChange
from burnish.evaluate.suspicion import likely_bugs
from burnish.loop.approval import settle_answered
from burnish.loop.canary_end import end_overtaken
from burnish.loop.choose import Choice
from burnish.loop.explain import report_of
from burnish.loop.kept import learned_since, not_used
from burnish.loop.logged import SETTINGS_FILE, log_verdict
from burnish.loop.past import DONE_FILE, RESULT_FILE, is_done, results, round_folder
from burnish.loop.project import Project
from burnish.loop.rendering import REPORT_RECORD, render
from burnish.loop.result import RoundResult, save_result
from burnish.loop.seeds import retire
from burnish.loop.stages import Shop, total_cost
from burnish.loop.synthesis import Synthesis
from burnish.loop.tribunal import Ruling
from burnish.loop.untuned import Untuned
from burnish.records import Comparison, Evaluation, ModelVersion, as_json, from_json
from burnish.registry import champion as current_champion
from burnish.registry import history, models, promote, register
from burnish.report.words import rates
from burnish.review.standing import JudgedReport
from burnish.settings.text import resolved
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.files import write_atomic
from burnish.talk import Talk

VERSIONS_FILE = "versions.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The challenger against the champion: both on the same rows, and what the gate says."""

    before: Evaluation
    """The champion on dev_a."""
    after: Evaluation
    """The challenger on the same rows."""
    comparison: Comparison
    measures: tuple[MeasureChange, ...]
    """Both models beside the score, on dev_a."""
    judged: JudgedReport | None
    """What people and a judge say of both; None where answers are no texts."""
    handoffs: HandoffChange
    """Cases of dev_a that go to a person, of both models."""
    ruling: Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that a round found out."""

    key: str
    found: DataCheck
    untuned: Untuned
    champion: ModelVersion
    choice: Choice
    preferred: str
    """What was learned from people's preferences, in a sentence; empty: nothing was to be."""
    diagnosis: Diagnosis
    """Of the champion, before training."""
    synthesis: Synthesis | None
    """Rows that this round made; None: none were."""
    contest: Contest


def conclude(shop: Shop, outcome: Outcome) -> RoundResult:
    """Writes the decision and everything that explains it, then acts on it."""
    project, folder = shop.project, round_folder(shop.project, shop.number)
    folder.mkdir(parents=True, exist_ok=True)
    result = _result(shop, outcome)
    challenger = replace(
        outcome.choice.challenger,
        scores={result.metric: result.after},
        decision=result.decision,
        created_at=now(),  # before the act, which may come after a kill: what was forgotten in between is younger
    )
    settings = resolved(project.settings, _reasons(shop, outcome))
    _write(folder / SETTINGS_FILE, settings)
    _write(folder / VERSIONS_FILE, [as_json(version) for version in (outcome.untuned.version, challenger)])
    _write(folder / REPORT_RECORD, as_json(report_of(shop, outcome, result, settings)))
    failpoint("round.decided")
    save_result(folder / RESULT_FILE, result)
    failpoint("round.saved")
    return _act(project, result, shop.talk)


def finish_interrupted(project: Project, talk: Talk) -> None:
    """Acts on a decision that was written by a process that died before it could act."""
    for result in results(project):
        if not is_done(project, result.round):
            talk.say(f"round {result.round} was decided but not finished: finishing it now")
            _act(project, result, talk)
    settle_answered(project)


def _act(project: Project, result: RoundResult, talk: Talk) -> RoundResult:
    folder = round_folder(project, result.round)
    known = {version.name for version in models(project.store)}
    for data in json.loads((folder / VERSIONS_FILE).read_text(encoding="utf-8")):
        version = from_json(ModelVersion, data)
        if version.name not in known:
            register(project.store, version)
    if current_champion(project.store) is None:
        promote(project.store, result.previous_champion, reason="the untuned base, before any round", by="burnish")
    failpoint("round.registered")
    log_verdict(project, result)
    failpoint("round.logged")
    if result.decision == "PROMOTE" and not result.approval:
        result = _put_into_use(project, result, talk)
        end_overtaken(project)
        failpoint("round.promoted")
    if result.retired:
        retire(project, result.vault, reason=f"retired after round {result.round}")
        failpoint("round.retired")
    render(project, result)
    failpoint("round.rendered")
    write_atomic(folder / DONE_FILE, b"")
    return result


def _put_into_use(project: Project, result: RoundResult, talk: Talk) -> RoundResult:
    """Makes the challenger champion, once: a rollback since stays. One that learned from a row which was forgotten
    since is withheld, for good."""
    best, by = current_champion(project.store), f"gate, round {result.round}"
    was_made = any((move.after, move.by) == (result.challenger, by) for move in history(project.store))
    if was_made or (best is not None and best.name == result.challenger):
        return result
    tainted = learned_since(project)
    if result.challenger in tainted:
        talk.warn(f"round {result.round}: {not_used(result.challenger, tainted)}")
        result = replace(result, approval="withheld", champion=result.previous_champion)
        save_result(round_folder(project, result.round) / RESULT_FILE, result)
        return result
    promote(project.store, result.challenger, reason=result.reason, by=by)
    return result


def _result(shop: Shop, outcome: Outcome) -> RoundResult:
    seen, verdict, challenger = (
        outcome.contest.comparison.overall,
        outcome.contest.ruling.verdict,
        outcome.choice.challenger,
    )
    passed = verdict.decision == "PROMOTE"
    waits = passed and shop.project.settings.approval.required
    return RoundResult(
        round=shop.number,
        key=outcome.key,
        decision=verdict.decision,
        reason=verdict.reason,
        champion=challenger.name if passed and not waits else outcome.champion.name,
        previous_champion=outcome.champion.name,
        challenger=challenger.name,
        challenger_hash=challenger.adapter_hash,
        metric=outcome.contest.comparison.metric,
        before=seen.before,
        after=seen.after,
        gain=seen.gain,
        wins=seen.wins,
        losses=seen.losses,
        ties=seen.ties,
        p_value=seen.p_value,
        smallest_gain_shown=outcome.contest.comparison.smallest_gain_shown,
        slices=outcome.contest.comparison.slices,
        warnings=likely_bugs(outcome.contest.before) + likely_bugs(outcome.contest.after),
        cost=total_cost(shop),
        report=shop.project.shown(round_folder(shop.project, shop.number) / "report.html"),
        vault=verdict.vault,
        retired=outcome.contest.ruling.retired,
        baselines=outcome.untuned.baselines,
        diagnosis=outcome.diagnosis,
        measures=outcome.contest.measures,
        approval="waiting" if waits else "",
    )


def _reasons(shop: Shop, outcome: Outcome) -> dict[str, str]:
    trial, metric = outcome.choice.trial.candidate, outcome.contest.comparison.metric
    tried = rates([one.candidate for one in outcome.choice.trials])
    return {
        "train.precision": shop.bench.base.reason,
        "train.lr": f"{trial.lr:.2g} had the best {metric} on dev_b of {tried}",
    }


def _write(path: Path, data: object) -> None:
    write_atomic(path, json.dumps(data, indent=2, ensure_ascii=False).encode())
