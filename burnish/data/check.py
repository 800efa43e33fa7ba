"""The one checker of data: `data check`, the dry run and training all ask here, and see the same problems."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.config import Settings
from burnish.data.answer_form import form_problems
from burnish.data.dedup import near_duplicate_groups, prompt_text
from burnish.data.lengths import token_problems
from burnish.data.problem import CheckedRows, CountTokens, Problem
from burnish.data.problems import (
    answer_problems,
    double_problems,
    leak_problems,
    rejected_problems,
    small_slice_problems,
    text_problems,
)
from burnish.data.quality import counted
from burnish.data.slices import slice_columns, slices_of
from burnish.errors import DataError
from burnish.grammar import agree
from burnish.records import Example, Rejection, Role, Task, as_json

MIN_EXAMPLES = 20
GRAVEST_FIRST = ("error", "warning", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCheck:
    """What the checker says of a set of examples."""

    num_examples: int
    num_groups: int
    num_rejected: int
    num_duplicates: int
    """Conversations that are there already, exactly."""
    num_near_duplicates: int
    """Examples whose prompt an earlier one asks nearly the same."""
    roles: Mapping[str, int]
    slices: Mapping[str, int]
    """Rows by "column=value"."""
    labels: Mapping[str, int]
    secrets: Mapping[str, int]
    """Rows with a secret or personal data, by kind; the texts are shown nowhere."""
    num_control_tokens: int
    max_tokens: int | None
    """Of the longest example; None when tokens were not counted."""
    problems: tuple[Problem, ...] = field(default_factory=tuple)

    @property
    def has_errors(self) -> bool:
        """Whether training must not begin."""
        return any(problem.severity == "error" for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**as_json(self), "has_errors": self.has_errors}

    def as_text(self) -> str:
        """For people: numbers first, then the problems, gravest first."""
        groups = "" if self.num_groups == self.num_examples else f" in {agree(self.num_groups, 'group', 'groups')}"
        lines = [f"{self.num_examples:,} examples{groups}"]
        lines += [f"  {name}: {counted(found)}" for name, found in self._numbers() if found]
        if self.max_tokens is not None:
            lines.append(f"  longest: {self.max_tokens:,} tokens")
        for problem in self.problems:
            lines.append(f"{problem.severity}: {problem.message}")
            lines += [f"    {sample}" for sample in problem.samples]
        return "\n".join(lines if self.problems else [*lines, "no problem found"])

    def _numbers(self) -> tuple[tuple[str, Mapping[str, int]], ...]:
        own = {name: count for name, count in self.slices.items() if not name.startswith("answer=")}
        return (("roles", self.roles), ("labels", self.labels), ("slices", own))


def check(
    examples: Sequence[Example],
    roles: Mapping[str, Role],
    settings: Settings,
    task: Task,
    count_tokens: CountTokens | None = None,
    *,
    rejected: Sequence[Rejection] = (),
    room: int | None = None,
) -> DataCheck:
    """Everything that is wrong or odd about these examples; nothing is changed. `room`: tokens that the base can hold.

    Raises DataError at once when there are fewer than 20: no number about so few would mean anything.
    """
    _refuse_few(examples, rejected)
    ordered = sorted(examples, key=lambda example: (example.content_hash, example.id))
    near = near_duplicate_groups([prompt_text(example) for example in ordered], settings.data.near_duplicate)
    rows = CheckedRows(ordered, roles, settings, task, near)
    columns = slice_columns(ordered, settings)
    slices = Counter(name for example in ordered for name in slices_of(example, columns, task))
    texts, found_in_texts = text_problems(rows)
    tokens, found_in_tokens = token_problems(rows, count_tokens, room)
    problems = [
        *rejected_problems(rejected),
        *found_in_tokens,
        *leak_problems(rows),
        *answer_problems(rows),
        *form_problems(rows),
        *double_problems(rows),
        *found_in_texts,
        *small_slice_problems(rows, columns),
    ]
    return DataCheck(
        num_examples=len(ordered),
        num_groups=len({example.group for example in ordered}),
        num_rejected=len(rejected),
        num_duplicates=len(ordered) - len({example.content_hash for example in ordered}),
        num_near_duplicates=near.num_joined,
        roles=dict(sorted(Counter(roles.get(example.id, "none yet") for example in ordered).items())),
        slices=dict(sorted(slices.items())),
        labels=dict(Counter(example.answer for example in ordered).most_common()) if task.kind == "label" else {},
        secrets=texts.secrets,
        num_control_tokens=texts.control_tokens,
        max_tokens=tokens,
        problems=tuple(sorted(problems, key=lambda problem: GRAVEST_FIRST.index(problem.severity))),
    )


def _refuse_few(examples: Sequence[Example], rejected: Sequence[Rejection]) -> None:
    if len(examples) >= MIN_EXAMPLES:
        return
    lost = ""
    if rejected:
        first = f"{rejected[0].source}:{rejected[0].row} ({rejected[0].reason})"
        lost = f"; {agree(len(rejected), 'row was', 'rows were')} rejected, the first is {first}"
    raise DataError(
        f"need at least {MIN_EXAMPLES} examples, found {len(examples)}{lost}",
        hint="add more: burnish data add FILE. A few hundred is where fine-tuning begins to show",
    )
