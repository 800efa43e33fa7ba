"""An audit by held gold: answers of a source that no generator has seen, as of a rule engine or a system of record."""

from collections.abc import Sequence
from pathlib import Path

from burnish.data.dedup import prompt_text
from burnish.data.ingest import read_rows
from burnish.errors import DataError, UsageError
from burnish.loop.auditing import Held, sample_of
from burnish.loop.project import Project
from burnish.loop.task import task_of_project
from burnish.records import Example, Rejection, as_json
from burnish.store.audits import append_audit
from burnish.synthesize.audit import Audit, judge_by_gold


def judge_by_file(project: Project, held: Held, file: Path) -> Audit:
    """The audit of a batch by a file of rows with the sample's own prompts and their right answers, written down.

    Any format of `burnish data add` will do. Raises UsageError where answers are texts, of which more than one is
    right, and DataError where a row of the sample has no gold or two, or the file has a row that cannot be read.
    """
    if task_of_project(project).kind == "text":
        raise UsageError(
            "answers of this task are texts, and a text that differs from the gold is not wrong by that",
            hint="let people judge the batch: burnish audit BATCH --sheet FILE",
        )
    sample, gold = sample_of(project, held), _gold_in(project, file)
    missing = [row for row in sample if prompt_text(row) not in gold]
    if missing:
        raise DataError(
            f"{file} has no answer to {len(missing)} of {len(sample)} rows of the sample, the first of them "
            f"{missing[0].id}: {prompt_text(missing[0])[:60]!r}",
            hint="`burnish audit BATCH --sheet FILE` writes the prompts that need one, word for word",
        )
    known = {row.id: gold[prompt_text(row)] for row in sample}
    audit = judge_by_gold(held.name, len(held.rows), sample, known, needed=project.settings.synthesize.audit_needed)
    append_audit(project.store, held.name, as_json(audit), by=audit.by)
    return audit


def _gold_in(project: Project, file: Path) -> dict[str, str]:
    """The right answer by prompt."""
    rows = list(read_rows(file, project.settings))
    bad = [row for row in rows if isinstance(row, Rejection)]
    if bad:
        raise DataError(
            f"{file}, row {bad[0].row}: {bad[0].reason} ({len(bad)} such rows)", hint="mend the file, or drop the row"
        )
    examples = [row for row in rows if isinstance(row, Example)]
    return _one_answer_each(file, examples)


def _one_answer_each(file: Path, examples: Sequence[Example]) -> dict[str, str]:
    gold: dict[str, str] = {}
    for number, example in enumerate(examples, start=1):
        answer = gold.setdefault(prompt_text(example), example.answer)
        if answer != example.answer:
            raise DataError(
                f"{file}, row {number}: {example.answer[:60]!r}; an earlier row with this prompt says {answer[:60]!r}",
                hint="held gold has one right answer to a prompt",
            )
    return gold
