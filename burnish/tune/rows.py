"""Which rows are trained on: a stratified subset for a search, human rows weighted, replay mixed in."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from burnish.data.provenance import REPLAY, is_by_people, provenance
from burnish.errors import DataError
from burnish.fingerprint import fingerprint
from burnish.records import Example


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


def with_recipe(examples: Sequence[Example], *, human_weight: float, replay_share: float, seed: int) -> list[Example]:
    """The rows to train on under `train.human_weight` and `train.replay_share`, in their order; for round and search.

    One rule: a replay share of 0 takes every replay row as it is, like any other; a share above 0 takes as many of
    them, stratified, as make that share of all rows, or all if there are not enough. Rows that people wrote count
    `human_weight` times their own weight; only the ratio to other rows matters, so rows that are all human stay as
    they are. Raises DataError when a share is asked for and there is nothing but replay rows.
    """
    mixed = _with_share(examples, replay_share, seed=seed) if replay_share else list(examples)
    if all(map(is_by_people, mixed)):
        return mixed
    return [
        replace(example, weight=example.weight * human_weight) if is_by_people(example) else example
        for example in mixed
    ]


def _with_share(examples: Sequence[Example], share: float, *, seed: int) -> list[Example]:
    """The examples with as many of their replay rows as make the share."""
    replay = [example for example in examples if provenance(example) == REPLAY]
    if not replay:
        return list(examples)
    num_plain = len(examples) - len(replay)
    if not num_plain:
        raise DataError("there is no row to train on but replay rows", hint="add rows of the task")
    wanted = round(share / (1 - share) * num_plain)
    kept = {example.id for example in stratified(replay, wanted, seed=seed)} if wanted else set()
    return [example for example in examples if provenance(example) != REPLAY or example.id in kept]
