"""What the measures of a project need beside its rows: files that people may put next to burnish.yaml.

terms.yaml is the term base of the trade, swaps.yaml replaces the built-in table of swaps, retention.jsonl holds rows
that have nothing to do with the task. A project without them is measured by what there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.config import Settings
from burnish.data.dataset import set_hash
from burnish.data.ingest import read_rows
from burnish.data.task import guess_kind, task_of
from burnish.diagnose.rows import text_of
from burnish.errors import DataError
from burnish.evaluate.swaps import Swaps, builtin_swaps, load_swaps
from burnish.evaluate.terms import Term, load_terms, propose_terms, save_terms
from burnish.fingerprint import fingerprint
from burnish.loop.project import Project, settings_with
from burnish.loop.seeds import Seeds
from burnish.records import Example, Rejection, Task, as_json

TERMS_FILE, SWAPS_FILE, RETENTION_FILE = "terms.yaml", "swaps.yaml", "retention.jsonl"
RETENTION_TOKENS = 32
"""Longest answer to a row of the retention set that is a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What measures rest on, read once at the start of a round."""

    terms: tuple[Term, ...] = ()
    swaps: Swaps
    retention: tuple[Example, ...] = ()
    retention_task: Task | None = None
    """What the rows of the retention set ask; None without such rows."""

    @property
    def identity(self) -> str:
        """A hash of all of it."""
        terms = [as_json(term) for term in self.terms if term.approved]
        swaps = {name: [dict(entry) for entry in entries] for name, entries in self.swaps.items()}
        return fingerprint([terms, swaps, set_hash(self.retention)])


def kit_of(project: Project, seeds: Seeds) -> Kit:
    """The kit of a project; where answers are texts and there is no terms.yaml, one with proposals is written.

    Nothing is measured by a proposal before a person approves it. Raises ConfigError or DataError on a file that
    cannot be read.
    """
    swaps, retention = project.folder / SWAPS_FILE, project.folder / RETENTION_FILE
    rows = _read(retention) if retention.is_file() else ()
    return Kit(
        terms=_terms(project.folder / TERMS_FILE, seeds),
        swaps=load_swaps(swaps) if swaps.is_file() else builtin_swaps(),
        retention=rows,
        retention_task=_task(rows) if rows else None,
    )


def _terms(path: Path, seeds: Seeds) -> tuple[Term, ...]:
    if path.is_file():
        return load_terms(path)
    proposed = () if seeds.task.kind == "label" else propose_terms(_classes(seeds))
    if proposed:
        save_terms(path, proposed)
    return proposed


def _classes(seeds: Seeds) -> dict[str, list[str]]:
    """The texts of train by the value of the first column to report by, questions and answers."""
    texts: dict[str, list[str]] = {}
    column = next(iter(seeds.columns), "")
    for example in seeds.of("train"):
        texts.setdefault(example.slices.get(column, ""), []).append(f"{text_of(example)}\n{example.answer}")
    return texts


def _read(path: Path) -> tuple[Example, ...]:
    rows = list(read_rows(path, Settings()))
    bad = [row for row in rows if isinstance(row, Rejection)]
    if bad:
        raise DataError(
            f"{len(bad)} of the {len(rows):,} rows of {path.name} cannot be read; "
            f"the first is row {bad[0].row}: {bad[0].reason}",
            hint=f"mend or remove them in {path.name}; each row needs a text and an answer",
        )
    return tuple(row for row in rows if isinstance(row, Example))


def _task(rows: Sequence[Example]) -> Task:
    """As the answers look: a closed set where they recur, else fields or text; the project's own task is another."""
    changes = {"task.kind": guess_kind(rows), "task.max_new_tokens": RETENTION_TOKENS}
    return task_of(rows, settings_with(Settings(), changes))
