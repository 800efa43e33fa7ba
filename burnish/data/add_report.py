"""What came of adding files: the counts while rows go by, and the report of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.grammar import agree
from burnish.records import as_json

DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddReport:
    """What came of adding files."""

    num_kept: int
    num_rejected: int
    """Rows that are no example; duplicates are counted apart."""
    num_duplicates: int
    by_reason: Mapping[str, int]
    """Rows not taken by the stable word of their reason, duplicates included, most frequent first."""
    batches: tuple[str, ...]
    """Names of the batches that were made, one for each file with something new."""
    secrets: Mapping[str, int] = field(default_factory=dict)
    """Kept rows that hold a secret or personal data, by kind."""
    num_control_tokens: int = 0
    """Kept rows that hold something like <|im_start|>; it is read as plain text."""
    num_conflicts: int = 0
    """Kept rows whose prompt an earlier row answers otherwise."""
    num_renamed: int = 0
    """Kept rows whose id was taken by another example; a hash was put behind it."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know, one sentence each."""
        told = []
        if self.secrets:
            found = ", ".join(f"{kind} in {count:,}" for kind, count in self.secrets.items())
            told.append(f"rows hold secrets or personal data ({found}); they are masked in reports, not in training")
        if self.num_control_tokens:
            told.append(
                f"{agree(self.num_control_tokens, 'row holds', 'rows hold')} control tokens of a chat format; "
                "they count as plain text"
            )
        if self.num_conflicts:
            told.append(
                f"{agree(self.num_conflicts, 'row answers', 'rows answer')} a prompt differently from an earlier row "
                "with the same one"
            )
        if self.num_renamed:
            told.append(
                f"{agree(self.num_renamed, 'row', 'rows')} had an id that another example has; a hash was put behind it"
            )
        return tuple(told)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, the warnings with it."""
        return {**as_json(self), "warnings": list(self.warnings)}

    def as_text(self) -> str:
        """A few lines for people."""
        kept = agree(self.num_kept, "example", "examples")
        lines = [
            f"{kept} kept, {self.num_rejected:,} rejected, {agree(self.num_duplicates, 'duplicate', 'duplicates')}"
        ]
        lines += [f"  {reason}: {count:,}" for reason, count in self.by_reason.items() if reason != DUPLICATE]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


@dataclass(slots=True)
class Counts:
    """What is counted while the rows of a file go by."""

    kept: int = 0
    control_tokens: int = 0
    conflicts: int = 0
    renamed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Rows not taken by the stable word of their reason, duplicates included."""
    secrets: Counter[str] = field(default_factory=Counter)

    @property
    def duplicates(self) -> int:
        """Rows that say what an earlier one said."""
        return self.reasons[DUPLICATE]

    @property
    def rejected(self) -> int:
        """Rows that are no example."""
        return self.reasons.total() - self.duplicates

    def add(self, other: "Counts") -> None:
        """Adds the counts of one more file."""
        self.kept += other.kept
        self.control_tokens += other.control_tokens
        self.conflicts += other.conflicts
        self.renamed += other.renamed
        self.reasons.update(dict(other.reasons.most_common()))
        self.secrets.update(other.secrets)

    def report(self, batches: Sequence[str]) -> AddReport:
        """The report, with the names of the batches that were made."""
        return AddReport(
            num_kept=self.kept,
            num_rejected=self.rejected,
            num_duplicates=self.duplicates,
            by_reason=dict(self.reasons.most_common()),
            batches=tuple(batches),
            secrets=dict(sorted(self.secrets.items())),
            num_control_tokens=self.control_tokens,
            num_conflicts=self.conflicts,
            num_renamed=self.renamed,
        )
