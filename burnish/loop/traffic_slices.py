"""Slices that traffic suggested and people accepted: from then on each is a column of every row, as declared ones are.

A slice is a rule, one of its terms stands in the text, so that it can be read off any row. Texts that suggested it are
none of its rows where something is measured: what led to a claim cannot confirm it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from burnish.diagnose.rows import text_of
from burnish.fingerprint import SHORT, fingerprint
from burnish.loop.project import Project
from burnish.records import Example, from_json
from burnish.store.chain import entries
from burnish.synthesize.cells import holds_term

KIND = "slice"
"""Of the entries in the log of decisions."""
PREFIX, YES = "traffic.", "yes"
"""How the columns of these slices begin, and the value of a row that is in one; other rows have no value."""

Act = Literal["accepted", "dismissed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSlice:
    """A slice of texts, by a rule that never changes under its name."""

    name: str
    terms: tuple[str, ...]
    marks: tuple[str, ...]
    """Hashes of the texts that suggested it."""
    share: float
    """Of the window that suggested it, 0 to 1."""
    num_window: int
    """Requests of that window."""
    num_usual: int
    """Texts of the project's own rows in it, then."""
    of_usual: int
    """Those that were looked at."""
    after: int
    """Place in the traffic of the window's last request: what comes later may confirm it."""
    alarm: str
    """Name of the alarm that suggested it."""
    at: str
    """When that was."""

    @property
    def column(self) -> str:
        """The column that its rows have."""
        return f"{PREFIX}{self.name}"

    def holds(self, text: str) -> bool:
        """Whether a text is in it."""
        return holds_term(text, self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceDecision:
    """What a person said to a slice."""

    slice: TrafficSlice
    act: Act
    by: str
    reason: str
    at: str


def mark_of(text: str) -> str:
    """Hash of a text, case and white space aside."""
    return fingerprint(["text", " ".join(text.casefold().split())])[: 2 * SHORT]


def slice_decisions(project: Project) -> list[SliceDecision]:
    """Every decision about a slice, oldest first."""
    return [
        SliceDecision(
            slice=from_json(TrafficSlice, entry.facts["slice"]),
            act=entry.facts["act"],
            by=str(entry.facts["by"]),
            reason=str(entry.facts["reason"]),
            at=entry.at,
        )
        for entry in entries(project.store.db)
        if entry.kind == KIND
    ]


def slices_in_use(project: Project) -> tuple[TrafficSlice, ...]:
    """The slices whose last decision accepted them, by name."""
    last = {one.slice.name: one for one in slice_decisions(project)}
    return tuple(one.slice for _, one in sorted(last.items()) if one.act == "accepted")


def with_slices(
    by_role: Mapping[str, Sequence[Example]], slices: Sequence[TrafficSlice]
) -> dict[str, Sequence[Example]]:
    """The rows with the columns of the slices that they are in.

    Only in train a row may be in a slice that its own text suggested.
    """
    if not slices:
        return dict(by_role)
    return {role: [_marked(row, slices, is_taught=role == "train") for row in rows] for role, rows in by_role.items()}


def _marked(row: Example, slices: Sequence[TrafficSlice], *, is_taught: bool) -> Example:
    text = text_of(row)
    own = {one.column: YES for one in slices if one.holds(text) and (is_taught or mark_of(text) not in one.marks)}
    return replace(row, slices={**row.slices, **own}) if own else row
