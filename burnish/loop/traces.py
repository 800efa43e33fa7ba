"""Where examples went: synthetic rows made from them, rounds, models, evaluations and reports. Reads, changes nothing.

Roles tell what a round did with a row: train taught the challenger, dev_b chose it, dev_a measured it, a vault judged
it. Which rows a model had is in the registry, as the hashes of its data.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from burnish.data.provenance import PROVENANCE_FILE
from burnish.loop.past import results, round_folder
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.seeds import is_vault
from burnish.records import Example, ModelVersion
from burnish.registry import champion, history, models
from burnish.store.barred import barred_by_batch, hash_without
from burnish.store.batches import batches
from burnish.store.roles import role_history
from burnish.store.store import Store

Use = Literal["learned", "chosen", "judged", "measured"]
"""What a row did to a model: taught it, helped to choose it, was asked by the gate, or was only measured on."""

SURE_LETTERS = 12
"""A text shorter than this is not looked for in prompts and reports: it would be found everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTrace:
    """A row to be left out."""

    example: str
    batch: str
    role: str
    """Empty: no round has seen it."""
    made_from: str = ""
    """The row among these that it was made from; empty for the one that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTrace:
    """A version of the registry, and the strongest thing that the rows did to it."""

    name: str
    round: int
    use: Use
    artifact: str
    """Its adapter, relative to .burnish; adapters that were trained beside it lie in the same artifact."""
    is_champion: bool
    was_champion: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrace:
    """A round that used the rows: how many, for what."""

    round: int
    decision: str
    challenger: str
    learned: int = 0
    chosen: int = 0
    judged: int = 0
    measured: int = 0

    @property
    def use(self) -> Use:
        """The strongest of what they did."""
        uses: tuple[Use, ...] = ("learned", "chosen", "judged")
        return next((use for use in uses if getattr(self, use)), "measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationTrace:
    """An evaluation that asked the rows, or showed them as solved examples."""

    path: str
    """Relative to .burnish."""
    model: str
    rows: int
    """Rows of the evaluation that hold one of them."""


def descendants(store: Store, roots: Collection[str]) -> dict[str, tuple[str, str]]:
    """Synthetic rows made from any of these examples, or from one that was: id to parent and batch.

    As the provenance of the batches tells; a row whose generator only trained on them does not count.
    """
    made: list[tuple[str, str, Sequence[str]]] = []
    for batch in batches(store):
        path = store.path_of(batch.artifact) / PROVENANCE_FILE
        made += [(line["example"], batch.name, line.get("parents", ())) for line in _lines(path)]
    found: dict[str, tuple[str, str]] = {}
    before = -1
    while before < len(found):
        before = len(found)
        for example, batch_name, parents in made:
            parent = next((one for one in parents if one in roots or one in found), "")
            if parent and example not in found and example not in roots:
                found[example] = (parent, batch_name)
    return found


def round_traces(project: Project, rows: Mapping[str, str]) -> list[RoundTrace]:
    """The rounds that used these rows, given by id with the name of their batch, oldest first."""
    first: dict[str, str] = {}
    for change in role_history(project.store):
        if change.example in rows:
            first.setdefault(change.example, change.role)
    versions = {version.name: version for version in models(project.store)}
    gone = _hashes_without(project.store, rows)
    roles: dict[str, str] = {}
    traces = []
    for result in results(project):
        version = versions.get(result.challenger)
        for example, batch in rows.items():
            if example in first and _had(version, batch, gone[example]):
                roles.setdefault(example, first[example])
        present = [role for example, role in roles.items() if _had(version, rows[example], gone[example])]
        if trace := _trace_of(result, present):
            traces.append(trace)
        if result.retired:
            aged = {result.vault: "dev_a", "dev_a": "train"}
            roles = {example: aged.get(role, role) for example, role in roles.items()}
    return traces


def _trace_of(result: RoundResult, roles: Sequence[str]) -> RoundTrace | None:
    """What a round did with rows of these roles; None when it used none of them."""
    counts = {
        "learned": roles.count("train"),
        "chosen": roles.count("dev_b"),
        "judged": sum(is_vault(role) and role == result.vault for role in roles),
        "measured": roles.count("dev_a"),
    }
    if not any(counts.values()):
        return None
    return RoundTrace(round=result.round, decision=result.decision, challenger=result.challenger, **counts)


def _had(version: ModelVersion | None, batch: str, without: Collection[str]) -> bool:
    """Whether a version was made with a row; one that is not in the registry yet counts as made with it."""
    return version is None or (batch in version.data and version.data[batch] not in without)


def _hashes_without(store: Store, rows: Mapping[str, str]) -> dict[str, set[str]]:
    """For each row the hashes that its batch had since the row was barred."""
    contents = {batch.name: batch.content_hash for batch in batches(store)}
    left_out = barred_by_batch(store)
    hashes = {}
    for example, batch in rows.items():
        gone = left_out.get(batch, [])
        since = gone.index(example) + 1 if example in gone else len(gone) + 1
        hashes[example] = {hash_without(contents[batch], gone[:end]) for end in range(since, len(gone) + 1)}
    return hashes


def model_traces(project: Project, rounds: Sequence[RoundTrace]) -> list[ModelTrace]:
    """The registered challengers of these rounds that the rows did more to than be measured."""
    now = champion(project.store)
    reigned = {move.after for move in history(project.store)}
    uses = {trace.challenger: trace.use for trace in rounds if trace.use != "measured"}
    return [
        ModelTrace(
            name=version.name,
            round=version.round,
            use=uses[version.name],
            artifact=version.artifact,
            is_champion=now is not None and now.name == version.name,
            was_champion=version.name in reigned,
        )
        for version in models(project.store)
        if version.name in uses
    ]


def evaluation_traces(project: Project, examples: Mapping[str, Example | None]) -> list[EvaluationTrace]:
    """Evaluations with a row of one of these ids, or with its text among the solved examples shown."""
    root = project.store.root
    texts = _sure_texts(examples)
    traces = []
    for summary in sorted([*root.glob("artifacts/*/*/**/summary.json"), *root.glob("evaluations/*/summary.json")]):
        told = json.loads(summary.read_text(encoding="utf-8"))
        shown = texts if told.get("shots") else []
        count = sum(
            line["example"] in examples or any(text in line["prompt"] for text in shown)
            for line in _lines(summary.parent / "rows.jsonl")
        )
        if count:
            path = summary.parent.relative_to(root).as_posix()
            traces.append(EvaluationTrace(path=path, model=str(told.get("model", "")), rows=count))
    return traces


def report_traces(project: Project, examples: Mapping[str, Example | None]) -> list[str]:
    """Files of rounds, relative to .burnish, that quote one of these rows by id or text."""
    marks = [json.dumps(mark, ensure_ascii=False) for mark in examples]
    marks += [json.dumps(text, ensure_ascii=False)[1:-1] for text in _sure_texts(examples)]
    found = []
    for result in results(project):
        for path in sorted(round_folder(project, result.round).glob("*.json")):
            text = path.read_text(encoding="utf-8")
            if any(mark in text for mark in marks):
                found.append(path.relative_to(project.store.root).as_posix())
    return found


def _sure_texts(examples: Mapping[str, Example | None]) -> list[str]:
    """The questions that are long enough to be looked for."""
    texts = [example.prompt[-1].content.strip() for example in examples.values() if example and example.prompt]
    return [text for text in texts if len(text) >= SURE_LETTERS]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line; none where there is no file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)
