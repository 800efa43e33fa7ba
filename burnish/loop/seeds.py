"""The examples of a project, each with its role: what a round learns from, looks at, chooses by and is judged on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from burnish.data.check import DataCheck, check
from burnish.data.dataset import load_examples, set_hash
from burnish.data.problem import CountTokens
from burnish.data.slices import slice_columns
from burnish.data.split import ASIDE, assign_roles
from burnish.data.task import task_of
from burnish.errors import DataError
from burnish.loop.decided import NO_DECISIONS, Decided
from burnish.loop.decisions import applied, decisions_in_use
from burnish.loop.project import Project
from burnish.loop.traffic_slices import TrafficSlice, slices_in_use, with_slices
from burnish.loop.trusted import NOTHING_MADE, Trusted, trusted_rows
from burnish.records import Example, Task
from burnish.store.barred import barred_by_batch, hash_without
from burnish.store.batches import batches
from burnish.store.looks import looks
from burnish.store.roles import append_roles, current_roles, role_history
from burnish.talk import Talk

DECISIONS = "people's decisions"
"""What `Seeds.data` calls them; no batch can have this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """All examples of a project by role, and the task they state."""

    task: Task
    by_role: Mapping[str, Sequence[Example]]
    columns: tuple[str, ...]
    """Metadata columns to report by."""
    data: Mapping[str, str]
    """Data batch to content hash; of a batch with rows left out, to a hash that says which. Batches that burnish made
    and that train nothing are not among them. What people's decisions come to is beside them, where it is anything."""
    trusted: Trusted = NOTHING_MADE
    """What burnish made itself and may train on; its rows have no role but to train."""
    decided: Decided = NO_DECISIONS
    """What people's decisions change: corrections are in `by_role` already, what is out of scope is aside, and rows,
    pairs and thumbs repeat no row that measures. A row takes the place of the made row that it was asked about."""
    repeats: Sequence[Example] = ()
    """Rows of train once more, where a round's batch came out smaller than it was planned."""
    slices: Sequence[TrafficSlice] = ()
    """Slices that traffic suggested and people accepted; their columns are among `columns`."""

    def of(self, role: str) -> Sequence[Example]:
        """The examples of one role, in a fixed order."""
        return self.by_role.get(role, ())

    @property
    def learned(self) -> Sequence[Example]:
        """What models learn from: the rows of train, what burnish made and may train on, as the last attribution
        weighs it, what people made of questions to them, and repeats."""
        return [*self.of("train"), *self._undisputed(self.trusted.weighed), *self.decided.rows, *self.repeats]

    @property
    def attributable(self) -> Sequence[Example]:
        """The same with every synthetic batch in full: what an attribution weighs anew, whatever the last one said."""
        return [*self.of("train"), *self._undisputed(self.trusted.rows), *self.decided.rows]

    def _undisputed(self, made: Sequence[Example]) -> list[Example]:
        """Made rows that people neither answered otherwise nor put out of scope."""
        gone = {*self.decided.out_of_scope, *(row.group for row in self.decided.rows)}
        return [row for row in made if row.id not in gone]

    @property
    def declared(self) -> tuple[str, ...]:
        """The columns that came with the data, those of traffic's slices left out."""
        return tuple(column for column in self.columns if column not in {one.column for one in self.slices})

    @property
    def protected(self) -> Sequence[Example]:
        """The rows that measure, which nothing that trains may repeat."""
        return [row for role, rows in self.by_role.items() if role not in ("train", ASIDE) for row in rows]

    @property
    def vaults(self) -> tuple[str, ...]:
        """Names of the vaults that have rows and were not retired, oldest first."""
        names = [role for role in self.by_role if is_vault(role)]
        return tuple(sorted(names, key=vault_number))


def is_vault(role: str) -> bool:
    """Whether a role is one of the vaults."""
    return role.startswith("vault_")


def vault_number(role: str) -> int:
    """3 for vault_3."""
    return int(role.removeprefix("vault_"))


def gather(project: Project) -> Seeds:
    """Every example with its role; new ones get theirs now, and known ones keep it. Raises DataError without data."""
    examples = sorted(load_examples(project.store), key=lambda example: example.id)
    if not examples:
        raise DataError("the project has no data yet", hint=f"burnish data add FILE {project.option}")
    task = task_of(examples, project.settings)
    known = current_roles(project.store)
    roles = assign_roles(examples, project.settings, known, open_vaults=_open_vaults(project, examples, known))
    append_roles(project.store, roles, reason="first seen")
    by_role: dict[str, list[Example]] = {}
    for example in examples:
        by_role.setdefault(roles[example.id], []).append(example)
    seeds = Seeds(task=task, by_role=by_role, columns=tuple(slice_columns(examples, project.settings)), data={})
    trusted = trusted_rows(project, seeds.protected)
    append_roles(project.store, {row.id: "train" for row in trusted.rows}, reason="of a synthetic batch in use")
    decided = decisions_in_use(project, task, by_role, trusted.rows, seeds.protected)
    seeds = replace(seeds, by_role=applied(by_role, decided), trusted=trusted, decided=decided)
    return _sliced(replace(seeds, data=_data(project, trusted, decided)), slices_in_use(project))


def _sliced(seeds: Seeds, slices: Sequence[TrafficSlice]) -> Seeds:
    """The same with the slices of traffic as columns, behind the declared ones."""
    columns = (*seeds.columns, *(one.column for one in slices))
    return replace(seeds, by_role=with_slices(seeds.by_role, slices), columns=columns, slices=slices)


def with_new_batches(project: Project, seeds: Seeds) -> Seeds:
    """The same examples with the synthetic batches of now; what people decided meanwhile is for the next round."""
    fresh = gather(project)
    held = {name: found for name, found in seeds.data.items() if name == DECISIONS}
    data = {name: found for name, found in fresh.data.items() if name != DECISIONS}
    return replace(seeds, trusted=fresh.trusted, data={**data, **held})


def _data(project: Project, trusted: Trusted, decided: Decided) -> dict[str, str]:
    """Each data batch in use with the identity of what is left of it, and what people decided."""
    harmful = {name for name, weight in trusted.weights.items() if weight == 0}
    barred, unused = barred_by_batch(project.store), {*trusted.waiting, *trusted.rejected, *harmful}
    found = {
        batch.name: hash_without(
            batch.content_hash, [*barred.get(batch.name, ()), *trusted.left_out.get(batch.name, ())]
        )
        for batch in batches(project.store)
        if batch.name not in unused
    }
    known = decided.identity(project.settings.train.objective)
    return {**found, DECISIONS: known} if known else found


def checked(
    seeds: Seeds, project: Project, count_tokens: CountTokens, talk: Talk, room: int | None = None
) -> DataCheck:
    """What the one checker says; warnings are told. Raises DataError on what must not be trained on."""
    roles = {example.id: role for role, examples in seeds.by_role.items() for example in examples}
    examples = [example for examples in seeds.by_role.values() for example in examples]
    found = check(examples, roles, project.settings, seeds.task, count_tokens, room=room)
    for problem in found.problems:
        if problem.severity == "error":
            raise DataError(problem.message, hint=f"see every case: burnish data check {project.option}")
        if problem.severity == "warning":
            talk.warn(problem.message)
    return found


def demand_dev_rows(seeds: Seeds, purpose: str) -> None:
    """Raises DataError when dev_a or dev_b has no row, so that there is nothing to "diagnose by" or the like."""
    for role in ("dev_a", "dev_b"):
        if not seeds.of(role):
            raise DataError(
                f"no row has the role {role}, so there is nothing to {purpose}",
                hint="add data: burnish data add FILE",
            )


def _open_vaults(project: Project, examples: Sequence[Example], known: Mapping[str, str]) -> tuple[str, ...]:
    """Vaults that new rows may join: those that no challenger was ever judged on, else a new one.

    A vault that was looked at is closed: a row added later would hand out fresh attempts on old rows.
    """
    if not known:
        return tuple(f"vault_{number + 1}" for number in range(project.settings.roles.vaults))
    rows: dict[str, list[Example]] = {}
    for example in examples:
        if is_vault(role := known.get(example.id, "")):
            rows.setdefault(role, []).append(example)
    fresh = [name for name, held in rows.items() if not looks(project.store, set_hash(held))]
    used = [vault_number(change.role) for change in role_history(project.store) if is_vault(change.role)]
    return tuple(sorted(fresh, key=vault_number)) or (f"vault_{max(used, default=0) + 1}",)


def retire(project: Project, vault: str, reason: str) -> None:
    """Ages the rows in one step: the vault's go to dev_a, and what was dev_a to train. Done twice, it is done once."""
    known = current_roles(project.store)
    if vault not in known.values():
        return
    aged = {vault: "dev_a", "dev_a": "train"}
    append_roles(project.store, {row: aged[role] for row, role in known.items() if role in aged}, reason=reason)
