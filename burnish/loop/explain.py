"""From what a round found out to the record that the report shows."""

import importlib.metadata
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from burnish.data.check import DataCheck
from burnish.data.conversation import conversation
from burnish.data.dataset import rejects
from burnish.loop.asked import reviewers_agreement
from burnish.loop.attributed import last_attribution
from burnish.loop.diagnosing import named_texts
from burnish.loop.past import results
from burnish.loop.people import review_report
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.searched import finite, searches_of
from burnish.loop.seeds import Seeds
from burnish.loop.stages import Shop, stage_costs
from burnish.loop.synthesis import synthesis_report
from burnish.loop.untuned import Untuned
from burnish.report.record import (
    Baseline,
    DataSummary,
    DiagnosisReport,
    NextCommand,
    PastRound,
    Piece,
    RoundReport,
    SettingReason,
    StageCost,
)
from burnish.store.batches import batches
from burnish.store.db import now

if TYPE_CHECKING:
    from burnish.loop.conclude import Outcome

LIBRARIES = ("burnish", "torch", "transformers", "numpy", "scipy")


def report_of(shop: Shop, outcome: "Outcome", result: RoundResult, settings: Mapping[str, Any]) -> RoundReport:
    """Everything that the report of a round shows."""
    return RoundReport(
        project=shop.project.settings.project,
        round=result.round,
        decision=result.decision,
        reason=result.reason,
        metric=result.metric,
        base=shop.project.settings.base,
        champion=result.previous_champion,
        challenger=result.challenger,
        before=result.before,
        after=result.after,
        gain=result.gain,
        measured_on="rows of dev_a, which played no part in any choice",
        comparison=outcome.contest.comparison,
        diagnosis=_diagnosis(shop, outcome),
        synthesis=synthesis_report(shop, outcome.synthesis),
        review=review_report(shop, outcome.preferred),
        attribution=last_attribution(shop.project, shop.seeds.trusted.weights),
        measures=outcome.contest.measures,
        judged=outcome.contest.judged,
        agreement=reviewers_agreement(shop.project, shop.seeds),
        handoffs=outcome.contest.handoffs,
        baselines=_baselines(outcome.untuned),
        trials=tuple(finite(trial) for trial in outcome.choice.trials),
        chosen=outcome.choice.trial.candidate.name,
        guessing_loss=shop.bench.guessing_loss,
        search=searches_of(shop),
        verdict=outcome.contest.ruling.verdict,
        attempts=shop.project.settings.gate.attempts,
        costs=tuple(StageCost(stage=stage, cost=cost) for stage, cost in stage_costs(shop).items()),
        data=_summary(shop.project, shop.seeds, outcome.found),
        warnings=_warnings(shop, outcome),
        settings=_settings(settings),
        history=_history(shop.project, result),
        next_commands=_next_commands(shop.project, result),
        versions={name: importlib.metadata.version(name) for name in LIBRARIES},
        first_prompt=_first_prompt(shop),
        created_at=now(),
    )


def _baselines(untuned: Untuned) -> tuple[Baseline, ...]:
    shots = untuned.few_shot.shots if untuned.few_shot else 0
    names = {
        "commonest_answer": "always the commonest answer",
        "zero_shot": "untuned, no examples shown",
        "few_shot": f"untuned, {shots} examples shown",
        "calibrated": "untuned, no label preferred",
    }
    return tuple(
        Baseline(name=names[key], score=score, shots=shots if key == "few_shot" else 0)
        for key, score in untuned.baselines.items()
    )


def _diagnosis(shop: Shop, outcome: "Outcome") -> DiagnosisReport:
    """The champion's diagnosis with what was asked in the rows that it names, all of dev_a."""
    is_untuned = not outcome.champion.artifact
    return DiagnosisReport(
        found=outcome.diagnosis,
        texts=named_texts(outcome.diagnosis, shop.seeds),
        note="The untuned base was asked without solved examples." if is_untuned and outcome.untuned.shots else "",
    )


def _summary(project: Project, seeds: Seeds, found: DataCheck) -> DataSummary:
    rows = [example for examples in seeds.by_role.values() for example in examples]
    slices = Counter(
        f"{column}={example.slices[column]}" for example in rows for column in seeds.columns if column in example.slices
    )
    answers = [example.answer for example in rows] if seeds.task.kind == "label" else []
    return DataSummary(
        roles={role: len(examples) for role, examples in sorted(seeds.by_role.items())},
        labels=dict(Counter(answers).most_common()) or dict.fromkeys(seeds.task.fields, len(rows)),
        slices=dict(sorted(slices.items())),
        sources={batch.name: batch.num_rows for batch in batches(project.store)},
        rejected=dict(Counter(row.reason.split(":")[0] for row in rejects(project.store)).most_common()),
        num_groups=len({example.group for example in rows}),
        num_duplicates=found.num_duplicates,
        num_near_duplicates=found.num_near_duplicates,
        secrets=found.secrets,
    )


def _warnings(shop: Shop, outcome: "Outcome") -> tuple[str, ...]:
    evaluations = (outcome.contest.before, outcome.contest.after)
    told = [problem.message for problem in outcome.found.problems if problem.severity == "warning"]
    told += [f"{evaluation.model}: {warning}" for evaluation in evaluations for warning in evaluation.warnings]
    after, commonest = outcome.contest.comparison.overall.after, outcome.untuned.commonest.value or 0.0
    if (after.low or 0.0) <= commonest:
        told.append(
            f"{outcome.choice.challenger.name}: not clearly better than giving the commonest answer to everything, "
            f"which scores {commonest:.1%} without any model"
        )
    return tuple(dict.fromkeys(told))


def _settings(resolved: Mapping[str, Any]) -> tuple[SettingReason, ...]:
    return tuple(
        SettingReason(name=name, value=str(entry["value"]), reason=entry.get("reason", ""))
        for name, entry in sorted(resolved.items())
    )


def _history(project: Project, result: RoundResult) -> tuple[PastRound, ...]:
    past = [one for one in results(project) if one.round != result.round]
    return tuple(
        PastRound(round=one.round, decision=one.decision, before=one.before, after=one.after, approval=one.approval)
        for one in [*past, result]
    )


def _next_commands(project: Project, result: RoundResult) -> tuple[NextCommand, ...]:
    where = f"--project {project.folder}"
    commands = [NextCommand(command=f"burnish eval {where} --data FILE", why="score the champion on rows of your own")]
    if result.decision != "PROMOTE":
        commands.append(NextCommand(command=f"burnish power {where}", why="how many labels would prove which gain"))
    weak = ", ".join(f"{part.slice} ({part.after.value:.0%} of {part.after.n})" for part in result.weakest)
    why = f"more examples, most of all of {weak}" if weak else "more examples, like those it gets wrong"
    commands.append(NextCommand(command=f"burnish data add FILE {where}", why=why))
    commands.append(NextCommand(command=f"burnish round {where}", why="the next turn of the wheel"))
    return tuple(commands)


def _first_prompt(shop: Shop) -> tuple[Piece, ...]:
    first = shop.seeds.of("train")[0]
    rendered = shop.bench.base.chat.render(conversation(shop.seeds.task, first))
    return tuple(Piece(text=text, learned=learned) for text, learned in rendered.pieces)
