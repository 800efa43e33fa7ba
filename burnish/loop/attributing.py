"""`burnish attribute`: which batch of data helped, by training without each in turn, and what a point of gain cost.

The first batch that people added is what every training learns from; each later file and each synthetic batch is left
out once, a few trainings each, all in one bank. Nothing here looks at dev_a, a vault or the audit rows.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from burnish.data.dataset import every_row, is_made
from burnish.data.provenance import HUMAN, SYNTHETIC, provenance
from burnish.errors import DataError, Interrupted, UsageError
from burnish.fingerprint import fingerprint
from burnish.loop.attributed import AttributionPlan, AttributionResult, Origin, Start
from burnish.loop.forecast import training_seconds
from burnish.loop.project import Project
from burnish.loop.stages import (
    Shop,
    as_champion,
    job_of,
    on_examples,
    score_stage,
    shop_outside_rounds,
    train_sealed,
    version_of,
)
from burnish.loop.untuned import base_version
from burnish.loop.weighing import ATTRIBUTION_FILE, BatchWeight, batch_hashes
from burnish.records import Candidate, Cost, Evaluation, Example, Trial, as_json
from burnish.registry import champion
from burnish.report.waterfall import waterfall_page
from burnish.store.batches import batches
from burnish.store.files import write_atomic
from burnish.store.manifest import Sealed, verify
from burnish.store.store import Store
from burnish.synthesize.batch import read_batch
from burnish.talk import Talk
from burnish.train.course import cohorts_of
from burnish.train.job import TrainJob
from burnish.tune.ablation import Ablation, ablation_job, ablation_of, batch_of
from burnish.tune.attribute import attribute
from burnish.tune.attribution import Attribution
from burnish.tune.probe import probe
from burnish.tune.search import candidates

ATTRIBUTE_VERSION = 1
STAGE = "attribute"
PLOT_FILE = "attribution.svg"
REPEATS = 2
"""Trainings of each kind: with one, luck of training cannot be told from a batch."""
PLOT_WIDTH = 760
TIMED_ROWS = 16
"""Rows whose scoring tells a dry run what a row takes."""


class _Bench(NamedTuple):
    """Everything that is decided before the first training."""

    shop: Shop
    start: Start
    learned: Sequence[Example]
    recipe: Candidate
    ablation: Ablation
    job: TrainJob


def attribute_project(
    project: Project, talk: Talk, *, repeats: int = REPEATS, should_stop: Callable[[], bool] = lambda: False
) -> AttributionResult:
    """What each batch of training rows brings on dev_b, kept in `.burnish/attribution.json` with a drawing beside it.

    Trainings and scores are stages: a killed call goes on, and the same call again computes nothing anew.

    Raises:
        UsageError: no training is asked for, or the project trains all weights.
        DataError: all training rows came in one batch, or dev_b has no row.
        TrainingError: no repeat has a score for each kind of training.
        Interrupted: stopped; the same call goes on.
    """
    bench = _opened(project, talk, repeats, should_stop)
    count = len(bench.job.candidates)
    talk.say(f"attribute: {count} adapters, {repeats} of each kind, without one of {len(bench.ablation.parts)} batches")
    sealed, trials = _train(bench)
    evaluations = _score(bench, sealed, trials)
    found = attribute(bench.ablation, evaluations, costs=_costs(bench.shop))
    result = _result(bench, found, is_new=not sealed.was_cached)
    _keep(project, result)
    return result


def plan_attribution(project: Project, talk: Talk, *, repeats: int = REPEATS) -> AttributionPlan:
    """What `attribute_project` would train and compare, and its time from a probe of seconds.

    Writes nothing but roles and the measured precision. Raises UsageError and DataError as that does.
    """
    bench = _opened(project, talk, repeats, lambda: False)
    talk.say("probing training and scoring with a few real rows")
    return AttributionPlan(
        start=bench.start,
        parts={part.name: len(part.rows) for part in bench.ablation.parts},
        repeats=repeats,
        num_adapters=len(bench.job.candidates),
        num_scored=len(bench.job.dev),
        recipe=bench.recipe,
        epochs=bench.job.train.passes(len(bench.job.rows)),
        seconds=_training_seconds(bench, repeats) + _scoring_seconds(bench),
    )


def _opened(project: Project, talk: Talk, repeats: int, should_stop: Callable[[], bool]) -> _Bench:
    if repeats < 1:
        raise UsageError(f"{repeats} trainings compare nothing", hint="give --repeats 1 or more")
    if project.settings.train.method != "lora":
        raise UsageError("attribute trains adapters, many at a time", hint="set train.method to lora")
    shop = shop_outside_rounds(project, talk, should_stop)
    if not shop.seeds.of("dev_b"):
        raise DataError(
            "no row has the role dev_b, so there is nothing to compare on",
            hint="add data, or raise roles.dev_b for the rows that are still to come",
        )
    learned = shop.seeds.attributable
    came_in = {row.id: batch.name for batch, row in every_row(project.store)}
    start = _start(project.store, learned, came_in)
    named = _naming(start.name, came_in)
    if not any(named(row) for row in learned):
        raise DataError(
            f"all {len(learned):,} training rows came in one batch, {start.name}: there is none to train without",
            hint="add a second file (burnish data add FILE), or have rows made and audited (burnish synthesize)",
        )
    recipe = _recipe(shop)
    ablation = ablation_of(learned, recipe, seeds=range(repeats), named=named)
    job = ablation_job(job_of(project.settings, shop.bench.base, shop.seeds, [recipe], learned), ablation)
    return _Bench(shop, replace(start, num_rows=len(ablation.kept)), learned, recipe, ablation, job)


def _start(store: Store, learned: Sequence[Example], came_in: Mapping[str, str]) -> Start:
    """The first batch with training rows that people wrote."""
    by_people = {came_in[row.id] for row in learned if provenance(row) == HUMAN and row.id in came_in}
    names = [batch.name for batch in batches(store) if batch.name in by_people]
    return Start(name=names[0] if names else "", num_rows=0)


def _naming(start: str, came_in: Mapping[str, str]) -> Callable[[Example], str]:
    """A function that gives the batch of a row; nothing for replay rows and for those that are always there."""

    def named(row: Example) -> str:
        origin = provenance(row)
        if origin == SYNTHETIC:
            return batch_of(row)
        batch = came_in.get(row.id, start)  # what people answered in the review is in no batch, and always there
        return batch if origin == HUMAN and batch != start else ""

    return named


def _recipe(shop: Shop) -> Candidate:
    """The middle candidate of the settings, as the champion was trained where the settings leave it open."""
    settings, store = on_examples(shop.project.settings), shop.project.store
    return candidates(as_champion(store.root, settings, champion(store)), shop.bench.base)[0]


def _train(bench: _Bench) -> tuple[Sealed, tuple[Trial, ...]]:
    shop = bench.shop
    key = {"task": as_json(shop.seeds.task), "columns": list(shop.seeds.columns)}
    inputs = {"job": fingerprint(bench.job.identity())}
    return train_sealed(shop, STAGE, ATTRIBUTE_VERSION, key, inputs, bench.job)


def _score(bench: _Bench, sealed: Sealed, trials: Sequence[Trial]) -> dict[str, Evaluation]:
    """Evaluations on dev_b by candidate; one that diverged has none."""
    shop = bench.shop
    before = base_version(shop.bench, shop.project.settings)
    found: dict[str, Evaluation] = {}
    for trial in trials:
        if trial.stopped == "diverged":
            continue
        if shop.should_stop():
            raise Interrupted(
                f"stopped after {len(found)} of {len(trials)} scorings; nothing is lost",
                hint="run the same command again to go on",
            )
        found[trial.candidate.name] = score_stage(shop, version_of(shop, sealed, trial, before), "dev_b")
    return found


def _costs(shop: Shop) -> dict[str, Cost]:
    """What each batch that burnish made cost: money paid to teachers, and the time and tokens of its stage."""
    store = shop.project.store
    costs: dict[str, Cost] = {}
    for batch in batches(store):
        if is_made(store, batch):
            folder = store.path_of(batch.artifact)
            sealed, report = verify(folder), read_batch(folder).report
            seconds, tokens = float(sealed.meta.get("seconds", 0.0)), int(sealed.record.get("num_tokens", 0))
            costs[batch.name] = shop.budget.priced(Cost(usd=report.usd, seconds=seconds, tokens=tokens))
    return costs


def _result(bench: _Bench, found: Attribution, *, is_new: bool) -> AttributionResult:
    synthetic = batch_hashes(bench.learned)
    weights = [
        BatchWeight(batch=name, rows_hash=rows_hash, weight=found.weights[name])
        for name, rows_hash in synthetic.items()
        if name in found.weights
    ]
    origins = {one.name: _origin(one.batches, synthetic) for one in found.batches}
    notes = [*found.notes, "dev_b also stopped the trainings early, so all scores are a little too good, alike"]
    if set(origins.values()) != {"synthetic"}:
        notes.append(
            "dev_b holds rows of the files that people added, so a file is also measured on its own kind of rows; "
            "the next round takes those files as they are, whatever the verdict"
        )
    return AttributionResult(
        found=found,
        start=bench.start,
        origins=origins,
        weights=tuple(weights),
        recipe=bench.recipe,
        epochs=bench.job.train.passes(len(bench.job.rows)),
        notes=tuple(notes),
        is_new=is_new,
        plot=f"{bench.shop.project.store.root.name}/{PLOT_FILE}",
    )


def _origin(names: Sequence[str], synthetic: Collection[str]) -> Origin:
    made = [name in synthetic for name in names]
    return "synthetic" if all(made) else "both" if any(made) else "people"


def _keep(project: Project, result: AttributionResult) -> None:
    """The drawing first: whoever finds the record finds what it names."""
    root = project.store.root
    write_atomic(root / PLOT_FILE, waterfall_page(result.steps(), PLOT_WIDTH, metric=result.found.metric).encode())
    data = {"schema_version": 1, **result.as_json()}
    write_atomic(root / ATTRIBUTION_FILE, json.dumps(data, ensure_ascii=False, indent=1).encode())


def _training_seconds(bench: _Bench, repeats: int) -> float:
    """Every kind of training goes through its own rows, the repeats of it in one pass."""
    one = replace(bench.job, candidates=[bench.recipe], subsets={})
    speed = probe(one, repeats)
    return sum(training_seconds(replace(one, rows=cohort.rows), speed, speed) for cohort in cohorts_of(bench.job))


def _scoring_seconds(bench: _Bench) -> float:
    shop = bench.shop
    rows = bench.learned[:TIMED_ROWS]
    begun = time.perf_counter()
    shop.bench.score(base_version(shop.bench, shop.project.settings), shop.seeds.task, rows)
    per_row = (time.perf_counter() - begun) / len(rows)
    return per_row * len(bench.job.dev) * len(bench.job.candidates)
