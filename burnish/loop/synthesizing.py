"""Synthetic rows as a stage of a round: planned from weak places, made, sieved, sealed as a batch with its provenance.

`burnish synthesize` asks for the stage of the next round, so nothing is made twice. A batch waits for its audit.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from burnish.config import EndpointSettings
from burnish.data.dataset import set_hash
from burnish.data.dedup import prompt_text
from burnish.diagnose.diagnosis import Diagnosis
from burnish.fingerprint import fingerprint
from burnish.loop.crossfit import cross_fit_key
from burnish.loop.decided import reviewed
from burnish.loop.diagnosing import diagnosis_stage
from burnish.loop.health import alarms_of
from burnish.loop.learner import generator_key
from burnish.loop.makers import Makers, is_crossed, makers_of
from burnish.loop.making import Making, make_rows
from burnish.loop.past import next_number
from burnish.loop.project import Project
from burnish.loop.quota import earlier, left_out, over_limit, plan_rows, prefix_of, seed_of
from burnish.loop.seeds import with_new_batches
from burnish.loop.sieving import sieve_rows
from burnish.loop.stages import Shop, shop_outside_rounds
from burnish.loop.synthesis import Synthesis
from burnish.loop.teaching import people_of
from burnish.loop.trusted import ACCEPTED, REJECTED, UNAUDITED, state_of
from burnish.loop.untuned import base_version
from burnish.records import Example, ModelVersion, as_json
from burnish.registry import champion as current_champion
from burnish.store.batches import add_batch, batches
from burnish.store.manifest import Sealed, verify
from burnish.synthesize.batch import BatchReport, SyntheticBatch, read_batch, write_batch
from burnish.synthesize.coverage import FEWEST_ROWS, Coverage, measure_coverage
from burnish.synthesize.generator import MOVE as GENERATOR
from burnish.synthesize.guards import by_reason, guard
from burnish.synthesize.plan import CellPlan
from burnish.synthesize.repeats import top_up
from burnish.talk import Talk

SYNTHESIZE_VERSION = 2
STAGE = "synthesize"
TOKENS_A_ROW = 40
"""For the forecast of a first batch; later ones are forecast from the ledger."""


def synthesize_project(
    project: Project, talk: Talk, *, should_stop: Callable[[], bool] = lambda: False
) -> Synthesis | None:
    """The batch of the next round, which will find it done. Raises what `gather` and `diagnosis_stage` raise."""
    shop, champion, found = opened(project, talk, should_stop)
    return synthesize_stage(shop, champion, found)


def opened(project: Project, talk: Talk, should_stop: Callable[[], bool]) -> tuple[Shop, ModelVersion, Diagnosis]:
    """The shop of the next round with its champion and diagnosis. Raises what `gather` and `diagnosis_stage` raise."""
    shop = replace(shop_outside_rounds(project, talk, should_stop), number=next_number(project))
    champion = current_champion(project.store) or base_version(shop.bench, project.settings)
    return shop, champion, diagnosis_stage(shop, champion)


def synthesize_stage(shop: Shop, champion: ModelVersion, found: Diagnosis) -> Synthesis | None:
    """The batch of this round, added to the project's data; None when the plan has no row.

    Deterministic in data, settings, champion and diagnosis, so a killed stage goes on and a finished one is found.
    """
    plan = plan_rows(shop, found)
    if judged := _judged(shop):
        return _synthesis(shop, plan, replace(verify(judged), was_cached=True))
    if not plan.num_rows:
        return None
    inputs = _inputs(shop, champion, found, plan)
    settings = _settings(shop)
    name = f"{prefix_of(shop)}{fingerprint([settings, inputs])[:6]}"

    def work(folder: Path) -> dict[str, Any]:
        return _make(shop, champion, plan, name, folder)

    tokens = TOKENS_A_ROW * plan.num_rows + makers_of(shop, None).tokens_ahead
    sealed = shop.run(STAGE, SYNTHESIZE_VERSION, settings, inputs, tokens, work)
    _register(shop, sealed, read_batch(sealed.path))
    return _synthesis(shop, plan, sealed)


def _judged(shop: Shop) -> Path | None:
    """The batch of this round that people have begun to judge and did not reject; else None.

    What they correct meanwhile changes the plan, and must not make another batch to be judged.
    """
    project, names = shop.project, {one.item.batch for one in reviewed(shop.project) if one.decisions}
    own = [one for one in batches(project.store) if one.name in names and one.name.startswith(prefix_of(shop))]
    kept = [one for one in own if state_of(project, one.name, one.num_rows) != REJECTED]
    return project.store.path_of(kept[-1].artifact) if kept else None


def _synthesis(shop: Shop, plan: CellPlan, sealed: Sealed) -> Synthesis:
    batch = read_batch(sealed.path)
    return Synthesis(
        plan=plan,
        batch=batch,
        notes=tuple(sealed.record["notes"]),
        verified=sealed.record["verified"],
        alarms=alarms_of(shop.project),
        state=state_of(shop.project, batch.report.batch, len(batch.rows)),
        is_new=not sealed.was_cached,
    )


def with_synthesis(shop: Shop, champion: ModelVersion, found: Diagnosis) -> tuple[Shop, Synthesis | None]:
    """The batch of this round, and the shop with its rows where they may train; what is lacking is made up for by
    people's rows again."""
    if shop.project.settings.synthesize.rows == 0:
        return shop, None
    made = synthesize_stage(shop, champion, found)
    if made is None:
        return shop, None
    shop.talk.say(f"synthesize: {made.as_text()}")
    seeds = with_new_batches(shop.project, shop.seeds)
    return replace(shop, seeds=replace(seeds, repeats=_repeats(shop, made))), made


def _repeats(shop: Shop, made: Synthesis) -> list[Example]:
    """People's rows for what the plan wanted and the batch does not train: all of it while the batch waits."""
    if not shop.project.settings.synthesize.top_up:
        return []
    rows = made.batch.rows if made.state in (ACCEPTED, UNAUDITED) else ()
    return top_up(made.plan.cells, rows, people_of(shop))


def _make(shop: Shop, champion: ModelVersion, plan: CellPlan, name: str, folder: Path) -> dict[str, Any]:
    with closing(makers_of(shop, folder)) as makers:
        return _made_by(makers, shop, champion, plan, name, folder)


def _made_by(
    makers: Makers, shop: Shop, champion: ModelVersion, plan: CellPlan, name: str, folder: Path
) -> dict[str, Any]:
    shop.talk.say(f"synthesize: {plan.num_rows:,} rows wanted, by {', '.join(makers.moves)}")
    making = make_rows(plan.cells, people_of(shop), makers.moves, makers.makers, seed=seed_of(shop))
    making = makers.refined(making, lambda: _passing(shop, making))
    room = over_limit(shop)
    sieved = sieve_rows(
        shop,
        champion,
        making,
        plan,
        earlier(shop),
        over_limit=room,
        more=makers.steps,
        solver=makers.solver,
        crossed=makers.crossed,
    )
    kept = {row.id for row in sieved.rows}
    rows = list(sieved.rows)
    origins = {one.example.id: one.provenance for one in making.made if one.example.id in kept}
    report = BatchReport(
        batch=name,
        num_made=len(making.made),
        num_kept=len(rows),
        by_reason=by_reason(sieved.drops),
        cells=plan.cells,
        coverage=_coverage(shop, rows),
        num_asked=sieved.num_asked,
        usd=makers.usd,
    )
    proofs = [replace(origins[row.id], verdicts=sieved.verdicts.get(row.id, {})) for row in rows]
    record = write_batch(folder, rows, proofs, report, sieved.drops)
    notes = [*making.notes, *makers.notes()]
    return {**record, "notes": notes, "verified": sieved.verified, "num_tokens": makers.num_tokens}


def _passing(shop: Shop, making: Making) -> set[str]:
    """The rows that pass the cheap filters, so that nothing is paid for one that would fall anyway."""
    rows = [one.example for one in making.made]
    return {row.id for row in guard(rows, [*shop.seeds.of("train"), *earlier(shop)], shop.seeds.task).kept}


def _register(shop: Shop, sealed: Sealed, batch: SyntheticBatch) -> None:
    store = shop.project.store
    add_batch(
        store,
        name=batch.report.batch,
        artifact=store.relative(sealed.path),
        content_hash=sealed.content_hash,
        num_rows=len(batch.rows),
        num_rejects=batch.report.num_made - len(batch.rows),
        sources=[f"burnish synthesize, round {shop.number}"],
    )


def _inputs(shop: Shop, champion: ModelVersion, found: Diagnosis, plan: CellPlan) -> dict[str, str]:
    seeds, base = shop.seeds, shop.bench.base
    return {
        "people": fingerprint(sorted([row.id, row.content_hash] for row in seeds.of("train"))),
        "made": set_hash(earlier(shop)),
        **({"left_out": fingerprint(gone)} if (gone := left_out(shop)) else {}),
        **({"rows_paid_for": str(plan.num_rows)} if plan.limited_by == "money" else {}),
        "protected": set_hash(seeds.protected),
        "dev_a": set_hash(seeds.of("dev_a")),
        "weaknesses": fingerprint([as_json(weak) for weak in found.weaknesses]),
        "champion": champion.adapter_hash,
        "base": base.base_hash,
        "template": base.chat.template_hash,
    }


def _settings(shop: Shop) -> dict[str, Any]:
    settings = shop.project.settings
    endpoints = {"teacher": settings.teacher, "verifier": settings.verifier}
    return {
        "synthesize": settings.synthesize.model_dump(
            mode="json", exclude={"audit_rows", "audit_needed", "take_unaudited", "compare"}
        ),
        "task": as_json(shop.seeds.task),
        "columns": list(shop.seeds.columns),
        "max_tokens": settings.data.max_tokens,
        **{name: _endpoint(one) for name, one in endpoints.items() if one.is_set},
        **({"cross_fit": cross_fit_key(shop)} if is_crossed(shop) else {}),
        **({"generator": generator_key(settings, shop.bench.base)} if GENERATOR in settings.synthesize.moves else {}),
    }


def _endpoint(settings: EndpointSettings) -> dict[str, Any]:
    """What its answers depend on."""
    return settings.model_dump(mode="json", include={"base_url", "model", "json_mode", "max_new_tokens"})


def _coverage(shop: Shop, rows: Sequence[Example]) -> Coverage | None:
    real, made = ([prompt_text(row) for row in side] for side in (shop.seeds.of("dev_a"), rows))
    if min(len(real), len(made)) < FEWEST_ROWS:
        return None
    return measure_coverage(real, made, seed=shop.project.settings.seed)
