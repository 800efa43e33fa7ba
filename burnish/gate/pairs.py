"""The paired differences of some rows, and what can be read from them: a loss, its chance, what could be proven."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.records import Comparison
from burnish.stats.beliefs import Belief, posterior_gain
from burnish.stats.groups import design_effect
from burnish.stats.pairs import paired_p
from burnish.stats.planning import detectable_gain

EVIDENCE = 0.05
"""Level at which a loss counts as seen, Holm-adjusted over the slices that are not protected."""
POWER = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The paired differences of a set of rows."""

    differences: tuple[float, ...]
    groups: tuple[str, ...]
    is_floor: bool
    """Both models score 0 on every row: a broken metric looks like this, so it says nothing."""
    is_ceiling: bool = False
    """Both models score 1 on every row: no gain can be seen there, though a loss could."""


def slice_names(comparison: Comparison) -> tuple[str, ...]:
    """Every "column=value" of the rows, sorted."""
    return tuple(sorted({f"{column}={value}" for row in comparison.slice_of for column, value in row.items()}))


def pairs_of(comparison: Comparison, name: str | None = None) -> Pairs:
    """The pairs of all rows, or of the slice `name` ("column=value"); a row without a group is its own."""
    places: Sequence[int] = range(len(comparison.differences))
    if name is not None:
        column, _, value = name.partition("=")
        places = [place for place, row in enumerate(comparison.slice_of) if row.get(column) == value]
    differences = tuple(comparison.differences[place] for place in places)
    return Pairs(
        differences=differences,
        groups=tuple(comparison.groups[place] or comparison.examples[place] for place in places),
        is_floor=not any(differences) and _champion_at(0.0, comparison, name),
        is_ceiling=not any(differences) and _champion_at(1.0, comparison, name),
    )


def _champion_at(score: float, comparison: Comparison, name: str | None) -> bool:
    named: Mapping[str, float | None] = {part.slice: part.before.value for part in comparison.slices}
    value = comparison.overall.before.value if name is None else named.get(name)
    return value == score


def negated(pairs: Pairs) -> list[float]:
    """The differences of the opposite question."""
    return [-difference for difference in pairs.differences]


def loss_is_seen(pairs: Pairs) -> bool:
    """Whether these rows alone show a loss at EVIDENCE."""
    p = paired_p(negated(pairs), pairs.groups)
    return p is not None and p < EVIDENCE


def chance_of_loss(pairs: Pairs, margin: float) -> float:
    """Posterior chance of a loss beyond the margin."""
    return 1.0 - posterior_gain(pairs.differences, -margin, pairs.groups)


def chance_below(belief: Belief, threshold: float) -> float:
    """Chance that a gain lies below the threshold."""
    return 0.5 * math.erfc((belief.mean - threshold) / (belief.sd * math.sqrt(2)))


def discordance(pairs: Pairs) -> float:
    """Mean squared difference, with the two rows that the prior of a posterior weighs, so that it is never 0."""
    n = len(pairs.differences)
    return (sum(d * d for d in pairs.differences) + 1.0) / (n + 2)


def detectable(pairs: Pairs, alpha: float) -> float:
    """The smallest gain that rows like these prove at alpha with POWER, at most 1."""
    rows = len(pairs.differences) / design_effect(pairs.differences, pairs.groups) if pairs.differences else 0
    gain = detectable_gain(int(rows), discordance(pairs), alpha, POWER) if alpha > 0 else math.inf
    return min(gain, 1.0)
