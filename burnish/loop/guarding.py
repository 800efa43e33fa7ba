"""The measures that the setting gate.measures makes guards: whether they apply, and both models' rows of a vault.

A measure that a project asks for and cannot have is refused before anything is spent, by trying it on the expected
answers of the rows that people may look at.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from burnish.config import Settings
from burnish.errors import ConfigError
from burnish.evaluate.abstention import abstention
from burnish.evaluate.bias import bias
from burnish.evaluate.fairness import make_twins
from burnish.evaluate.jargon import jargon
from burnish.evaluate.measure import Measure, pair
from burnish.evaluate.swaps import NEUTRAL
from burnish.loop.kit import Kit
from burnish.loop.seeds import Seeds
from burnish.loop.side import NO_RETENTION, Side, flips_of, hallucination_of, retention_of, with_twins
from burnish.loop.stages import Shop
from burnish.records import Comparison, Evaluation, Example, Interval, RowResult

NO_TWINS = "no-twins: no prompt of train and dev_a shows both a name, a pronoun or the like and a neutral word to swap"


class Guarded(NamedTuple):
    """What the gate looks at beside the scores of a vault."""

    comparisons: Mapping[str, Comparison | None]
    """By name of the measure; None: no row of the vault has a value from both models."""
    num_tokens: int


def demand_measures(settings: Settings, seeds: Seeds, kit: Kit) -> None:
    """Raises ConfigError when gate.measures names a measure that this project cannot have, with the reason."""
    for name in settings.gate.measures:
        why = _why_not(name, settings.seed, seeds, kit)
        if why:
            raise ConfigError(
                f"gate.measures asks for {name}, which cannot be measured here: {why.partition(': ')[2] or why}",
                hint=f"take {name} out of gate.measures in burnish.yaml, or give the project what is missing",
            )


def guard_comparisons(shop: Shop, kit: Kit, before: Side, after: Side, rows: Sequence[Example]) -> Guarded:
    """Each guarded measure of the two models on these rows, paired by row; retention on rows of its own.

    For the sealed work of the gate: what it returns tells about a vault.
    """
    found: dict[str, Comparison | None] = {}
    num_tokens = 0
    for name in shop.project.settings.gate.measures:
        if name == "bias":
            looked = with_twins(kit, rows, shop.project.settings.seed)
            flips = [flips_of(shop, kit, side, looked) for side in (before, after)]
            found[name] = pair(*(bias(one.found) for one in flips))
            num_tokens += sum(one.num_tokens for one in flips)
        elif name == "retention":
            kept = [retention_of(shop, kit, side.version) for side in (before, after)]
            found[name] = pair(*(one.measure for one in kept))
            num_tokens += sum(one.num_tokens for one in kept)
        else:
            wanted = {one.name for one in _tried(name, shop.seeds, kit) if one.overall.value is not None}
            old, new = (_of_answers(name, shop.seeds, kit, rows, side.evaluation) for side in (before, after))
            found |= {one.name: pair(one, other) for one, other in zip(old, new, strict=True) if one.name in wanted}
    return Guarded(found, num_tokens)


def _why_not(name: str, seed: int, seeds: Seeds, kit: Kit) -> str:
    """Why a measure does not apply to a project; empty when it does."""
    if name == "retention":
        return "" if kit.retention else NO_RETENTION
    if name == "bias":
        twins = make_twins(_open_rows(seeds), kit.swaps, seed=seed).by_attribute
        shown = {row for attribute, found in twins.items() if attribute != NEUTRAL for row in found}
        return "" if shown & twins[NEUTRAL].keys() else NO_TWINS
    tried = _tried(name, seeds, kit)
    return "" if any(one.overall.value is not None for one in tried) else tried[0].why_missing


def _tried(name: str, seeds: Seeds, kit: Kit) -> tuple[Measure, ...]:
    """A measure of answers on the expected answers of the rows that people may look at."""
    rows = _open_rows(seeds)
    return _of_answers(name, seeds, kit, rows, _as_expected(rows, seeds.task.metric))


def _of_answers(
    name: str, seeds: Seeds, kit: Kit, rows: Sequence[Example], evaluation: Evaluation
) -> tuple[Measure, ...]:
    """The pairable ones of the measures that go by this name."""
    if name == "hallucination":
        return (hallucination_of(seeds, rows, evaluation),)
    if name == "abstention":
        recall, _, needless = abstention(seeds.task, rows, evaluation)
        return recall, needless
    assert name == "jargon", name
    _, forbidden, required, _ = jargon(seeds.task, rows, evaluation, kit.terms)
    return forbidden, required


def _open_rows(seeds: Seeds) -> list[Example]:
    return [*seeds.of("train"), *seeds.of("dev_a")]


def _as_expected(rows: Sequence[Example], metric: str) -> Evaluation:
    """The evaluation of a model that gives every expected answer."""
    results = tuple(
        RowResult(example=row.id, prompt="", output=row.answer, expected=row.answer, score=1.0, group=row.group)
        for row in rows
    )
    whole = Interval(value=1.0, low=None, high=None, n=len(rows))
    return Evaluation(
        model="expected answers", model_hash="", template_hash="", metric=metric, rows=results, overall=whole, slices={}
    )
