"""Hand-offs: cases that must go to a person because a model is not sure enough of its answer, or is wrong.

Two models are compared on the same rows, each with a threshold of its own, over all rows, by slice, and where rows are
rare. A case that a model answers by itself and rightly is handled; everything else is handed off.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from burnish.evaluate.compare import compare
from burnish.evaluate.summary import ANSWER_COLUMN, is_in_slice, summarise
from burnish.evaluate.threshold import Threshold, confidence, is_right
from burnish.records import Evaluation, Example, Interval, RowResult, SliceComparison
from burnish.stats import mean_interval

DRAWS = 2000
"""Of the bootstrap of a relative reduction: its bounds are then known to about a thirtieth of their distance."""
FEWEST_GROUPS = 20
"""Below this a percentile bootstrap is too short to be shown."""
RARE_SHARE = 1 / 3
"""Of the values of a column, those with the fewest training rows, rounded down and at least one."""
RARE, OTHER = "rare", "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffSide:
    """One of the two models."""

    model: str
    threshold: Threshold
    unsure: Interval
    """Share of the rows that the model does not answer by itself."""
    wrong: Interval
    """Share of wrong answers among those that it gives by itself, on the rows looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffPart:
    """Hand-offs of both models on the same rows."""

    name: str
    """all, "column=value", or "rare answer": the rows whose answer is among the rare ones."""
    before: Interval
    """Share of the rows that the model before hands off."""
    after: Interval
    reduction: Interval
    """before - after, paired by row; above 0: fewer hand-offs."""
    relative: Interval
    """1 - after / before; no value where nothing was handed off before."""
    verdict: str
    """better (fewer hand-offs), worse, no difference seen, or no information."""
    p_value: float | None
    """Two-sided; adjusted over the slices, or over the rare parts (Holm)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffChange:
    """The hand-offs of two models."""

    before: HandoffSide
    after: HandoffSide
    overall: HandoffPart
    rare: tuple[HandoffPart, ...]
    """"rare answer" and the like, each with "other answer" behind it."""
    slices: tuple[HandoffPart, ...]
    rare_values: Mapping[str, tuple[str, ...]]
    """What is rare, by column: the third of its values with the fewest training rows."""
    num_unscored: int
    """Rows left out because they have no score, so nobody knows whether the answer was right."""


def rare_values(train: Sequence[Example], columns: Sequence[str], *, has_labels: bool) -> dict[str, tuple[str, ...]]:
    """The third of the values with the fewest training rows, by column; of a label task the answers, too.

    Rarest first, equal counts in the order of their names; a column with one value has none. A value that no row of
    train has is unknown here and so is not among them.
    """
    seen = {column: [row.slices[column] for row in train if column in row.slices] for column in columns}
    if has_labels:
        seen = {ANSWER_COLUMN: [row.answer for row in train], **seen}
    found = {}
    for column, values in seen.items():
        counts = sorted(Counter(values).items(), key=lambda item: (item[1], item[0]))
        if len(counts) > 1:
            found[column] = tuple(value for value, _ in counts[: max(1, int(len(counts) * RARE_SHARE + 1e-9))])
    return found


def is_handed_off(row: RowResult, metric: str, threshold: Threshold) -> bool | None:
    """Whether a case goes to a person: not above the threshold, or wrong; None without a score."""
    right = is_right(row, metric)
    return None if right is None else not (right and _answers(row, threshold))


def handoff_change(
    before: Evaluation,
    after: Evaluation,
    thresholds: tuple[Threshold, Threshold],
    *,
    rare: Mapping[str, tuple[str, ...]],
    seed: int = 0,
) -> HandoffChange:
    """The hand-offs of two models on identical rows, with the reduction from the first to the second.

    `thresholds` are those of before and after, set on other rows. Intervals are over the rows looked at, the thresholds
    taken as given. The relative reduction has the percentile bootstrap over groups, 2000 seeded draws, none below
    20 groups or where no row changed.

    Raises:
        EvaluationError: the two were not measured in the same way or on the same rows, or no row has two scores.
    """
    handled = [_handled(side, threshold) for side, threshold in zip((before, after), thresholds, strict=True)]
    found = compare(*handled)
    parted = [_by_rarity(side, rare) for side in handled]
    return HandoffChange(
        before=_side(before, thresholds[0]),
        after=_side(after, thresholds[1]),
        overall=_part(found.overall, handled, seed),
        rare=tuple(
            replace(_part(one, parted, seed), name=" ".join(reversed(one.slice.rsplit("=", 1))))
            for one in compare(*parted).slices
        ),
        slices=tuple(_part(one, handled, seed) for one in found.slices),
        rare_values=dict(rare),
        num_unscored=found.num_unscored,
    )


def relative_reduction(before: Sequence[float], after: Sequence[float], groups: Sequence[str], seed: int) -> Interval:
    """1 - after / before of the sums of two counts on the same rows, with the percentile bootstrap over groups.

    No value where the sum before is 0; no bounds below 20 groups or where no group changed.
    Groups with the same two counts are drawn as one kind, which is the same and costs nothing.
    """
    sums: dict[str, tuple[float, float]] = {}
    for group, old, new in zip(groups, before, after, strict=True):
        had, has = sums.get(group, (0.0, 0.0))
        sums[group] = (had + old, has + new)
    if not sum(before):
        return Interval(value=None, low=None, high=None, n=len(before))
    value = 1.0 - sum(after) / sum(before)
    if len(sums) < FEWEST_GROUPS or all(old == new for old, new in sums.values()):
        return Interval(value=value, low=None, high=None, n=len(before))
    kinds, counts = np.unique(np.array(list(sums.values())), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(sums), counts / len(sums), size=DRAWS) @ kinds
    some = drawn[drawn[:, 0] > 0]
    low, high = np.quantile(1.0 - some[:, 1] / some[:, 0], [0.025, 0.975])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value), n=len(before))


def _answers(row: RowResult, threshold: Threshold) -> bool:
    sure = confidence(row)
    return threshold.value is not None and sure is not None and sure > threshold.value


def _handled(evaluation: Evaluation, threshold: Threshold) -> Evaluation:
    """The evaluation with a score of 1 for a case that no person has to see, 0 for a hand-off."""
    handed = [is_handed_off(row, evaluation.metric, threshold) for row in evaluation.rows]
    rows = tuple(
        replace(row, score=None if is_off is None else float(not is_off))
        for row, is_off in zip(evaluation.rows, handed, strict=True)
    )
    return replace(evaluation, rows=rows)


def _by_rarity(evaluation: Evaluation, rare: Mapping[str, tuple[str, ...]]) -> Evaluation:
    """The evaluation with "rare" and "other" as the values of the columns that have rare values, and no other slice."""
    rows = tuple(
        replace(
            row,
            slices={
                column: RARE if row.slices[column] in values else OTHER
                for column, values in rare.items()
                if column in row.slices
            },
        )
        for row in evaluation.rows
    )
    return replace(evaluation, rows=rows, slices=summarise(rows, list(rare)).slices)


def _side(evaluation: Evaluation, threshold: Threshold) -> HandoffSide:
    scored = [(row, is_right(row, evaluation.metric)) for row in evaluation.rows]
    known = [(row, right) for row, right in scored if right is not None]
    return HandoffSide(
        model=evaluation.model,
        threshold=threshold,
        unsure=_share([(float(not _answers(row, threshold)), row) for row, _ in known]),
        wrong=_share([(float(not right), row) for row, right in known if _answers(row, threshold)]),
    )


def _share(values: Sequence[tuple[float, RowResult]]) -> Interval:
    groups = [row.group or row.example for _, row in values]
    return Interval(**mean_interval([value for value, _ in values], groups)._asdict())


def _part(one: SliceComparison, handled: Sequence[Evaluation], seed: int) -> HandoffPart:
    """The part in hand-offs, of which what is handled is the rest; a gain there is a reduction here."""
    is_all = one.slice == "all"
    before, after = (
        {row.example: row for row in side.rows if is_all or is_in_slice(row, one.slice)} for side in handled
    )
    scored = [(row.group or name, row.score, after[name].score) for name, row in before.items()]
    kept = [(group, old, new) for group, old, new in scored if old is not None and new is not None]
    return HandoffPart(
        name=one.slice,
        before=_rest(one.before),
        after=_rest(one.after),
        reduction=one.gain,
        relative=relative_reduction(
            [1.0 - old for _, old, _ in kept], [1.0 - new for _, _, new in kept], [group for group, _, _ in kept], seed
        ),
        verdict=one.verdict,
        p_value=one.p_value if one.p_holm is None else one.p_holm,
    )


def _rest(handled: Interval) -> Interval:
    if handled.value is None:
        return handled
    low = None if handled.high is None else 1.0 - handled.high
    high = None if handled.low is None else 1.0 - handled.low
    return Interval(value=1.0 - handled.value, low=low, high=high, n=handled.n)
