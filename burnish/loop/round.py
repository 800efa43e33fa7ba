"""One turn of the wheel: measure, diagnose, train, measure again, ask the gate, decide, explain.

Everything before `conclude` can be repeated without harm: finished stages are found again by their keys. `conclude`
first writes what was decided and then acts on it, so that a killed round is finished, not decided twice.
"""

from collections.abc import Callable

from burnish.budget import open_budget
from burnish.data.check import DataCheck
from burnish.evaluate.compare import compare
from burnish.evaluate.handoff import HandoffChange
from burnish.evaluate.suspicion import likely_bugs
from burnish.loop.choose import Choice, choose_challenger
from burnish.loop.conclude import Contest, Outcome, conclude, finish_interrupted
from burnish.loop.decided import release_audits
from burnish.loop.diagnosing import diagnosis_stage
from burnish.loop.forget import bar_late_descendants
from burnish.loop.guarding import demand_measures
from burnish.loop.handing import handed_off
from burnish.loop.judged import judge_round
from burnish.loop.kit import Kit, kit_of
from burnish.loop.measuring import measure_stage
from burnish.loop.minutes import charge_minutes
from burnish.loop.past import finished_round, next_number, round_key
from burnish.loop.people import ask_people, ask_preferences, tell_decisions, wait_for_people
from burnish.loop.preferring import Preferred, preference_stage
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.seeds import Seeds, checked, gather
from burnish.loop.side import Side
from burnish.loop.slice_wishes import tell_slices
from burnish.loop.stages import Shop, score_stage, train_stage
from burnish.loop.synthesizing import with_synthesis
from burnish.loop.tribunal import ask_gate
from burnish.loop.untuned import Untuned, untuned_baseline
from burnish.loop.weighing import tell_weights
from burnish.loop.workbench import Workbench
from burnish.registry import champion as current_champion
from burnish.talk import Talk

STEPS = (
    "check the data",
    "measure the base",
    "measure the champion",
    "diagnose",
    "synthesize",
    "train",
    "choose a challenger",
    "measure the challenger",
    "ask the gate",
    "conclude",
)
"""What whoever watches a round is told, in this order."""


def run_round(
    project: Project, talk: Talk, *, again: bool = False, should_stop: Callable[[], bool] = lambda: False
) -> tuple[RoundResult, bool]:
    """What the round came to, and whether it was new: with the same data and settings an earlier round is the answer.

    Raises DataError on data that cannot be believed, BudgetError before a spend that would pass a limit, WaitingError
    when people have to answer first, Interrupted when stopped; the same call afterwards goes on where this one ended.
    """
    finish_interrupted(project, talk)
    bar_late_descendants(project)
    release_audits(project)
    seeds = gather(project)
    key = round_key(project, seeds)
    earlier = finished_round(project, key)
    if earlier and not again:
        talk.say(f"nothing changed since round {earlier.round}: same data, same settings")
        return earlier, False

    kit = kit_of(project, seeds)
    demand_measures(project.settings, seeds, kit)
    shop, found = _opened(project, seeds, talk, should_stop)
    ask_people(shop)
    return _turned(shop, key, found, kit), True


def _opened(project: Project, seeds: Seeds, talk: Talk, should_stop: Callable[[], bool]) -> tuple[Shop, DataCheck]:
    """The base loaded, the data checked, and what people decided and spent since the last round told."""
    number = next_number(project)
    talk.say(f"round {number}: {sum(map(len, seeds.by_role.values())):,} examples, task {seeds.task.kind}")
    talk.step("check the data", STEPS)
    bench = Workbench(project.settings, project.store.root, talk)
    budget = open_budget(project.store, project.settings.budget, talk)
    tell_weights(seeds.trusted.weights, talk)
    found = checked(seeds, project, bench.token_counter(seeds.task), talk, bench.base.max_tokens)
    tell_decisions(seeds.decided, talk)
    tell_slices(seeds, talk)
    charge_minutes(project, budget, number)
    shop = Shop(
        project=project, seeds=seeds, bench=bench, budget=budget, talk=talk, number=number, should_stop=should_stop
    )
    return shop, found


def _turned(shop: Shop, key: str, found: DataCheck, kit: Kit) -> RoundResult:
    """The wheel itself: what is done in a round, in its order."""
    untuned, now = _measured(shop)
    shop.talk.step("diagnose", STEPS)
    diagnosis = diagnosis_stage(shop, now.version)
    shop.talk.step("synthesize", STEPS)
    shop, synthesis = with_synthesis(shop, now.version, diagnosis)
    wait_for_people(shop)
    preferred = _trained(shop, now)
    contest = _contested(shop, kit, now, preferred.choice)
    shop.talk.step("conclude", STEPS)
    outcome = Outcome(
        key=key,
        found=found,
        untuned=untuned,
        champion=now.version,
        choice=preferred.choice,
        preferred=preferred.note,
        diagnosis=diagnosis,
        synthesis=synthesis,
        contest=contest,
    )
    return conclude(shop, outcome)


def _measured(shop: Shop) -> tuple[Untuned, Side]:
    """The untuned base, and the champion on dev_a; the base is shown solved examples while it is champion itself."""
    shop.talk.step("measure the base", STEPS)
    untuned = untuned_baseline(shop)
    shop.talk.step("measure the champion", STEPS)
    champion = current_champion(shop.project.store) or untuned.version
    shots = untuned.shots if champion.name == untuned.version.name else ()
    return untuned, Side(champion, score_stage(shop, champion, "dev_a", shots=shots), shots)


def _trained(shop: Shop, now: Side) -> Preferred:
    """The challenger: from examples, then from people's preferences, as dev_b chooses."""
    shop.talk.step("train", STEPS)
    sealed, trials = train_stage(shop, now.version)
    shop.talk.step("choose a challenger", STEPS)
    preferred = preference_stage(shop, choose_challenger(shop, sealed, trials, now.version), now.version)
    ask_preferences(shop, now.version, preferred.choice.challenger, now.shots)
    return preferred


def _contested(shop: Shop, kit: Kit, now: Side, choice: Choice) -> Contest:
    """The challenger on dev_a beside the champion, and the gate's answer from a vault."""
    shop.talk.step("measure the challenger", STEPS)
    new = Side(choice.challenger, score_stage(shop, choice.challenger, "dev_a"))
    for warning in likely_bugs(now.evaluation) + likely_bugs(new.evaluation):
        shop.talk.warn(warning)
    comparison = compare(now.evaluation, new.evaluation)
    measures = measure_stage(shop, kit, now, new)
    handoffs = _handed_off(shop, now, new, choice)
    judged = judge_round(shop, now.evaluation, new.evaluation)
    shop.talk.step("ask the gate", STEPS)
    return Contest(
        before=now.evaluation,
        after=new.evaluation,
        comparison=comparison,
        measures=measures,
        judged=judged,
        handoffs=handoffs,
        ruling=ask_gate(shop, now.version, choice, new.evaluation, kit, shots=now.shots, judged=judged),
    )


def _handed_off(shop: Shop, now: Side, new: Side, choice: Choice) -> HandoffChange:
    """What still goes to people, of both models: the threshold from dev_b, the cases from dev_a."""
    return handed_off(
        shop.seeds,
        before=(score_stage(shop, now.version, "dev_b", shots=now.shots), now.evaluation),
        after=(choice.on_dev_b, new.evaluation),
        seed=shop.project.settings.seed,
    )
