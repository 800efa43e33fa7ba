"""What a round came to: the record that scripts rely on, kept as round.json beside the report."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.diagnose.diagnosis import Diagnosis
from burnish.errors import EXIT_GATE_HELD, EXIT_INCONCLUSIVE, EXIT_WAITS
from burnish.evaluate.change import MeasureChange
from burnish.records import Answer, Cost, Decision, Interval, SliceComparison, as_json, from_json
from burnish.store.files import write_atomic

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """The outcome of one round."""

    round: int
    key: str
    """Fingerprint of what the round was made from: settings and data."""
    decision: Decision
    reason: str
    champion: str
    """Name of the champion after the round."""
    previous_champion: str
    challenger: str
    challenger_hash: str
    metric: str
    before: Interval
    """The champion before the round, on dev_a."""
    after: Interval
    """The challenger, on the same rows."""
    gain: Interval
    cost: Cost
    report: str
    """Path of the report, relative to the project folder."""
    vault: str
    """The vault that was asked; empty when none was."""
    retired: bool = False
    """The vault is open now: its rows become dev_a."""
    baselines: dict[str, Interval] = field(default_factory=dict)
    wins: int = 0
    """Rows of dev_a on which the challenger scores higher; `losses` lower, `ties` the same."""
    losses: int = 0
    ties: int = 0
    p_value: float | None = None
    """Two-sided, of no difference on dev_a; None where the rows give no information."""
    smallest_gain_shown: float | None = None
    """The smallest true gain that dev_a could show with power 0.8; None: none."""
    slices: tuple[SliceComparison, ...] = ()
    """Both models per slice of dev_a."""
    warnings: tuple[str, ...] = ()
    """What about these numbers is a likely bug."""
    diagnosis: Diagnosis | None = None
    """Where the champion was weak before the round; None in rounds from before there was a diagnosis."""
    measures: tuple[MeasureChange, ...] = ()
    """Hallucination, abstention, bias, jargon and forgetting, before and after, on dev_a."""
    approval: Answer = ""
    """What people said to the gate's PROMOTE; empty: nobody had to be asked."""

    @property
    def weakest(self) -> tuple[SliceComparison, ...]:
        """Up to three slices on which the challenger is clearly below its own score over all rows, the worst first."""
        below = [part for part in self.slices if _is_below(part.after, self.after)]
        return tuple(sorted(below, key=lambda part: (part.after.value or 0.0, -part.after.n, part.slice))[:3])

    @property
    def exit_code(self) -> int:
        """0 when promoted, 3 when the gate held, or people refused it or had a row of it forgotten, 4 when they have
        yet to answer, 6 when the gate could not tell.

        It follows from the public decision alone: what a sealed vault keeps to itself, it does not tell either."""
        if self.approval == "waiting":
            return EXIT_WAITS
        if self.decision == "INCONCLUSIVE":
            return EXIT_INCONCLUSIVE
        return 0 if self.decision == "PROMOTE" and self.approval in ("", "approved") else EXIT_GATE_HELD


def public_json(result: RoundResult, folder: Path, *, unchanged: bool = False) -> dict[str, Any]:
    """The stable form that `--json` prints; docs/reference.md describes each field."""
    data = as_json(result)
    cost = {name: data["cost"][name] for name in ("usd", "seconds", "tokens", "reviewer_minutes")}
    kept = ("round", "decision", "reason", "champion", "previous_champion", "challenger", "challenger_hash", "metric")
    return {
        "schema_version": SCHEMA_VERSION,
        **{name: data[name] for name in kept},
        **{name: data[name] for name in ("before", "after", "gain", "baselines")},
        **{name: data[name] for name in ("wins", "losses", "ties", "p_value", "smallest_gain_shown")},
        "weakest_slices": {part.slice: as_json(part.after) for part in result.weakest},
        "warnings": list(result.warnings),
        "cost": cost,
        "approval": result.approval,
        "report": str(folder / result.report),
        "unchanged": unchanged,
    }


def _is_below(part: Interval, whole: Interval) -> bool:
    """Whether a slice's whole interval lies below the value over all rows."""
    return part.high is not None and whole.value is not None and part.high < whole.value


def save_result(path: Path, result: RoundResult) -> None:
    """Writes round.json, whole or not at all."""
    write_atomic(path, json.dumps(as_json(result), indent=2, ensure_ascii=False).encode())


def load_result(path: Path) -> RoundResult:
    """The result that `save_result` wrote."""
    return from_json(RoundResult, json.loads(path.read_text(encoding="utf-8")))
