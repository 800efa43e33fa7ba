"""A cheap look at what batches are worth: one adapter a batch, averaged in every combination, and Shapley values.

It costs about one training, where leaving each batch out costs as many as there are batches. For continued pre-training
the loss of merged parts follows that of training on the mix (Na et al. 2024, arXiv 2410.15661); for LoRA it is not
proven, so a screen counts only where its order agrees with true leave-one-out (benchmarks/attribute.md).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from burnish.model.adapter import load_adapter
from burnish.model.base import Base
from burnish.model.generate import target_logprobs
from burnish.model.lora import attach
from burnish.model.merge import Adapter, merge_adapters
from burnish.model.rendered import Rendered
from burnish.records import Candidate, Trial, as_json
from burnish.train.batch import Row
from burnish.tune.ablation import Ablation

Value = Callable[[frozenset[str]], float]
"""What a set of parts is worth: minus the dev_b loss of their average, in nats per target token."""

EXACT_PARTS = 8
"""Up to this many parts every set is valued, 256 of them; beyond, sets along random orders."""
ORDERS = 200
MIN_SPEARMAN = 0.6
"""Agreement with true leave-one-out from which a screen is used; a convention of ours."""
MIN_PARTS = 4
"""Below this a rank correlation says nothing: three parts agree fully by chance in one of six cases."""
KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What merged adapters say of each part, and whether to believe it."""

    values: Mapping[str, float]
    """Shapley value by part: its share of the fall of the dev_b loss, in nats per target token."""
    spearman: float | None
    """Rank correlation with true leave-one-out; None: not measured, or too few parts."""
    is_faithful: bool
    """Whether the values may be used; False until they were measured."""
    note: str

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return as_json(self)


def screen_candidates(ablation: Ablation, recipe: Candidate, epochs: int) -> tuple[Candidate, ...]:
    """One candidate a part, and one for the rows that are always kept, all from the same first weights.

    Each takes about as many steps as its share of one training on all rows: few rows are seen more often. Train them
    with `screen_subsets`.
    """
    sizes = {name: len(rows) for name, rows in screen_subsets(ablation).items()}
    share = sum(sizes.values()) / len(sizes)
    return tuple(
        replace(recipe, name=name, subset=name, epochs=max(1, round(epochs * share / size)))
        for name, size in sizes.items()
    )


def screen_subsets(ablation: Ablation) -> dict[str, tuple[str, ...]]:
    """Ids of rows by the name of the candidate that learns from them."""
    parts = {f"part{number:02d}": part.rows for number, part in enumerate(ablation.parts)}
    return {**parts, **({KEPT: ablation.kept} if ablation.kept else {})}


def value_of_mixes(base: Base, ablation: Ablation, adapters: Mapping[str, Adapter], dev: Sequence[Row]) -> Value:
    """A function that gives minus the dev loss of the average of some parts' adapters and that of the kept rows.

    The average is of the updates, each weighted by its rows; no part and no kept rows are the base. A call costs one
    pass over `dev`; the base may carry no bank meanwhile.
    """
    subsets = screen_subsets(ablation)
    named = {part.name: f"part{number:02d}" for number, part in enumerate(ablation.parts)}
    rendered = [Rendered(tokens=tuple(row.tokens), learned=tuple(row.learned), pieces=()) for row in dev]
    order = [adapters[name] for name in subsets]

    def value(parts: frozenset[str]) -> float:
        sizes = {name: len(subsets[name]) for name in (*[named[part] for part in parts], *_always(subsets))}
        total = sum(sizes.values())
        spec, state = merge_adapters(order, [sizes.get(name, 0) / max(1, total) for name in subsets])
        bank = attach(base.model, [spec], _layers(state))
        try:
            bank.load(0, state)
            with bank.use(0):
                logprobs = target_logprobs(base, rendered)
        finally:
            bank.detach()
        counts = [len(row) for row in logprobs]
        return float(sum(float(row.double().sum()) for row in logprobs)) / sum(counts)

    return value


def load_parts(base: Base, trials: Sequence[Trial], folder: Path) -> dict[str, Adapter]:
    """The adapters of a screen's trials by name, from the folder of their stage."""
    return {trial.candidate.name: load_adapter(folder / trial.folder, base) for trial in trials}


def shapley(parts: Sequence[str], value: Value, *, orders: int = ORDERS, seed: int = 0) -> dict[str, float]:
    """Each part's mean contribution over the orders in which they can be added (Shapley 1953); they sum to the whole.

    Exact up to 8 parts; beyond, over random orders and their reverses (Castro et al. 2009; antithetic pairs, Mitchell
    et al. 2022, arXiv 2104.12199). Each set is valued once.
    """
    known: dict[frozenset[str], float] = {}

    def once(some: frozenset[str]) -> float:
        if some not in known:
            known[some] = value(some)
        return known[some]

    if len(parts) <= EXACT_PARTS:
        return {part: _exact(part, parts, once) for part in parts}
    drawn = np.random.default_rng(seed)
    sums = dict.fromkeys(parts, 0.0)
    for _ in range(orders // 2):
        order = [parts[at] for at in drawn.permutation(len(parts))]
        for one in (order, order[::-1]):
            for place, part in enumerate(one):
                sums[part] += once(frozenset(one[: place + 1])) - once(frozenset(one[:place]))
    return {part: total / (2 * (orders // 2)) for part, total in sums.items()}


def _exact(part: str, parts: Sequence[str], value: Value) -> float:
    others = [one for one in parts if one != part]
    total = 0.0
    for size in range(len(parts)):
        weight = 1.0 / (len(parts) * math.comb(len(others), size))
        for some in combinations(others, size):
            total += weight * (value(frozenset((*some, part))) - value(frozenset(some)))
    return total


def screening(values: Mapping[str, float], true: Mapping[str, float] | None = None) -> Screening:
    """The screen's values with its verdict: believed when their order agrees with `true`, gains by leave-one-out."""
    shared = [] if true is None else [part for part in values if part in true]
    if len(shared) < MIN_PARTS:
        note = f"not faithful until shown: {len(shared)} parts with true leave-one-out, {MIN_PARTS} are needed"
        return Screening(values=values, spearman=None, is_faithful=False, note=note)
    assert true is not None
    rho = _spearman([values[part] for part in shared], [true[part] for part in shared])
    if rho is None:
        note = "not faithful: all values are alike"
        return Screening(values=values, spearman=None, is_faithful=False, note=note)
    is_faithful = rho >= MIN_SPEARMAN
    verdict = "faithful" if is_faithful else "not faithful"
    note = f"{verdict}: Spearman {rho:.2f} against {len(shared)} true leave-one-out gains, {MIN_SPEARMAN} is asked"
    return Screening(values=values, spearman=rho, is_faithful=is_faithful, note=note)


def loss_gains(ablation: Ablation, trials: Sequence[Trial]) -> dict[str, float]:
    """True leave-one-out on the dev loss: how much it falls with each part, mean over the seeds that have both."""
    losses = {trial.candidate.name: trial.dev_loss for trial in trials}
    gains = {}
    for part, names in ablation.without.items():
        falls = [
            without - whole
            for name, other in zip(names, ablation.with_all, strict=True)
            if (without := losses.get(name)) is not None and (whole := losses.get(other)) is not None
        ]
        if falls:
            gains[part] = float(np.mean(falls))
    return gains


def _spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Rank correlation; None where one side has one value only."""
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    return float(spearmanr(left, right).statistic)


def _always(subsets: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return (KEPT,) if KEPT in subsets else ()


def _layers(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Last names of the layers that the adapters change."""
    return tuple(sorted({key.rsplit(".lora_", 1)[0].rsplit(".", 1)[-1] for key in state}))
