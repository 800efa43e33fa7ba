"""Looking at a project with its base model: data checks, a rendered example, an evaluation of any file."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from burnish.config import Settings
from burnish.data.check import DataCheck, check
from burnish.data.columns import ColumnUse
from burnish.data.conversation import conversation
from burnish.data.dataset import load_examples
from burnish.data.ingest import nothing_read, read_rows
from burnish.data.slices import slice_columns
from burnish.data.split import assign_roles
from burnish.data.task import task_of
from burnish.errors import DataError
from burnish.evaluate.files import ROWS, save_evaluation
from burnish.evaluate.prompt import pick_shots
from burnish.evaluate.suspicion import demand_measurement
from burnish.fingerprint import fingerprint
from burnish.loop.attempt import settings_from
from burnish.loop.decided import corrected, rows_of_decisions
from burnish.loop.project import SETTINGS_FILE, Project
from burnish.loop.result import SCHEMA_VERSION
from burnish.loop.task import task_of_project
from burnish.loop.untuned import base_version
from burnish.loop.workbench import BASE_NAME, Workbench
from burnish.model.rendered import show
from burnish.records import Evaluation, Example, ModelVersion, Rejection, as_json
from burnish.registry import champion, get
from burnish.settings.source import laid_over, read_settings
from burnish.store.files import write_atomic
from burnish.store.roles import current_roles
from burnish.talk import Silence, Talk

EVALUATIONS = "evaluations"
"""Folder beside the rounds in which evaluations of files are kept."""


def check_file(file: str, folder: Path, overrides: Sequence[str], talk: Talk) -> DataCheck:
    """What the checker says of a file that is in no project; a burnish.yaml in `folder` gives the settings if there."""
    has_project = (folder / SETTINGS_FILE).is_file()
    settings = (
        read_settings(folder / SETTINGS_FILE, overrides)
        if has_project
        else settings_from(file, laid_over(Settings(), overrides))
    )
    use = ColumnUse()
    rows = list(read_rows(file, settings, use))
    if warning := use.warning():
        talk.warn(warning)
    examples = _with_own_ids(row for row in rows if isinstance(row, Example))
    if not examples:
        raise nothing_read(file, rows)
    return _check(examples, settings, {}, _rejections(rows), talk)


def check_project(project: Project, talk: Talk) -> DataCheck:
    """What the checker says of a project's data, with the roles that it has now and people's answers."""
    examples = corrected(list(load_examples(project.store)), rows_of_decisions(project).corrections)
    return _check(examples, project.settings, current_roles(project.store), (), talk)


def _rejections(rows: Iterable[Example | Rejection]) -> tuple[Rejection, ...]:
    return tuple(row for row in rows if isinstance(row, Rejection))


def _check(
    examples: Sequence[Example],
    settings: Settings,
    known: dict[str, str],
    rejected: Sequence[Rejection],
    talk: Talk,
) -> DataCheck:
    if not examples:
        raise DataError("there is no example to check", hint="add some: burnish data add FILE")
    task = task_of(examples, settings)
    roles = assign_roles(examples, settings, known)
    bench = Workbench(settings, Path("nowhere"), Silence())
    room = bench.base.max_tokens
    return check(examples, roles, settings, task, bench.token_counter(task), rejected=rejected, room=room)


def rendered(project: Project, example: Example) -> dict[str, Any]:
    """One example as the model sees it, with the learned spans marked, and the untuned base's loss on it."""
    bench = Workbench(project.settings, project.store.root, Silence())
    task = task_of_project(project)
    shown = bench.base.chat.render(conversation(task, example))
    return {
        "example": example.id,
        "text": show(shown),
        "tokens": len(shown.tokens),
        "learned": sum(shown.learned),
        "neutralised_control_tokens": shown.forged,
        "template_hash": bench.base.chat.template_hash,
        "loss": bench.loss_of(shown),
    }


def evaluate_on_file(
    project: Project, model: str, file: str, talk: Talk, *, num_shots: int = 0, rows_file: Path | None = None
) -> Evaluation:
    """A model's evaluation on a file, kept with all its rows under .burnish/evaluations.

    A row that cannot be read stops it: a score over fewer rows would mislead. So does a 0 that is no measurement.
    """
    examples = _examples_of(file, project.settings)
    own = list(load_examples(project.store))
    task = task_of(own or examples, project.settings)
    bench = Workbench(project.settings, project.store.root, talk)
    version = find_model(project, model, bench)
    roles = current_roles(project.store)
    shots = pick_shots([e for e in own if roles.get(e.id) == "train"], num_shots, project.settings.seed)
    columns = slice_columns(examples, project.settings)
    evaluation = bench.score(version, task, examples, columns=columns, shots=shots)
    if rows_file:
        lines = [json.dumps(as_json(row), ensure_ascii=False) for row in evaluation.rows]
        write_atomic(rows_file, "".join(line + "\n" for line in lines).encode())
    place = project.store.root / EVALUATIONS / f"{version.name}-{_identity(evaluation)[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    save_evaluation(place, evaluation)
    talk.say(f"rows: {project.shown(place / ROWS)}")
    demand_measurement(evaluation)
    for warning in evaluation.warnings:
        talk.warn(warning)
    return evaluation


def _identity(evaluation: Evaluation) -> str:
    """The same model on the same rows with as many shots is the same evaluation, and is kept once."""
    rows = sorted([row.prompt, row.expected] for row in evaluation.rows)
    return fingerprint([evaluation.model_hash, evaluation.template_hash, evaluation.shots, rows])


def _examples_of(file: str, settings: Settings) -> list[Example]:
    rows = list(read_rows(file, settings))
    bad = _rejections(rows)
    if bad:
        raise DataError(
            f"{len(bad)} of the {len(rows):,} rows of {file} cannot be read; "
            f"the first is row {bad[0].row}: {bad[0].reason}",
            hint=f"mend or remove them; all of them: burnish data check {file}",
        )
    if not rows:
        raise DataError(f"{file} holds no row", hint="name a file with at least one labelled row")
    return _with_own_ids(row for row in rows if isinstance(row, Example))


def _with_own_ids(examples: Iterable[Example]) -> list[Example]:
    """The examples as `data add` would name them: an id that another one has gets a hash, and is no group of both.

    Repetitions of one conversation keep theirs, since they belong together.
    """
    first: dict[str, str] = {}
    named = []
    for example in examples:
        content = example.content_hash
        if first.setdefault(example.id, content) != content:
            own = f"{example.id}-{content[:8]}"
            example = replace(example, id=own, group=own if example.group == example.id else example.group)
        named.append(example)
    return named


def find_model(project: Project, name: str, bench: Workbench) -> ModelVersion:
    """The version called `name`; `champion` and `base` are names that always mean something."""
    now = champion(project.store)
    if name == BASE_NAME or (name == "champion" and now is None):
        return base_version(bench, project.settings)
    if name == "champion":
        assert now is not None
        return now
    return get(project.store, name)


def public_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """The stable form that `burnish eval --json` prints; docs/reference.md describes each field."""
    return {
        "schema_version": SCHEMA_VERSION,
        "model": evaluation.model,
        "model_hash": evaluation.model_hash,
        "metric": evaluation.metric,
        "num_examples": len(evaluation.rows),
        "overall": {evaluation.metric: as_json(evaluation.overall)},
        "slices": {name: {evaluation.metric: as_json(score)} for name, score in evaluation.slices.items()},
        "warnings": list(evaluation.warnings),
    }
