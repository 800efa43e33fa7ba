"""A problem of a set of examples, and the rows that are looked at for one.

A problem has a stable name, how grave it is, how many rows it concerns, and up to three samples, masked.
error: must not be trained on. warning: somebody should look. note: good to know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from burnish.config import Settings
from burnish.data.dedup import Groups, prompt_text
from burnish.data.quality import snippet
from burnish.grammar import agree
from burnish.records import Example, Role, Task

NUM_SAMPLES = 3
Severity = Literal["error", "warning", "note"]

CountTokens = Callable[[Example], tuple[int, int, int]]
"""Tokens of an example, tokens that are learned, control tokens that were made harmless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something about the data that matters."""

    name: str
    severity: Severity
    count: int
    message: str
    samples: tuple[str, ...] = ()
    """Up to three, "file:row text", masked and on one line."""


class CheckedRows(NamedTuple):
    """What every part of the check looks at."""

    examples: Sequence[Example]
    roles: Mapping[str, Role]
    settings: Settings
    task: Task
    near: Groups

    def role(self, example: Example) -> Role:
        """The example's role, "" when it has none yet."""
        return self.roles.get(example.id, "")

    def place(self, example: Example) -> str:
        """Where the example came from."""
        return snippet(example.source or example.id, 60)

    def text(self, example: Example, length: int = 90) -> str:
        """The beginning of its prompt, masked; of a vault's row nothing, for the gate alone reads it."""
        role = self.role(example)
        return f"(sealed in {role})" if role.startswith("vault") else snippet(prompt_text(example), length)

    def samples(self, examples: Sequence[Example]) -> tuple[str, ...]:
        """The first three, "file:row  text"."""
        return tuple(f"{self.place(example)}  {self.text(example)}" for example in examples[:NUM_SAMPLES])

    def problem(
        self, name: str, severity: Severity, found: Sequence[Example], one: str, many: str, rest: str
    ) -> Problem:
        """What these examples have in common: "1 example is", "2 examples are" and the rest, with samples."""
        return Problem(
            name=name,
            severity=severity,
            count=len(found),
            message=f"{agree(len(found), one, many)} {rest}",
            samples=self.samples(found),
        )
