"""Rounds that were: where each one keeps its result, and whether the one asked for was already done."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from burnish.errors import UsageError
from burnish.fingerprint import fingerprint
from burnish.loop.project import Project
from burnish.loop.result import RoundResult, load_result
from burnish.loop.seeds import Seeds
from burnish.records import Interval, ModelVersion, as_json
from burnish.registry import BASE

RESULT_FILE = "round.json"
DONE_FILE = "done"
NOT_MEASURED = Interval(value=None, low=None, high=None, n=0)
WAYS_TO_ASK = {
    "key_env",
    "usd_per_million_input",
    "usd_per_million_output",
    "limit_name",
    "concurrency",
    "requests_per_minute",
    "timeout_s",
    "retries",
    "longest_wait_s",
    "most_unusable",
}
"""Settings of an endpoint that change what asking costs, not what it answers."""
UNIMPORTANT = {
    "project": True,
    "data": {"sheet"},
    "budget": True,
    "serve": True,
    "approval": True,
    "review": True,
    "train": {"checkpoint_every_s"},
    "teacher": WAYS_TO_ASK,
    "verifier": WAYS_TO_ASK,
    "judge": WAYS_TO_ASK,
}
"""Settings that cannot change what a round comes to."""


def round_folder(project: Project, number: int) -> Path:
    """.burnish/rounds/007 for round 7."""
    return project.rounds_folder / f"{number:03d}"


def results(project: Project) -> list[RoundResult]:
    """Every decided round, oldest first."""
    return [load_result(path) for path in sorted(project.rounds_folder.glob(f"[0-9]*/{RESULT_FILE}"))]


def with_scores(version: ModelVersion, past: Sequence[RoundResult]) -> ModelVersion:
    """The version with its scores on dev_a; the base, which no round made, has those that the newest of the rounds
    measured, without or with examples, the better ones."""
    if version.name != BASE or version.scores or not past:
        return version
    known = [past[-1].baselines.get(name, NOT_MEASURED) for name in ("zero_shot", "few_shot")]
    best = max(known, key=lambda score: -1.0 if score.value is None else score.value)
    return version if best.value is None else replace(version, scores={past[-1].metric: best})


def is_done(project: Project, number: int) -> bool:
    """Whether everything that followed from the decision has happened."""
    return (round_folder(project, number) / DONE_FILE).exists()


def next_number(project: Project) -> int:
    """The number of the round that begins now."""
    return len(results(project)) + 1


def finished_round(project: Project, key: str) -> RoundResult | None:
    """The latest round, if it was made from the same settings and data; None otherwise."""
    past = results(project)
    return past[-1] if past and past[-1].key == key else None


def find_round(project: Project, number: int | None) -> RoundResult:
    """Round `number`, or the latest one. Raises UsageError when there is none."""
    past = results(project)
    if not past:
        raise UsageError("no round has been run yet", hint=f"burnish round {project.option}")
    chosen = [result for result in past if number in (None, result.round)]
    if not chosen:
        raise UsageError(f"there is no round {number}", hint=f"there are rounds 1 to {past[-1].round}")
    return chosen[-1]


def round_key(project: Project, seeds: Seeds) -> str:
    """Identity of what a round is made from: the settings that matter and the data batches.

    Batches that train unaudited follow from the rest, a round's own among them, and so are not counted; that the last
    attribution weighs one down is news, whoever made it, and so is a slice of traffic that people accepted.
    """
    settings = project.settings.model_dump(mode="json", exclude=UNIMPORTANT)  # type: ignore[arg-type]
    counted = [found for name, found in seeds.data.items() if name not in seeds.trusted.unaudited]
    weighed = {name: weight for name, weight in seeds.trusted.weights.items() if weight != 1}
    slices = {"slices": [as_json(one) for one in seeds.slices]} if seeds.slices else {}
    weights = {"weights": weighed} if weighed else {}
    return fingerprint({"settings": settings, "data": sorted(counted), **weights, **slices})
