"""Where a model is weak and why: from its answers on dev_a, each weakness tested anew on dev_b; a stage of a round.

`burnish diagnose` asks for the same stage, so what a round has found is not computed again.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from burnish.diagnose.diagnosis import Diagnosis, diagnose
from burnish.diagnose.gold import GoldCheck, check_gold
from burnish.diagnose.rows import text_of
from burnish.fingerprint import fingerprint
from burnish.loop.inspection import find_model
from burnish.loop.naming import name_slices
from burnish.loop.project import Project
from burnish.loop.seeds import Seeds, demand_dev_rows
from burnish.loop.stages import Shop, score_stage, shop_outside_rounds
from burnish.records import Evaluation, Example, ModelVersion, as_json, from_json
from burnish.store.files import write_atomic
from burnish.talk import Talk

DIAGNOSE_VERSION = 1
DIAGNOSIS_FILE = "diagnosis.json"
"""A file of its own and no part of the record, whose keys are sorted: causes are listed most frequent first."""


def diagnose_project(
    project: Project, talk: Talk, *, model: str = "champion", should_stop: Callable[[], bool] = lambda: False
) -> Diagnosis:
    """The diagnosis of a model by name. Raises what `diagnosis_stage`, `gather` and `find_model` raise."""
    shop = shop_outside_rounds(project, talk, should_stop)
    demand_dev_rows(shop.seeds, "diagnose by")
    return diagnosis_stage(shop, find_model(project, model, shop.bench))


def diagnosis_stage(shop: Shop, version: ModelVersion) -> Diagnosis:
    """The weak slices of a model, the likely causes of its errors, and how many gold answers are doubted.

    A teacher, where one is set, names the slices of texts. The model is asked without solved examples, as the adapters
    are that a round trains. Scores are found again where a round has made them, and so is the diagnosis.
    Its record holds ids of dev_a and nothing of other roles.

    Raises:
        DataError: dev_a or dev_b has no row.
    """
    seeds = shop.seeds
    demand_dev_rows(seeds, "diagnose by")
    looked, checked = (score_stage(shop, version, role) for role in ("dev_a", "dev_b"))
    declared = _declared(seeds, shop.talk)
    seed = shop.project.settings.seed

    def work(folder: Path) -> dict[str, Any]:
        found = diagnose(
            looked,
            checked,
            _texts(seeds.of("dev_a")),
            _texts(seeds.of("dev_b")),
            task=seeds.task,
            train=seeds.of("train"),
            declared=declared,
            gold=_gold(seeds, seed) if seeds.task.kind == "label" else None,
            seed=seed,
        )
        write_atomic(folder / DIAGNOSIS_FILE, json.dumps(as_json(found), ensure_ascii=False).encode())
        return {"model": version.name}

    inputs = {
        "dev_a": _identity(looked, seeds.of("dev_a")),
        "dev_b": _identity(checked, seeds.of("dev_b")),
        "train": fingerprint([_marks(example) for example in seeds.of("train")]),
    }
    settings = {"task": as_json(seeds.task), "declared": declared, "name": version.name}
    sealed = shop.run("diagnose", DIAGNOSE_VERSION, settings, inputs, 0, work)
    found = from_json(Diagnosis, json.loads((sealed.path / DIAGNOSIS_FILE).read_text(encoding="utf-8")))
    return name_slices(shop, found)


def named_texts(found: Diagnosis, seeds: Seeds, most: int = 2) -> dict[str, str]:
    """What was asked in the first wrong rows of each weakness, by id; rows of dev_a alone."""
    by_id = {example.id: example for example in seeds.of("dev_a")}
    named = [row for weakness in found.weaknesses for row in weakness.examples[:most]]
    return {row: text_of(by_id[row]) for row in named if row in by_id}


def _identity(evaluation: Evaluation, examples: Sequence[Example]) -> str:
    """All of an evaluation and its examples that a diagnosis reads."""
    rows = [
        [row.example, row.output, row.expected, row.score, row.stop_reason, row.group, dict(row.slices)]
        for row in evaluation.rows
    ]
    return fingerprint([evaluation.metric, rows, [_marks(example) for example in examples]])


def _marks(example: Example) -> list[str]:
    return [example.id, example.content_hash, example.group]


def _declared(seeds: Seeds, talk: Talk) -> list[str]:
    """The columns to report by that some row of dev_a has; of others it is said that they tell nothing yet."""
    seen = {column for row in seeds.of("dev_a") for column in row.slices}
    for column in seeds.columns:
        if column not in seen:
            talk.warn(f"no row of dev_a has the column {column!r}: nothing is said of its slices")
    return [column for column in seeds.columns if column in seen]


def _gold(seeds: Seeds, seed: int) -> GoldCheck:
    """Doubts about the answers of train and dev_a; nobody looks at those of other roles."""
    rows = [*seeds.of("train"), *seeds.of("dev_a")]
    return check_gold(
        [row.id for row in rows],
        [text_of(row) for row in rows],
        [row.answer for row in rows],
        [row.group for row in rows],
        seed=seed,
    )


def _texts(examples: Sequence[Example]) -> dict[str, str]:
    return {example.id: text_of(example) for example in examples}
