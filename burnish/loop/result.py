"""What a round came to: the record that scripts rely on, kept as round.json beside the report."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.errors import EXIT_GATE_HELD
from burnish.records import Cost, Decision, Interval, as_json, from_json
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

    @property
    def exit_code(self) -> int:
        """0 when promoted, 3 when the gate held or could not tell."""
        return 0 if self.decision == "PROMOTE" else EXIT_GATE_HELD


def public_json(result: RoundResult, folder: Path, *, unchanged: bool = False) -> dict[str, Any]:
    """The stable form that `--json` prints; docs/reference.md describes each field."""
    data = as_json(result)
    cost = {name: data["cost"][name] for name in ("usd", "seconds", "tokens")}
    kept = ("round", "decision", "reason", "champion", "previous_champion", "challenger", "challenger_hash", "metric")
    return {
        "schema_version": SCHEMA_VERSION,
        **{name: data[name] for name in kept},
        **{name: data[name] for name in ("before", "after", "gain", "baselines")},
        "cost": cost,
        "report": str(folder / result.report),
        "unchanged": unchanged,
    }


def save_result(path: Path, result: RoundResult) -> None:
    """Writes round.json, whole or not at all."""
    write_atomic(path, json.dumps(as_json(result), indent=2, ensure_ascii=False).encode())


def load_result(path: Path) -> RoundResult:
    """The result that `save_result` wrote."""
    return from_json(RoundResult, json.loads(path.read_text(encoding="utf-8")))
