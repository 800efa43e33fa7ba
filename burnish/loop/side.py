"""One of the two models that a round holds against each other, with its scored answers, and what it is asked beside.

Answers that were scored are measured at no cost. Bias asks the model twins of the rows, retention rows of another task.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from burnish.evaluate.fairness import AttributeFlips, fairness, make_twins
from burnish.evaluate.forgetting import RETENTION, RETENTION_COUNTS, retention
from burnish.evaluate.groundedness import groundedness, taught
from burnish.evaluate.measure import Measure, not_applicable
from burnish.evaluate.swaps import NEUTRAL
from burnish.fingerprint import fingerprint
from burnish.loop.kit import RETENTION_FILE, Kit
from burnish.loop.seeds import Seeds
from burnish.loop.stages import Shop
from burnish.records import Evaluation, Example, ModelVersion

MOST_TWINS = 200
"""Twins that each model is asked at most, so that a large set does not make a round much longer."""
NO_RETENTION = f"no-rows: the project has no {RETENTION_FILE}, rows of another task that the base can do"


class Side(NamedTuple):
    """A model and its evaluation on the rows that both models are measured on."""

    version: ModelVersion
    evaluation: Evaluation
    shots: Sequence[Example] = ()
    """Solved examples that it is shown."""


class Flips(NamedTuple):
    """How swaps move the answers of a model."""

    found: tuple[AttributeFlips, ...]
    num_tokens: int


class Retained(NamedTuple):
    """What a model still knows of another task."""

    measure: Measure
    num_tokens: int


def with_twins(kit: Kit, rows: Sequence[Example], seed: int) -> list[Example]:
    """The rows whose prompts show an attribute, as many as have at most 200 twins together.

    Those that show something neutral to swap, too, come first, as bias is counted on them; else in the order of a hash
    of their ids, which has nothing to do with what they say.
    """
    twins = make_twins(rows, kit.swaps, seed=seed).by_attribute
    shown = {row.id: [name for name, found in twins.items() if row.id in found] for row in rows}
    asked = [row for row in rows if set(shown[row.id]) - {NEUTRAL}]
    kept, total = [], 0
    for row in sorted(asked, key=lambda row: (NEUTRAL not in shown[row.id], fingerprint([seed, row.id]))):
        total += len(shown[row.id])
        if total > MOST_TWINS:
            break
        kept.append(row)
    return kept


def flips_of(shop: Shop, kit: Kit, side: Side, looked: Sequence[Example]) -> Flips:
    """How swaps move the model's answers to these rows; asks it every twin once."""
    spent = 0

    def answers(twins: list[Example]) -> list[str]:
        nonlocal spent
        said = shop.bench.score(side.version, shop.seeds.task, twins, shots=side.shots)
        spent += said.num_tokens
        return [row.output for row in said.rows]

    names = {row.id for row in looked}
    kept = replace(side.evaluation, rows=tuple(row for row in side.evaluation.rows if row.example in names))
    seed = shop.project.settings.seed
    found = fairness(shop.seeds.task, looked, kept, answers, swaps=kit.swaps, seed=seed)
    return Flips(found, spent)


def retention_of(shop: Shop, kit: Kit, version: ModelVersion) -> Retained:
    """The model's score on the project's retention set, without one the reason."""
    if kit.retention_task is None:
        return Retained(not_applicable(RETENTION, RETENTION_COUNTS, "higher is better", NO_RETENTION), 0)
    said = shop.bench.score(version, kit.retention_task, kit.retention)
    return Retained(retention(said), said.num_tokens)


def hallucination_of(seeds: Seeds, rows: Sequence[Example], evaluation: Evaluation) -> Measure:
    """What the answers state that their prompts do not; what three groups of train teach counts as known."""
    return groundedness(seeds.task, rows, evaluation, known=taught(seeds.task, seeds.of("train")))
