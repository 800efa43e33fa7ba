"""Two models on identical rows, paired row by row: gains with intervals, slices with Holm, and the rows that flipped.

A difference that could be chance is "no difference seen"; a set that could not have shown one is "no information".
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from burnish.errors import EvaluationError
from burnish.evaluate.summary import is_in_slice
from burnish.records import Comparison, Evaluation, Flip, Interval, RowResult, SliceComparison
from burnish.stats.groups import design_effect
from burnish.stats.many import holm
from burnish.stats.pairs import paired_interval, paired_p
from burnish.stats.planning import detectable_gain
from burnish.stats.rates import mean_interval

ALPHA = 0.05
"""Two-sided level of the verdicts; the gate has its own."""

MIN_ROWS = 5
"""Four wins of four rows have a two-sided mid-p of 0.0625: below five rows nothing can be shown at ALPHA."""

MOST_GRADED = 40
"""Rows kept in each direction where scores lie between 0 and 1: nearly all of them change a little."""

Pair = tuple[RowResult, RowResult]


def compare(before: Evaluation, after: Evaluation) -> Comparison:
    """The paired comparison of two evaluations, after - before, over the rows that both have scored.

    p-values are two-sided: McNemar mid-p for scores of 0 and 1 without groups, else group-robust t and sign-flip
    (see `stats.paired_p`); slices are Holm-adjusted over all slices of this comparison.

    Raises:
        EvaluationError: the two were not measured in the same way, or on the same rows.
    """
    _demand_same(before, after)
    other = {row.example: row for row in after.rows}
    pairs = [(row, other[row.example]) for row in before.rows]
    scored = [pair for pair in pairs if pair[0].score is not None and pair[1].score is not None]
    if not scored:
        raise EvaluationError(
            f"no row has a score from both {before.model} and {after.model} ({len(pairs)} rows)",
            hint="see why_missing in the rows of both evaluations",
        )
    names = [name for name in before.slices if name in after.slices]
    slices = [_slice(name, [pair for pair in scored if is_in_slice(pair[0], name)]) for name in names]
    differences = _differences(scored)
    return Comparison(
        metric=before.metric,
        before_model=before.model,
        after_model=after.model,
        overall=_slice("all", scored),
        slices=_adjusted(slices),
        differences=tuple(differences),
        examples=tuple(row.example for row, _ in scored),
        groups=tuple(_groups(scored)),
        slice_of=tuple(row.slices for row, _ in scored),
        flips=_flips(scored),
        smallest_gain_shown=_smallest_gain(differences, _groups(scored)),
        num_unscored=len(pairs) - len(scored),
    )


def _demand_same(before: Evaluation, after: Evaluation) -> None:
    """Refuses pairs of numbers that differ in more than the model."""
    if before.metric != after.metric:
        raise EvaluationError(
            f"{before.model} was scored by {before.metric}, {after.model} by {after.metric}",
            hint="evaluate both models again under the same task settings",
        )
    if before.template_hash != after.template_hash:
        raise EvaluationError(
            f"{before.model} and {after.model} were given prompts by different chat templates "
            f"({before.template_hash[:12]} and {after.template_hash[:12]})",
            hint="the template alone can move a score by more than training does; compare models of one base",
        )
    wanted = {row.example: row.expected for row in before.rows}
    found = {row.example: row.expected for row in after.rows}
    if len(wanted) != len(before.rows) or len(found) != len(after.rows):
        raise EvaluationError("an example occurs twice in an evaluation", hint="give each row its own id")
    lacking = sorted(wanted.keys() ^ found.keys())
    if lacking:
        raise EvaluationError(
            f"{len(lacking)} rows are in only one of the two evaluations (first: {lacking[0]})",
            hint="evaluate both models on the same file",
        )
    changed = sorted(example for example, expected in wanted.items() if found[example] != expected)
    if changed:
        raise EvaluationError(
            f"{len(changed)} rows have another expected answer in each evaluation (first: {changed[0]})",
            hint="the data was edited in between; evaluate both models again",
        )


def _slice(name: str, pairs: Sequence[Pair]) -> SliceComparison:
    """Before, after and gain on the rows of one slice; no p-value where the rows can tell nothing."""
    groups, differences = _groups(pairs), _differences(pairs)
    before = Interval(**mean_interval([pair[0].score or 0.0 for pair in pairs], groups)._asdict())
    after = Interval(**mean_interval([pair[1].score or 0.0 for pair in pairs], groups)._asdict())
    told = len(pairs) >= MIN_ROWS and not (before.value == after.value and before.value in (0.0, 1.0))
    return SliceComparison(
        slice=name,
        before=before,
        after=after,
        gain=Interval(**paired_interval(differences, groups)._asdict()),
        wins=sum(difference > 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
        ties=sum(difference == 0 for difference in differences),
        p_value=(p_value := paired_p(differences, groups, two_sided=True) if told else None),
        verdict=_verdict(p_value, sum(differences)),
    )


def _adjusted(slices: Sequence[SliceComparison]) -> tuple[SliceComparison, ...]:
    """The slices with Holm-adjusted p-values, and the verdicts that follow from those."""
    adjusted = holm([one.p_value for one in slices])
    return tuple(
        replace(one, p_holm=p_holm, verdict=_verdict(p_holm, one.gain.value or 0.0))
        for one, p_holm in zip(slices, adjusted, strict=True)
    )


def _verdict(p_value: float | None, gain: float) -> str:
    if p_value is None:
        return "no information"
    if p_value > ALPHA:
        return "no difference seen"
    return "better" if gain > 0 else "worse"


def _flips(pairs: Sequence[Pair]) -> tuple[Flip, ...]:
    """Rows whose score changed: losses first, then by size of the change, then by id. Of graded scores the largest."""
    changed = [
        (difference, before, after)
        for before, after in pairs
        if (difference := (after.score or 0.0) - (before.score or 0.0))
    ]
    changed.sort(key=lambda change: (change[0] > 0, -abs(change[0]), change[1].example))
    if any(row.score not in (0.0, 1.0) for pair in pairs for row in pair):
        losses, gains = ([change for change in changed if (change[0] > 0) == gained] for gained in (False, True))
        changed = losses[:MOST_GRADED] + gains[:MOST_GRADED]
    return tuple(
        Flip(
            example=before.example,
            prompt=after.prompt,
            expected=before.expected,
            before=before.output,
            after=after.output,
            gained=difference > 0,
            slices=before.slices,
        )
        for difference, before, after in changed
    )


def _smallest_gain(differences: Sequence[float], groups: Sequence[str]) -> float | None:
    """By the share of rows that change score, from this set with one changed row added, at its effective size."""
    rows = len(differences) / design_effect(differences, groups)
    discordance = (sum(difference**2 for difference in differences) + 1.0) / (len(differences) + 1.0)
    smallest = detectable_gain(math.floor(rows), discordance, ALPHA / 2)
    return smallest if smallest <= 1.0 else None


def _differences(pairs: Sequence[Pair]) -> list[float]:
    return [(after.score or 0.0) - (before.score or 0.0) for before, after in pairs]


def _groups(pairs: Sequence[Pair]) -> list[str]:
    """The group of each row; a row without one is its own."""
    return [before.group or before.example for before, _ in pairs]
