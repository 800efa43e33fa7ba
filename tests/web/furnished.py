"""A project with everything that a page can show, made without a model; any text of it can be somebody's markup."""

import json
from dataclasses import replace
from pathlib import Path

from burnish.budget import Budget
from burnish.config import Settings
from burnish.data.dataset import load_examples
from burnish.data.intake import add_files
from burnish.loop.past import DONE_FILE, RESULT_FILE, round_folder
from burnish.loop.project import Project, create_project, settings_with
from burnish.loop.result import RoundResult, save_result
from burnish.loop.watch_state import WatchState, log_alarms, save_state, watching_alone
from burnish.monitor.alarms import Alarm, Cluster, Reading, Suggestion
from burnish.records import Cost, Example, Message, ModelVersion, Provenance
from burnish.registry import promote, register
from burnish.report.render import render_html, render_json
from burnish.store.batches import add_batch
from burnish.store.roles import append_roles
from burnish.store.stage import run_stage
from burnish.store.traffic import Spoken, append_traffic
from burnish.synthesize.batch import BatchReport, write_batch
from burnish.talk import Silence
from tests.report.sample_report import rate, sample_report

ACTIONS = ("pay", "deny", "refer")
BATCH = "synthetic-001"
EVERY = (
    "/",
    "/review",
    "/rounds",
    "/rounds/1",
    "/data",
    "/batches",
    f"/batches/{BATCH}",
    "/models",
    "/costs",
    "/watch",
)
"""Its pages that show what is stored."""
SECRET = "zebrafinch"
"""A word that stands only in rows that a vault holds."""


def furnish(folder: Path, mark: str = "") -> Project:
    """A project of 30 rows, a round, versions and a batch of 12 rows that waits; `mark` is in every text."""
    settings = settings_with(
        Settings(), {"project": f"desk {mark}", "data.slices": ["channel"], "synthesize.audit_needed": 0.5}
    )
    project = create_project(folder, settings)
    store = project.store
    add_files(store, settings, [_rows(folder / "rows.jsonl", mark)], Silence())
    ids = [example.id for example in load_examples(store)]
    roles = {name: ("train", "dev_a", "vault_1")[at // 10] for at, name in enumerate(ids)}
    append_roles(store, roles, reason="test")
    _batch(project, ids[:12], mark)
    for name, decision in (("base", ""), ("round-1", "PROMOTE"), ("round-2", "HOLD")):
        register(store, _version(project, name, decision, mark))
    promote(store, "base", f"start {mark}", "test")
    promote(store, "round-1", f"passed {mark}", "test")
    _round(project, mark)
    _alarm(project, mark)
    Budget(store=store, settings=settings.budget).settle(
        Budget(store=store, settings=settings.budget).reserve("train", Cost(seconds=1)), Cost(seconds=3, tokens=5)
    )
    return project


def _alarm(project: Project, mark: str) -> None:
    """Three requests that are still kept, and an alarm about them and one that is gone."""
    asked = [
        Spoken(
            response_id=f"r{at}",
            at="2026-11-30T10:00:00Z",
            model="round-1",
            messages=(Message(role="user", content=f"volcano {at} {mark}"),),
            answer="pay",
            expires_at="2999-01-01T00:00:00Z",
        )
        for at in range(3)
    ]
    append_traffic(project.store, asked)
    reading = Reading(signal="outsiders", is_alarm=True, what=f"further off {mark}", e_value=321.0, bar=100.0)
    terms = ("volcano", f"term {mark}")
    suggests = Suggestion(terms=terms, marks=("m1",), share=0.5, num_usual=1, of_usual=40)
    alarm = Alarm(
        id="a1",
        at="2026-11-30T10:00:00Z",
        model="round-1",
        window=1,
        first=1,
        last=4,
        reading=reading,
        action=f"label them {mark}",
        command="burnish watch --label rows.jsonl",
        rows=(1, 2, 3, 4),
        clusters=(Cluster(terms=("volcano", f"term {mark}"), rows=(1, 2, 4), suggests=suggests),),
    )
    with watching_alone(project):
        log_alarms(project, [alarm])
        save_state(project, WatchState(model="round-1", seq=4, window=1, alarmed=("outsiders",)))


def _rows(path: Path, mark: str) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for at in range(30):
            word = SECRET if at >= 20 else "canary"
            text = f"case {at} of the {word} {chr(97 + at % 26) * 5} {mark}"
            row = {"text": text, "label": ACTIONS[at % 3], "channel": f"web {mark}"}
            file.write(json.dumps(row) + "\n")
    return path


def _batch(project: Project, parents: list[str], mark: str) -> None:
    store = project.store
    rows = [
        Example(
            id=f"made-{at} {mark}",
            messages=(
                Message(role="user", content=f"made case {at} of {ACTIONS[at % 3]} {mark}"),
                Message(role="assistant", content=ACTIONS[at % 3]),
            ),
            group=parent,
        )
        for at, parent in enumerate(parents)
    ]
    origins = [
        Provenance(example=row.id, move=f"noise {mark}", generator=f"gen {mark}", parents=(row.group,), refiner=mark)
        for row in rows
    ]
    report = BatchReport(batch=BATCH, num_made=13, num_kept=12, by_reason={f"copy {mark}": 1})

    def work(place: Path) -> dict[str, object]:
        return write_batch(place, rows, origins, report)

    sealed = run_stage(store, stage="synthesize", version=1, settings=0, inputs={}, seed=0, work=work, libraries=())
    add_batch(
        store,
        name=BATCH,
        artifact=store.relative(sealed.path),
        content_hash=sealed.content_hash,
        num_rows=12,
        num_rejects=1,
        sources=[f"source {mark}"],
    )


def _version(project: Project, name: str, decision: str, mark: str) -> ModelVersion:
    def work(place: Path) -> dict[str, object]:
        (place / "slot-0").mkdir()
        (place / "slot-0" / "adapter_model.safetensors").write_text(name)
        return {}

    sealed = run_stage(
        project.store, stage="train", version=1, settings=name, inputs={}, seed=0, work=work, libraries=()
    )
    return ModelVersion(
        name=name,
        round=1,
        adapter_hash="" if name == "base" else f"hash-{name}",
        artifact="" if name == "base" else project.store.relative(sealed.path / "slot-0"),
        base=f"builtin {mark}",
        base_hash="b",
        template_hash="t",
        parents=() if name == "base" else ("base",),
        data={f"rows {mark}": "d"},
        lr=1e-3,
        scores={} if name == "base" else {"accuracy": rate(7, 10)},
        decision=decision,
    )


def _round(project: Project, mark: str) -> None:
    report = replace(sample_report(), reason=f"because {mark}", champion=f"base {mark}", project=f"desk {mark}")
    folder = round_folder(project, 1)
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(render_html(report), encoding="utf-8")
    (folder / "report.json").write_text(render_json(report), encoding="utf-8")
    result = RoundResult(
        round=1,
        key="k",
        decision="PROMOTE",
        reason=report.reason,
        champion="round-1",
        previous_champion="base",
        challenger="round-1",
        challenger_hash="hash-round-1",
        metric="accuracy",
        before=report.before,
        after=report.after,
        gain=report.gain,
        cost=Cost(seconds=3),
        report="",
        vault="vault_1",
        slices=report.comparison.slices if report.comparison else (),
        baselines={"zero_shot": rate(2, 10), "few_shot": rate(3, 10), "commonest_answer": rate(9, 10)},
        warnings=(f"warning {mark}",),
    )
    save_result(folder / RESULT_FILE, result)
    (folder / DONE_FILE).touch()
