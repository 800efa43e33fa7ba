"""Which rows that burnish made may train: those of audited batches, and none that repeats a row that measures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from burnish.data.dataset import load_made
from burnish.data.dedup import prompt_text
from burnish.fingerprint import fingerprint
from burnish.loop.project import Project
from burnish.loop.weighing import weights_of
from burnish.records import Example, from_json
from burnish.store.audits import audits
from burnish.store.batches import Batch
from burnish.synthesize.audit import Audit, may_train, not_audited
from burnish.synthesize.decontaminate import Decontaminator
from burnish.tune.ablation import reweighted

ACCEPTED, UNAUDITED, WAITING, REJECTED = STATES = ("accepted", "unaudited", "waiting", "rejected")
"""What becomes of a batch: it passed its audit, trains without one, waits for one, or failed it."""
MOST_ROWS = 10_000_000
"""Rows that a project's decontamination answers for in one go: what people add later may clash with old batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Synthetic rows in use, and what the last attribution makes of them."""

    rows: tuple[Example, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each batch that trains the rows that repeat a protected one."""
    unaudited: frozenset[str] = frozenset()
    """Batches that train though nobody judged them."""
    waiting: tuple[str, ...] = ()
    """Batches that train nothing before their audit."""
    rejected: tuple[str, ...] = ()
    """Batches that failed it."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """What each batch that was attributed counts: 1 in full, 0.5 half, 0 not at all."""

    @property
    def weighed(self) -> tuple[Example, ...]:
        """The rows that train: without harmful batches, those of doubtful ones at half their weight."""
        return tuple(reweighted(self.rows, self.weights))


NOTHING_MADE = Trusted()


def trusted_rows(project: Project, protected: Sequence[Example]) -> Trusted:
    """The rows of every batch that may train, without those too like the `protected` rows (dev, vaults, audit)."""
    made = list(load_made(project.store))
    if not made:
        return NOTHING_MADE
    states = _states(project, {batch.name: batch for batch, _ in made})
    rows = [(batch.name, row) for batch, row in made if states[batch.name] in (ACCEPTED, UNAUDITED)]
    kept = clean(project, protected, [row for _, row in rows])
    left_out: dict[str, list[str]] = defaultdict(list)
    for (name, row), is_kept in zip(rows, kept, strict=True):
        left_out[name] += [] if is_kept else [row.id]
    kept_rows = tuple(row for (_, row), is_kept in zip(rows, kept, strict=True) if is_kept)
    named = {state: tuple(name for name, own in states.items() if own == state) for state in STATES}
    return Trusted(
        rows=kept_rows,
        left_out={name: tuple(ids) for name, ids in left_out.items()},
        unaudited=frozenset(named[UNAUDITED]),
        waiting=named[WAITING],
        rejected=named[REJECTED],
        weights=weights_of(project, kept_rows),
    )


def _states(project: Project, made: Mapping[str, Batch]) -> dict[str, str]:
    known = latest_audits(project)
    return {name: _state(project, known.get(name) or not_audited(name, one.num_rows)) for name, one in made.items()}


def state_of(project: Project, batch: str, num_rows: int) -> str:
    """What becomes of one batch."""
    return _state(project, latest_audits(project).get(batch) or not_audited(batch, num_rows))


def _state(project: Project, audit: Audit) -> str:
    if audit.status != "not audited":
        return ACCEPTED if may_train(audit) else REJECTED
    takes_all = project.settings.synthesize.take_unaudited
    return UNAUDITED if may_train(audit, take_unaudited=takes_all) else WAITING


def latest_audits(project: Project) -> dict[str, Audit]:
    """The last audit of each batch that was judged."""
    return {entry.batch: from_json(Audit, entry.record) for entry in audits(project.store)}


def clean(project: Project, protected: Sequence[Example], rows: Sequence[Example]) -> tuple[bool, ...]:
    """Keep or drop by row: what is too like a row that measures is dropped. Nothing else is said."""
    return decontaminator(project, protected).keep([prompt_text(row) for row in rows]) if rows else ()


def decontaminator(project: Project, protected: Sequence[Example], *, num_asked: int = 0) -> Decontaminator:
    """The service that answers for these protected rows, under a key that is the project's own."""
    key = bytes.fromhex(fingerprint(["decontamination", project.settings.project, project.settings.seed]))
    texts = [prompt_text(row) for row in protected]
    return Decontaminator(texts, key=key, most_rows=MOST_ROWS, num_asked=num_asked)
