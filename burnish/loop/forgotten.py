"""What forgetting one example means: the rows left out, what they touched, and what to do; as data and as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burnish.loop.traces import EvaluationTrace, ModelTrace, RoundTrace, RowTrace
from burnish.records import as_json

SHOWN = 12
"""Lines of each kind that the text shows; the JSON has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What forgetting one example means: rows left out, what they touched, and the plan."""

    example: str
    reason: str
    at: str
    """When it was barred; empty for a dry run."""
    is_new: bool
    """False: it was barred before, and nothing was changed."""
    dry_run: bool
    rows: tuple[RowTrace, ...]
    """The example and its synthetic descendants."""
    same_group: tuple[str, ...]
    """Other rows of its group, such as of the same customer: they stay."""
    rounds: tuple[RoundTrace, ...]
    models: tuple[ModelTrace, ...]
    evaluations: tuple[EvaluationTrace, ...]
    reports: tuple[str, ...]
    """Files of rounds that quote one of the rows, relative to .burnish."""
    plan: tuple[str, ...]
    """What to do, in order, one sentence each."""

    @property
    def champion(self) -> ModelTrace | None:
        """The champion, when the rows did more to it than be measured."""
        return next((model for model in self.models if model.is_champion), None)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**as_json(self), "champion_use": self.champion.use if self.champion else None}

    def as_text(self) -> str:
        """Lines for people."""
        lines = [self._first_line()]
        lines += _block("rows left out", [_row_line(row) for row in self.rows])
        lines += _block("rounds that used them", [_round_line(trace) for trace in self.rounds])
        lines += _block("models", [_model_line(model) for model in self.models])
        lines += _block("evaluations", [f"{one.path}  {one.model}, {one.rows} rows" for one in self.evaluations])
        lines += _block("reports that quote them", self.reports)
        return "\n".join([*lines, "what to do", *[f"  {step}" for step in self.plan]])

    def _first_line(self) -> str:
        if self.dry_run and self.is_new:
            return f"{self.example} would be barred; nothing was changed"
        if not self.is_new:
            return f"{self.example} is barred already, since {self.at} ({self.reason}); nothing was changed"
        return f"{self.example} is barred since {self.at} ({self.reason})"


def _block(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  and {len(lines) - SHOWN} more (--json lists all)"] if len(lines) > SHOWN else []
    return [f"{title}: {len(lines)}", *[f"  {line}" for line in lines[:SHOWN]], *more]


def _row_line(row: RowTrace) -> str:
    origin = f", made from {row.made_from}" if row.made_from else ""
    return f"{row.example}  in {row.batch}, {row.role or 'no role yet'}{origin}"


def _round_line(trace: RoundTrace) -> str:
    counts = (
        (trace.learned, "taught the challenger"),
        (trace.chosen, "helped to choose it"),
        (trace.judged, "judged it in the vault"),
        (trace.measured, "measured it on dev_a"),
    )
    return f"round {trace.round}, {trace.decision}: " + ", ".join(f"{n} {what}" for n, what in counts if n)


def _model_line(model: ModelTrace) -> str:
    reign = "  champion" if model.is_champion else "  former champion" if model.was_champion else ""
    said = {"learned": "learned from them", "chosen": "was chosen with them", "judged": "was judged on them"}
    return f"{model.name}  {said[model.use]}{reign}"
