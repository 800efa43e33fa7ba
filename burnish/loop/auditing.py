"""The audit of a synthetic batch: a blind sheet that people fill in, and what their answers prove.

A label is asked for without showing the batch's own; other answers are shown and called right or wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.data.dataset import load_made
from burnish.data.dedup import prompt_text
from burnish.data.sheet import sheet_rows, write_table
from burnish.errors import DataError, UsageError
from burnish.loop.project import Project
from burnish.loop.task import task_of_project
from burnish.loop.trusted import latest_audits
from burnish.records import Example, Task, as_json
from burnish.store.audits import append_audit
from burnish.synthesize.audit import Audit, draw_audit, judge_audit, not_audited

ANSWER, RIGHT = "answer", "right"
"""The column that people fill in: the label that they would give, or yes and no."""
UNSURE = "?"
"""Cannot tell; counts as not right."""
YES, NO = ("yes", "y", "true", "1", "right"), ("no", "n", "false", "0", "wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A batch that burnish made, and the last verdict on it."""

    name: str
    rows: tuple[Example, ...]
    audit: Audit


def held_batches(project: Project) -> list[Held]:
    """Every synthetic batch with a row in use, oldest first."""
    rows: dict[str, list[Example]] = {}
    for batch, example in load_made(project.store):
        rows.setdefault(batch.name, []).append(example)
    known = latest_audits(project)
    return [
        Held(name=name, rows=tuple(own), audit=known.get(name) or not_audited(name, len(own)))
        for name, own in rows.items()
    ]


def waiting_batch(project: Project) -> str | None:
    """The newest synthetic batch that nobody audited; None when none waits."""
    return next((one.name for one in reversed(held_batches(project)) if one.audit.status == "not audited"), None)


def find_batch(project: Project, name: str) -> Held:
    """The batch of that name, or the newest that waits. Raises UsageError when there is none."""
    held = held_batches(project)
    if not held:
        raise UsageError("there is no synthetic batch yet", hint="make one: burnish synthesize")
    waiting = [one for one in held if one.audit.status == "not audited"]
    named = [one for one in held if one.name == name] if name else waiting[-1:] or held[-1:]
    if not named:
        raise UsageError(
            f"there is no synthetic batch {name!r}", hint=f"there are: {', '.join(one.name for one in held)}"
        )
    return named[0]


def sample_of(project: Project, held: Held) -> tuple[Example, ...]:
    """The rows that are judged: the same ones at every call."""
    return draw_audit(held.rows, n=project.settings.synthesize.audit_rows, seed=project.settings.seed)


def write_sheet(project: Project, held: Held, file: Path) -> int:
    """Writes the sheet to be filled in, one row of the sample a line; returns how many. An old file is replaced."""
    sample, task = sample_of(project, held), task_of_project(project)
    is_blind = task.kind == "label"
    header = ["id", "text", ANSWER] if is_blind else ["id", "text", "proposed", RIGHT]
    write_table(file, header, [[row.id, prompt_text(row), *([] if is_blind else [row.answer]), ""] for row in sample])
    return len(sample)


def judge_sheet(project: Project, held: Held, file: Path, *, by: str) -> Audit:
    """The audit that a filled sheet comes to, written down.

    Raises DataError on a sheet that is not of this batch, is not filled in, or holds an answer that is none.
    """
    return judge_answers(project, held, _read(file, sample_of(project, held), task_of_project(project)), by=by)


def judge_answers(project: Project, held: Held, answers: Mapping[str, str], *, by: str) -> Audit:
    """The audit that answers by row id come to, written down: a label, or yes and no, or "?" where nobody can tell.

    Raises DataError for a row that is not of this sample, for one without an answer, and for an answer that is none.
    """
    sample, task = sample_of(project, held), task_of_project(project)
    _refuse_strangers(held, sample, answers)
    _refuse_what_is_no_answer(held.name, answers, task)
    results = {row.id: _is_right(row, answers[row.id], task) for row in sample if answers.get(row.id)}
    needed = project.settings.synthesize.audit_needed
    audit = judge_audit(held.name, len(held.rows), sample, results, by=by, needed=needed)
    append_audit(project.store, held.name, as_json(audit), by=by)
    return audit


def _read(file: Path, sample: Sequence[Example], task: Task) -> dict[str, str]:
    """What people wrote, by row; rows that they left empty are not there."""
    column = ANSWER if task.kind == "label" else RIGHT
    lines = sheet_rows(file)
    if not lines or not {"id", column} <= lines[0][1].keys():
        raise DataError(
            f"{file} has no columns id and {column}", hint="fill in the sheet that `burnish audit --sheet` wrote"
        )
    known = {row.id for row in sample}
    strange = [(line, row["id"]) for line, row in lines if row["id"] not in known]
    if strange:
        raise DataError(
            f"{file}, line {strange[0][0]}: {strange[0][1]!r} is no row of this sample ({len(strange)} such lines)",
            hint="each batch has its own sheet: write it with `burnish audit BATCH --sheet FILE`",
        )
    given = {row["id"]: row[column].strip() for _, row in lines}
    _refuse_what_is_no_answer(str(file), given, task)
    return {name: answer for name, answer in given.items() if answer}


def _refuse_strangers(held: Held, sample: Sequence[Example], answers: Mapping[str, str]) -> None:
    strange = sorted(answers.keys() - {row.id for row in sample})
    if strange:
        raise DataError(
            f"{strange[0]!r} is no row of the sample of {held.name} ({len(strange)} such rows)",
            hint="the batch changed since its rows were shown: judge the sample that there is now",
        )


def _refuse_what_is_no_answer(place: str, given: Mapping[str, str], task: Task) -> None:
    allowed = {*task.labels} if task.kind == "label" else {*YES, *NO}
    for number, (name, answer) in enumerate(given.items(), start=2):
        told = answer if task.kind == "label" else answer.lower()
        if answer and answer != UNSURE and told not in allowed:
            shown = ", ".join(sorted(allowed)[:12]) if task.kind == "label" else "yes, no"
            raise DataError(
                f"{place}, line {number} ({name}): {answer[:60]!r} is no answer",
                hint=f"write one of {shown}, or {UNSURE} where nobody can tell",
            )


def _is_right(row: Example, told: str, task: Task) -> bool | None:
    if told == UNSURE:
        return None
    return told == row.answer if task.kind == "label" else told.lower() in YES
