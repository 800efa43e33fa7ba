"""What of a round goes into the log of decisions: the gate's verdict, and the evidence that an approval rests on."""

from typing import Any

from burnish.fingerprint import fingerprint_file
from burnish.loop.past import round_folder
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.records import ModelVersion, as_json
from burnish.registry import get
from burnish.store.chain import add_entry

SETTINGS_FILE = "settings.json"


def log_verdict(project: Project, result: RoundResult) -> None:
    """Writes the verdict of a round into the log, once; its challenger is registered by then."""
    with project.store.db.write() as connection:
        add_entry(connection, "verdict", verdict_subject(result.round), evidence_of(project, result))


def verdict_subject(number: int) -> str:
    """What the log calls the verdict of a round."""
    return f"round {number} verdict"


def evidence_of(project: Project, result: RoundResult) -> dict[str, Any]:
    """What was known when the gate decided: scores, verdict, and hashes of challenger, data and settings."""
    settings = round_folder(project, result.round) / SETTINGS_FILE
    return {
        "round": result.round,
        "key": result.key,
        "decision": result.decision,
        "verdict": result.reason,
        "champion": result.previous_champion,
        "metric": result.metric,
        **{name: as_json(getattr(result, name)) for name in ("before", "after", "gain")},
        **_of_version(get(project.store, result.challenger)),
        "settings_file": fingerprint_file(settings) if settings.exists() else "",
    }


def evidence_by_hand(version: ModelVersion, champion: str) -> dict[str, Any]:
    """What is known of a version that is promoted without a round's verdict on today's champion."""
    scores = {metric: as_json(score) for metric, score in version.scores.items()}
    return {"decision": version.decision, "champion": champion, "scores": scores, **_of_version(version)}


def _of_version(version: ModelVersion) -> dict[str, Any]:
    return {
        "challenger": version.name,
        "challenger_hash": version.adapter_hash,
        "base_hash": version.base_hash,
        "data": dict(version.data),
        "settings_hash": version.settings_hash,
    }
