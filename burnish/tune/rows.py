"""Which rows a search trains on: a stratified subset, human rows weighted, replay mixed in."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from burnish.errors import DataError
from burnish.fingerprint import fingerprint
from burnish.records import Example
from burnish.tune.space import REPLAY, Recipe, provenance


def stratified(examples: Sequence[Example], count: int, *, seed: int) -> list[Example]:
    """At most `count` examples, each answer with its share of them; a smaller count gives a part of a larger one's.

    Answers that are all different make one stratum each, and then a hash decides. Raises DataError for a count below 1.
    """
    if count < 1:
        raise DataError(f"a subset of {count} rows is empty", hint="take at least one row of each answer")
    strata: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        strata[example.answer].append(example)
    placed: list[tuple[float, str, Example]] = []
    for rows in strata.values():
        hashed = sorted(
            ((fingerprint([seed, example.content_hash, example.id]), example) for example in rows), key=lambda e: e[0]
        )
        placed += [((place + 0.5) / len(rows), order, example) for place, (order, example) in enumerate(hashed)]
    placed.sort(key=lambda entry: entry[:2])
    kept = {example.id for _, _, example in placed[:count]}
    return [example for example in examples if example.id in kept]


def with_recipe(examples: Sequence[Example], recipe: Recipe, *, seed: int) -> list[Example]:
    """The rows that a recipe trains on, human ones with its weight, and as many replay rows as make its share."""
    plain = [example for example in examples if provenance(example) != REPLAY]
    if not plain:
        raise DataError("there is no row to train on but replay rows", hint="add rows of the task")
    wanted = round(recipe.replay_share / (1 - recipe.replay_share) * len(plain))
    replay = [example for example in examples if provenance(example) == REPLAY]
    mixed = [*plain, *(stratified(replay, wanted, seed=seed) if replay and wanted else [])]
    return [
        replace(example, weight=example.weight * recipe.human_weight) if provenance(example) == "human" else example
        for example in mixed
    ]
