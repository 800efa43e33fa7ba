"""What the vaults can prove, and how many labels would prove more."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from burnish.data.dataset import load_examples
from burnish.data.slices import slice_columns
from burnish.data.split import assign_roles
from burnish.data.task import task_of
from burnish.errors import DataError
from burnish.gate.decide import PLAN_DISCORDANCE, alpha_of_attempt
from burnish.gate.pairs import POWER
from burnish.loop.project import Project
from burnish.loop.seeds import is_vault, vault_number
from burnish.records import Example, Task
from burnish.stats.planning import PlanRow, detectable_gain, plan, plan_sentence
from burnish.store.roles import current_roles

SHOWN_GAINS = ("5", "10", "15")


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPlan:
    """What the next vault can prove, overall and per slice."""

    vault: str
    sentence: str
    alpha: float
    """Of the vault's first attempt."""
    rows: tuple[PlanRow, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; a gain that cannot be proven at all is null."""
        return {
            "vault": self.vault,
            "sentence": self.sentence,
            "alpha": self.alpha,
            "power": POWER,
            "rows": [{**row._asdict(), "smallest_gain": _provable(row.smallest_gain)} for row in self.rows],
        }

    def as_table(self) -> list[list[object]]:
        """Rows for a table: set, n, smallest provable gain in points, rows needed for 5, 10 and 15 points."""
        return [
            [row.name, row.n, _shown(_provable(row.smallest_gain)), row.rows_for_5, row.rows_for_10, row.rows_for_15]
            for row in self.rows
        ]


def plan_power(project: Project, num_rows: int | None) -> PowerPlan:
    """The plan for the vault that is next, or for a vault of `num_rows` rows. Raises DataError without data."""
    examples = list(load_examples(project.store))
    if not examples:
        raise DataError("the project has no data yet", hint=f"burnish data add FILE --project {project.folder}")
    roles = assign_roles(examples, project.settings, current_roles(project.store))
    names = sorted({role for role in roles.values() if is_vault(role)}, key=vault_number)
    vault = names[0] if names else ""
    held = [example for example in examples if roles[example.id] == vault]
    total = num_rows or len(held)
    counts = {vault or "a new vault": total}
    for name, count in _slices(held, project, task_of(examples, project.settings)).items():
        counts[name] = count if num_rows is None else round(count * num_rows / max(len(held), 1))
    alpha = alpha_of_attempt(project.settings.gate, 1)
    return PowerPlan(
        vault=vault,
        sentence=plan_sentence(total, detectable_gain(total, PLAN_DISCORDANCE, alpha, POWER)),
        alpha=alpha,
        rows=plan(counts, PLAN_DISCORDANCE, alpha, POWER),
    )


def _slices(held: list[Example], project: Project, task: Task) -> dict[str, int]:
    """Rows of a vault per slice; counts of inputs only, so the plan reveals nothing that the gate measures."""
    columns = slice_columns(held, project.settings) if held else ()
    counts = Counter(f"{column}={row.slices[column]}" for row in held for column in columns if column in row.slices)
    if task.kind == "label":
        counts.update(f"answer={row.answer}" for row in held)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _provable(gain: float) -> float | None:
    return gain if gain <= 1.0 else None


def _shown(gain: float | None) -> str:
    return "none" if gain is None else f"{100 * gain:.0f} points"
