"""Each batch gets the gain that it brings: planted truths are found, intervals know both kinds of luck, sums agree."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from burnish.config import LoraSettings, TrainSettings
from burnish.errors import DataError, EvaluationError, ModelError, TrainingError
from burnish.evaluate.run import evaluate
from burnish.evaluate.summary import summarise
from burnish.fakes import small_examples, tiny_base
from burnish.model.adapter import load_adapter
from burnish.model.base import Base
from burnish.model.lora import PEFT_PREFIX, AdapterSpec, attach
from burnish.model.merge import merge_adapters
from burnish.records import Candidate, Cost, Evaluation, Example, Message, RowResult, Task, Trial
from burnish.stats.many import holm
from burnish.talk import Silence
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train
from burnish.tune.ablation import Ablation, ablation_job, ablation_of, batch_of, parts_of, reweighted
from burnish.tune.attribute import MIN_CHANGED, attribute
from burnish.tune.attribution import Attribution
from burnish.tune.screen import (
    load_parts,
    loss_gains,
    screen_candidates,
    screen_subsets,
    screening,
    shapley,
    value_of_mixes,
)
from burnish.tune.worth import Luck, Paired, pooled_luck, worth_of

RECIPE = Candidate(name="a", rank=4, alpha=8.0, lr=2e-2, seed=0)


def row(name: str, batch: str = "", *, text: str = "when is it paid", answer: str = "payment") -> Example:
    turns = (Message(role="user", content=text), Message(role="assistant", content=answer))
    slices = {"provenance": "synthetic", "batch": batch} if batch else {}
    return Example(id=name, messages=turns, group=name, slices=slices)


def rows_in(batches: Mapping[str, int], *, human: int = 4) -> list[Example]:
    people = [row(f"human-{at}") for at in range(human)]
    return people + [row(f"{name}-{at}", name) for name, count in batches.items() for at in range(count)]


def scored(name: str, scores: Sequence[float | None], *, slices: Sequence[str] | None = None) -> Evaluation:
    found = tuple(
        RowResult(
            example=f"dev-{at}",
            prompt="?",
            output="",
            expected="x",
            score=score,
            group=f"g{at}",
            slices={"channel": slices[at]} if slices else {},
        )
        for at, score in enumerate(scores)
    )
    summary = summarise(found, ["channel"])
    return Evaluation(
        model=name,
        model_hash=name,
        template_hash="t",
        metric="accuracy",
        rows=found,
        overall=summary.overall,
        slices=summary.slices,
    )


def right(count: int, of: int = 60) -> list[float]:
    return [1.0] * count + [0.0] * (of - count)


def told(plan: Ablation, scores: Mapping[str, Sequence[float | None]], **more: Sequence[str]) -> dict[str, Evaluation]:
    """Evaluations of every candidate, the same for all seeds: by "all", "kept" or the name of the missing part."""
    names = {"all": plan.with_all, "kept": plan.without_all, **plan.without}
    return {name: scored(name, scores[key], **more) for key, group in names.items() for name in group}


@pytest.fixture
def plan() -> Ablation:
    return ablation_of(rows_in({"good": 30, "bad": 30, "idle": 30}), RECIPE)


SCORES = {"all": right(40), "kept": right(30), "good": right(25), "bad": right(52), "idle": right(40)}


def by_name(found: Attribution) -> dict[str, object]:
    return {one.name: one for one in found.batches}


# The plan -------------------------------------------------------------------------------------------------------------


def test_each_training_lacks_its_batch_and_keeps_every_row_that_is_not_synthetic():
    examples = [*rows_in({"b1": 3, "b2": 2}), replace(row("mine"), slices={"batch": "b1"})]
    plan = ablation_of(examples, RECIPE)
    assert plan.kept == ("human-0", "human-1", "human-2", "human-3", "mine")
    for part in plan.parts:
        for name in plan.without[part.name]:
            (candidate,) = [one for one in plan.candidates if one.name == name]
            assert set(plan.subsets[candidate.subset]) == {one.id for one in examples} - set(part.rows)
    assert {one.subset for one in plan.candidates if one.name in plan.with_all} == {""}
    assert len({one.name for one in plan.candidates}) == len(plan.candidates) == 2 * (1 + 2 + 1)
    assert {one.seed for one in plan.candidates} == {0, 1}


def test_small_batches_are_taken_together_until_twelve_are_left_and_none_is_lost():
    sizes = {f"b{at:02d}": at + 1 for at in range(15)}
    parts = parts_of(rows_in(sizes))
    assert len(parts) == 12
    assert sorted(name for part in parts for name in part.batches) == sorted(sizes)
    assert sorted(len(part.rows) for part in parts)[-1] == 15  # the largest stand alone
    assert all(len(part.rows) == sum(sizes[name] for name in part.batches) for part in parts)


def test_rows_without_a_batch_to_leave_out_are_refused():
    with pytest.raises(DataError, match="no training row is synthetic"):
        ablation_of(rows_in({}), RECIPE)
    with pytest.raises(DataError, match="nothing to learn from without only"):
        ablation_of(rows_in({"only": 5}, human=0), RECIPE)
    assert batch_of(replace(row("x"), slices={"provenance": "synthetic"})) == "unnamed"


# The answer -----------------------------------------------------------------------------------------------------------


def test_a_harmful_batch_is_dropped_a_helpful_and_an_idle_one_are_kept(plan: Ablation):
    found = attribute(plan, told(plan, SCORES))
    fates = {one.name: one.fate for one in found.batches}
    assert fates == {"good": "keep", "bad": "drop", "idle": "keep"}
    assert dict(found.weights) == {"good": 1.0, "bad": 0.0, "idle": 1.0}
    assert [one.name for one in found.batches] == ["good", "idle", "bad"]


def test_gains_and_remainder_add_up_to_the_total(plan: Ablation):
    found = attribute(plan, told(plan, SCORES))
    gains = {one.name: one.gain.value for one in found.batches}
    assert gains == {"good": pytest.approx(15 / 60), "bad": pytest.approx(-12 / 60), "idle": 0.0}
    assert found.total is not None
    assert found.unattributed is not None
    assert found.total.value == pytest.approx(10 / 60)
    assert found.unattributed.value == pytest.approx(10 / 60 - 15 / 60 + 12 / 60)
    assert all(one.gain.low <= one.gain.value <= one.gain.high for one in found.batches)


def test_p_values_are_adjusted_over_the_batches(plan: Ablation):
    found = attribute(plan, told(plan, SCORES))
    raw = {}
    for name, scores in (("good", SCORES["good"]), ("bad", SCORES["bad"])):
        d_SN = np.asarray([np.subtract(SCORES["all"], scores)] * 2)
        raw[name] = worth_of(Paired(d_SN=d_SN, groups=tuple(map(str, range(60)))), Luck(0.0, 3)).p_value
    adjusted = holm([raw["good"], raw["bad"], None])
    seen = by_name(found)
    assert (seen["good"].p_holm, seen["bad"].p_holm, seen["idle"].p_holm) == adjusted


def test_a_few_changed_rows_take_no_weight_from_a_batch(plan: Ablation):
    few = {**SCORES, "bad": right(40 + MIN_CHANGED - 1)}
    enough = {**SCORES, "bad": right(40 + MIN_CHANGED)}
    assert by_name(attribute(plan, told(plan, few)))["bad"].fate == "keep"
    assert by_name(attribute(plan, told(plan, enough)))["bad"].fate == "drop"


def test_between_the_two_thresholds_a_batch_counts_half(plan: Ablation):
    mixed = list(SCORES["all"])
    mixed[:2] = [0.0, 0.0]  # two rows lost and five won without it: P(harmful) of Dirichlet(1/2) is about 0.86
    mixed[40:45] = [1.0] * 5
    found = by_name(attribute(plan, told(plan, {**SCORES, "bad": mixed})))["bad"]
    assert 0.7 < found.p_harmful < 0.9
    assert found.fate == "down-weight"


def test_slices_show_where_a_batch_helps(plan: Ablation):
    where = ["web"] * 30 + ["phone"] * 30
    found = attribute(plan, told(plan, SCORES, slices=where))
    gains = {one.slice: one.gain for one in by_name(found)["good"].slices}
    assert gains["channel=web"].value == pytest.approx(5 / 30)
    assert gains["channel=phone"].value == pytest.approx(10 / 30)
    assert gains["channel=phone"].n == 30


def test_a_point_has_a_price_where_the_cost_is_known_and_something_was_gained(plan: Ablation):
    costs = {"good": Cost(usd=5.0, reviewer_minutes=50.0), "bad": Cost(usd=1.0)}
    seen = by_name(attribute(plan, told(plan, SCORES), costs=costs))
    assert seen["good"].per_point.usd == pytest.approx(0.2)  # 25 points for 5 dollars
    assert seen["good"].per_point.reviewer_minutes == pytest.approx(2.0)
    assert (seen["bad"].cost.usd, seen["bad"].per_point) == (1.0, None)
    assert (seen["idle"].cost, seen["idle"].per_point) == (None, None)


def test_the_waterfall_names_every_batch_and_json_holds_the_weights(plan: Ablation):
    found = attribute(plan, told(plan, SCORES), costs={"good": Cost(usd=5.0)})
    text = found.as_text()
    for word in (
        "without any batch",
        "good",
        "bad",
        "idle",
        "unattributed/synergy",
        "with all batches",
        "drop",
        "$0.20",
    ):
        assert word in text
    assert "+25.0" in text
    assert found.as_json()["weights"] == {"bad": 0.0, "good": 1.0, "idle": 1.0}


def test_unscored_rows_are_left_out_of_every_comparison(plan: Ablation):
    some = [None, *SCORES["good"][1:]]
    found = attribute(plan, told(plan, {**SCORES, "good": some}))
    assert found.num_rows == 59
    assert {one.gain.n for one in found.batches} == {59}


def test_a_seed_without_all_its_scores_is_left_out_and_that_is_told(plan: Ablation):
    evaluations = told(plan, SCORES)
    del evaluations[plan.without["bad"][1]]
    found = attribute(plan, evaluations)
    assert found.num_seeds == 1
    assert len(found.notes) == 2
    del evaluations[plan.with_all[0]]
    with pytest.raises(TrainingError, match="no seed"):
        attribute(plan, evaluations)


def test_evaluations_of_other_rows_are_refused(plan: Ablation):
    evaluations = told(plan, SCORES)
    evaluations[plan.with_all[0]] = scored("other", right(40, of=61))
    with pytest.raises(EvaluationError, match="only one of the two"):
        attribute(plan, evaluations)


def test_without_rows_of_people_there_is_no_start_and_no_remainder():
    plan = ablation_of(rows_in({"good": 3, "bad": 3}, human=0), RECIPE)
    found = attribute(plan, told(plan, {**SCORES, "kept": ()}))
    assert (found.before, found.total, found.unattributed) == (None, None, None)
    assert "every row is synthetic" in found.notes[0]


def test_the_next_round_leaves_out_what_is_dropped_and_halves_what_is_doubted():
    examples = [replace(one, weight=3.0) for one in rows_in({"bad": 2, "half": 1, "new": 1}, human=1)]
    kept = reweighted(examples, {"bad": 0.0, "half": 0.5, "good": 1.0})
    assert [(one.id, one.weight) for one in kept] == [("human-0", 3.0), ("half-0", 1.5), ("new-0", 3.0)]


# Luck -----------------------------------------------------------------------------------------------------------------


def simulated(generator: np.random.Generator, *, batches: int, num_rows: int, gain: float) -> list[Paired]:
    """Batches of one gain: rows that take it differently, trainings with luck of their own, and noise."""
    luck_of_all = generator.normal(0, 0.03, (2, 1))
    made = []
    for _ in range(batches):
        rows = generator.normal(gain, 0.1, (1, num_rows))
        luck = luck_of_all - generator.normal(0, 0.03, (2, 1))
        noise = generator.normal(0, 0.1, (2, num_rows))
        made.append(Paired(d_SN=rows + luck + noise, groups=tuple(map(str, range(num_rows)))))
    return made


def test_intervals_hold_the_luck_of_training_which_those_of_rows_alone_miss():
    generator = np.random.default_rng(0)
    covered = covered_by_rows = 0
    for _ in range(250):
        made = simulated(generator, batches=5, num_rows=60, gain=0.05)
        both = worth_of(made[0], pooled_luck(made)).gain
        rows = worth_of(made[0], Luck(0.0, 5)).gain
        covered += both.low <= 0.05 <= both.high
        covered_by_rows += rows.low <= 0.05 <= rows.high
    # 95% asked; the batches share the trainings with all rows, so that the pooled variance has fewer degrees of freedom
    # than it counts: 90% is allowed for. Three standard errors of 250 draws at 90% are 5.7 points.
    assert covered / 250 >= 0.843
    assert covered_by_rows / 250 <= 0.80


def test_a_lucky_training_drops_no_batch_that_rows_alone_would_condemn():
    d_SN = np.full((2, 40), -0.05)
    d_SN[:, ::2] = 0.0
    one = Paired(d_SN=d_SN, groups=tuple(map(str, range(40))))
    steady, shaky = worth_of(one, Luck(0.0, 4)), worth_of(one, Luck(0.05**2, 4))
    assert shaky.p_harmful < steady.p_harmful
    assert shaky.gain.high > 0 > steady.gain.high


# Merging --------------------------------------------------------------------------------------------------------------


def states(base: Base, shapes: Sequence[tuple[int, float]]) -> list[tuple[AdapterSpec, dict[str, torch.Tensor]]]:
    """Random adapters of these ranks and alphas."""
    specs = [AdapterSpec(name=f"k{at}", rank=r, alpha=alpha, seed=at) for at, (r, alpha) in enumerate(shapes)]
    bank = attach(base.model, specs)
    found = [(spec, bank.state(slot)) for slot, spec in enumerate(specs)]
    bank.detach()
    torch.manual_seed(0)
    return [(spec, {key: torch.randn_like(value) for key, value in state.items()}) for spec, state in found]


def update(spec: AdapterSpec, state: Mapping[str, torch.Tensor], module: str) -> torch.Tensor:
    b, a = (state[f"{PEFT_PREFIX}{module}.lora_{side}.weight"].double() for side in "BA")
    return spec.alpha / spec.rank * b @ a


def test_merged_adapters_add_exactly_the_weighted_sum_of_their_updates():
    base = tiny_base()
    adapters = states(base, [(2, 4.0), (3, 32.0), (1, 1.0)])
    weights = [0.5, 0.25, 0.0]
    spec, merged = merge_adapters(adapters, weights)
    assert spec.rank == 6
    modules = {key.removeprefix(PEFT_PREFIX).rsplit(".lora_", 1)[0] for key in merged}
    for module in modules:
        expected = sum(w * update(*one, module) for w, one in zip(weights, adapters, strict=True))
        # each entry of B is rounded once to float32 (6e-8 relative), and a sum of five products of them is compared
        torch.testing.assert_close(update(spec, merged, module), expected, rtol=1e-6, atol=1e-5)
    assert torch.equal(update(spec, merged, "model.layers.0.mlp.up_proj") != 0, torch.ones(64, 32, dtype=torch.bool))


def test_adapters_of_other_layers_cannot_be_merged():
    base = tiny_base()
    one, two = states(base, [(2, 4.0), (2, 4.0)])
    with pytest.raises(ModelError, match="different layers"):
        merge_adapters([one, (two[0], dict(list(two[1].items())[2:]))], [0.5, 0.5])


@pytest.mark.parametrize("count", [5, 10])
def test_shapley_values_of_a_sum_are_its_terms(count: int):
    worth = {f"p{at}": float(at - 3) for at in range(count)}
    found = shapley(list(worth), lambda some: sum(worth[one] for one in some), orders=20)
    assert found == pytest.approx(worth)


def test_shapley_values_of_the_glove_game_are_the_known_ones():
    found = shapley(["left", "r1", "r2"], lambda some: float("left" in some and len(some) > 1))
    assert found == pytest.approx({"left": 2 / 3, "r1": 1 / 6, "r2": 1 / 6})


def test_a_screen_is_believed_only_where_its_order_agrees_with_leave_one_out():
    values = {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.3}
    assert screening(values, {"a": 1.0, "b": 4.0, "c": 2.0, "d": 3.0}).is_faithful
    crossed = screening(values, {"a": 4.0, "b": 1.0, "c": 3.0, "d": 2.0})
    assert (crossed.is_faithful, crossed.spearman) == (False, pytest.approx(-1.0))
    assert "not faithful" in crossed.note
    assert not screening(values).is_faithful
    assert screening(values, {"a": 1.0, "b": 2.0, "c": 3.0}).spearman is None
    assert screening(values, dict.fromkeys(values, 1.0)).spearman is None


# Real trainings -------------------------------------------------------------------------------------------------------

TASK = Task(labels=("address", "appeal", "payment"))


class Trained(NamedTuple):
    """A planted truth: what was trained, and what came of it."""

    base: Base
    plan: Ablation
    job: TrainJob
    trials: tuple[Trial, ...]
    found: Attribution


def planted() -> list[Example]:
    """Few rows of people on two intents; a batch that brings the third; a batch that answers payments wrongly."""
    pool = small_examples(360)
    people = [one for one in pool if one.answer != "appeal"][:48]
    good = [one for one in pool if one.answer == "appeal"][:24]
    wrong = [one for one in pool if one.answer == "payment"][24:72]
    answer = Message(role="assistant", content="address")
    wrong = [replace(one, messages=(*one.prompt, answer)) for one in wrong]
    batches = {"good": good, "wrong": wrong}
    return people + [
        replace(one, slices={"provenance": "synthetic", "batch": name})
        for name, rows in batches.items()
        for one in rows
    ]


def graded(base: Base, trial: Trial, folder: Path, dev: Sequence[Example]) -> Evaluation:
    spec, state = load_adapter(folder / trial.folder, base)
    bank = attach(base.model, [spec])
    try:
        bank.load(0, state)
        with bank.use(0):
            return evaluate(base, TASK, dev, model_name=trial.folder, model_hash=trial.adapter_hash, talk=Silence())
    finally:
        bank.detach()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    base, folder = tiny_base(), tmp_path_factory.mktemp("ablation")
    examples, dev = planted(), small_examples(45, seed=1)
    plan = ablation_of(examples, RECIPE)
    job = TrainJob(
        base=base,
        rows=rows_of(base, TASK, examples),
        dev=rows_of(base, TASK, dev),
        candidates=[RECIPE],
        train=TrainSettings.model_validate({"epochs": 16, "batch_size": 8, "finalists": 1, "patience": 16}),
        lora=LoraSettings(rank=4),
        seed=0,
        folder=folder,
    )
    trials = train(ablation_job(job, plan))
    evaluations = {one.candidate.name: graded(base, one, folder, dev) for one in trials}
    return Trained(base, plan, job, trials, attribute(plan, evaluations))


def test_all_adapters_of_an_ablation_train_to_their_own_end_in_one_bank(trained: Trained):
    assert {one.candidate.name for one in trained.trials} == {one.name for one in trained.plan.candidates}
    assert {one.stopped for one in trained.trials} <= {"done", "early"}


def test_a_planted_harmful_batch_is_found_and_dropped_and_the_helpful_one_is_kept(trained: Trained):
    seen = by_name(trained.found)
    assert (seen["good"].fate, seen["wrong"].fate) == ("keep", "drop"), trained.found.as_text()
    assert seen["good"].gain.low > 0 > seen["wrong"].gain.high
    slices = {one.slice: one.gain.value for one in seen["good"].slices}
    assert slices["answer=appeal"] == max(slices.values()), "the intent that only this batch brings"
    assert {batch_of(one) for one in reweighted(planted(), trained.found.weights)} == {"", "good"}


def test_loss_and_merged_adapters_see_the_same_planted_truth(trained: Trained, tmp_path: Path):
    true = loss_gains(trained.plan, trained.trials)
    assert true["good"] > 0 > true["wrong"]
    job = replace(
        trained.job,
        folder=tmp_path,
        candidates=screen_candidates(trained.plan, RECIPE, epochs=16),
        subsets=screen_subsets(trained.plan),
        train=trained.job.train.model_copy(update={"finalists": 3}),
    )
    adapters = load_parts(trained.base, train(job), tmp_path)
    value = value_of_mixes(trained.base, trained.plan, adapters, trained.job.dev)
    values = shapley([part.name for part in trained.plan.parts], value)
    assert values["good"] > values["wrong"]
    assert sum(values.values()) == pytest.approx(value(frozenset(values)) - value(frozenset()))


def test_the_value_of_no_part_is_that_of_the_adapter_of_the_kept_rows(trained: Trained, tmp_path: Path):
    job = replace(
        trained.job,
        folder=tmp_path,
        candidates=screen_candidates(trained.plan, RECIPE, epochs=2),
        subsets=screen_subsets(trained.plan),
        train=trained.job.train.model_copy(update={"finalists": 3}),
    )
    trials = {one.candidate.name: one for one in train(job)}
    adapters = load_parts(trained.base, list(trials.values()), tmp_path)
    value = value_of_mixes(trained.base, trained.plan, adapters, trained.job.dev)
    # the same mean loss by the path of training, in float32: about 1e-6 relative over a hundred targets
    assert -value(frozenset()) == pytest.approx(trials["kept"].dev_loss, rel=1e-4)
