"""One turn of the wheel: measure, diagnose, train, measure again, ask the gate, decide, explain.

Everything before `conclude` can be repeated without harm: finished stages are found again by their keys. `conclude`
first writes what was decided and then acts on it, so that a killed round is finished, not decided twice.
"""

from collections.abc import Callable

from burnish.budget import open_budget
from burnish.evaluate.compare import compare
from burnish.evaluate.suspicion import likely_bugs
from burnish.loop.choose import choose_challenger
from burnish.loop.conclude import Outcome, conclude, finish_interrupted
from burnish.loop.decided import release_audits
from burnish.loop.diagnosing import diagnosis_stage
from burnish.loop.forget import bar_late_descendants
from burnish.loop.guarding import demand_measures
from burnish.loop.handing import handed_off
from burnish.loop.judged import judge_round
from burnish.loop.kit import kit_of
from burnish.loop.measuring import measure_stage
from burnish.loop.minutes import charge_minutes
from burnish.loop.past import finished_round, next_number, round_key
from burnish.loop.people import ask_people, ask_preferences, tell_decisions, wait_for_people
from burnish.loop.preferring import preference_stage
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.seeds import checked, gather
from burnish.loop.side import Side
from burnish.loop.stages import Shop, score_stage, train_stage
from burnish.loop.synthesizing import with_synthesis
from burnish.loop.tribunal import ask_gate
from burnish.loop.untuned import untuned_baseline
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
    number = next_number(project)
    talk.say(f"round {number}: {sum(map(len, seeds.by_role.values())):,} examples, task {seeds.task.kind}")
    talk.step("check the data", STEPS)
    bench = Workbench(project.settings, project.store.root, talk)
    budget = open_budget(project.store, project.settings.budget, talk)
    tell_weights(seeds.trusted.weights, talk)
    found = checked(seeds, project, bench.token_counter(seeds.task), talk)
    shop = Shop(
        project=project, seeds=seeds, bench=bench, budget=budget, talk=talk, number=number, should_stop=should_stop
    )
    tell_decisions(seeds.decided, talk)
    charge_minutes(project, budget, number)
    ask_people(shop)

    talk.step("measure the base", STEPS)
    untuned = untuned_baseline(shop)
    talk.step("measure the champion", STEPS)
    champion = current_champion(project.store) or untuned.version
    shots = untuned.shots if champion.name == untuned.version.name else ()
    before = score_stage(shop, champion, "dev_a", shots=shots)
    talk.step("diagnose", STEPS)
    diagnosis = diagnosis_stage(shop, champion)
    talk.step("synthesize", STEPS)
    shop, synthesis = with_synthesis(shop, champion, diagnosis)
    wait_for_people(shop)
    talk.step("train", STEPS)
    sealed, trials = train_stage(shop, champion)
    talk.step("choose a challenger", STEPS)
    preferred = preference_stage(shop, choose_challenger(shop, sealed, trials, champion), champion)
    choice = preferred.choice
    ask_preferences(shop, champion, choice.challenger, shots)
    talk.step("measure the challenger", STEPS)
    after = score_stage(shop, choice.challenger, "dev_a")
    on_dev_a = compare(before, after)
    for warning in likely_bugs(before) + likely_bugs(after):
        talk.warn(warning)
    measures = measure_stage(shop, kit, Side(champion, before, shots), Side(choice.challenger, after))
    handoffs = handed_off(
        shop.seeds,
        before=(score_stage(shop, champion, "dev_b", shots=shots), before),
        after=(choice.on_dev_b, after),
        seed=project.settings.seed,
    )
    judged = judge_round(shop, before, after)
    talk.step("ask the gate", STEPS)
    ruling = ask_gate(shop, champion, choice, after, kit, shots=shots, judged=judged)
    talk.step("conclude", STEPS)
    outcome = Outcome(
        key=key,
        found=found,
        untuned=untuned,
        champion=champion,
        choice=choice,
        preferred=preferred.note,
        before=before,
        after=after,
        comparison=on_dev_a,
        diagnosis=diagnosis,
        synthesis=synthesis,
        measures=measures,
        judged=judged,
        handoffs=handoffs,
        ruling=ruling,
    )
    return conclude(shop, outcome), True
