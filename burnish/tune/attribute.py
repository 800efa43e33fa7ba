"""Which batch of synthetic rows helped: the score with all of them minus the score without each, paired by row.

A true leave-one-batch-out training is the measure (tune/ablation.py); everything cheaper has to prove itself against it
(tune/screen.py). dev_b also stopped these trainings early, so gains on it are a little too good for all alike.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from burnish.errors import TrainingError
from burnish.evaluate.compare import MIN_ROWS, compare
from burnish.records import Comparison, Cost, Evaluation, Interval
from burnish.stats.many import holm
from burnish.tune.ablation import Ablation, Part
from burnish.tune.attribution import Attribution, BatchGain, Fate, SliceGain
from burnish.tune.worth import Luck, Paired, Worth, pooled_luck, worth_of

DROP_FROM, HALVE_FROM = 0.9, 0.7
"""Posterior probability that removal improves, above which a batch is dropped, or counts half, in the next round."""
WEIGHTS: Mapping[Fate, float] = {"keep": 1.0, "down-weight": 0.5, "drop": 0.0}
MIN_CHANGED = 5
"""Rows that must change their score before a batch loses weight: two of two would already pass 0.9."""


class _Table(NamedTuple):
    """Every comparison on the same rows: differences of each part, and of all parts at once."""

    parts: Mapping[str, Paired]
    total: Paired | None
    slices: tuple[Mapping[str, str], ...]
    """Slices of each row."""


def attribute(
    ablation: Ablation, evaluations: Mapping[str, Evaluation], *, costs: Mapping[str, Cost] | None = None
) -> Attribution:
    """What each part of the ablation brings, from the evaluations of its candidates (by name) on dev_b.

    `costs` gives what a batch cost to make. Rows without a score from one of the candidates are left out. A seed of
    which a candidate is missing, because it diverged, is left out whole. Raises TrainingError when no seed is left,
    EvaluationError when the evaluations are not of the same rows.
    """
    whole = [at for at in range(len(ablation.with_all)) if _names_of(ablation, at) <= evaluations.keys()]
    if not whole:
        lacking = sorted(_names_of(ablation, 0) - evaluations.keys())
        raise TrainingError(
            f"no seed has an evaluation of each candidate; the first lacks {', '.join(lacking)}",
            hint="a candidate that diverged has none: try a smaller learning rate or one more seed",
        )
    table = _table(ablation, evaluations, whole)
    luck = pooled_luck(list(table.parts.values()))
    worths = {name: worth_of(paired, luck) for name, paired in table.parts.items()}
    adjusted = dict(zip(worths, holm([worth.p_value for worth in worths.values()]), strict=True))
    slices = _slice_gains(table)
    batches = [
        _batch_gain(part, worths[part.name], adjusted[part.name], slices.get(part.name, ()), costs or {})
        for part in ablation.parts
    ]
    first = evaluations[ablation.with_all[whole[0]]]
    return Attribution(
        metric=first.metric,
        num_rows=len(table.slices),
        num_seeds=len(whole),
        before=_mean_overall([evaluations[ablation.without_all[at]] for at in whole]) if ablation.without_all else None,
        after=_mean_overall([evaluations[ablation.with_all[at]] for at in whole]),
        total=worth_of(table.total, luck).gain if table.total else None,
        batches=tuple(sorted(batches, key=lambda one: (-(one.gain.value or 0.0), one.name))),
        unattributed=_unattributed(table, luck),
        notes=_notes(ablation, whole),
        weights={name: WEIGHTS[one.fate] for one in batches for name in one.batches},
    )


def _names_of(ablation: Ablation, at: int) -> set[str]:
    """Candidates of one seed."""
    groups = [ablation.with_all, *ablation.without.values(), *([ablation.without_all] if ablation.without_all else [])]
    return {names[at] for names in groups}


def _notes(ablation: Ablation, whole: Sequence[int]) -> tuple[str, ...]:
    notes = []
    if len(whole) < len(ablation.with_all):
        notes.append(f"{len(ablation.with_all) - len(whole)} seeds are left out: not every candidate was scored")
    if len(whole) == 1:
        notes.append("one training each: the intervals know the luck of the rows, not that of training")
    if not ablation.without_all:
        notes.append("every row is synthetic, so there is no score without any batch to start from")
    return tuple(notes)


def _table(ablation: Ablation, evaluations: Mapping[str, Evaluation], seeds: Sequence[int]) -> _Table:
    """All comparisons, on the rows that every one of them has."""
    named = {**ablation.without, "": ablation.without_all} if ablation.without_all else dict(ablation.without)
    comparisons = {
        name: [compare(evaluations[names[at]], evaluations[ablation.with_all[at]]) for at in seeds]
        for name, names in named.items()
    }
    every = [one for some in comparisons.values() for one in some]
    kept = set(every[0].examples).intersection(*[set(one.examples) for one in every])
    paired = {name: _paired(some, kept) for name, some in comparisons.items()}
    first = every[0]
    slices = tuple(of for row, of in zip(first.examples, first.slice_of, strict=True) if row in kept)
    return _Table({name: paired[name] for name in ablation.without}, paired.get(""), slices)


def _paired(comparisons: Sequence[Comparison], kept: set[str]) -> Paired:
    """One line of differences a seed, in the order of the rows."""
    d_SN = [[d for row, d in zip(one.examples, one.differences, strict=True) if row in kept] for one in comparisons]
    first = comparisons[0]
    groups = tuple(group for row, group in zip(first.examples, first.groups, strict=True) if row in kept)
    return Paired(d_SN=np.asarray(d_SN, dtype=float), groups=groups)


def _slice_gains(table: _Table) -> dict[str, list[SliceGain]]:
    """Gains of every part on every slice with enough rows; Holm over all of them together."""
    names = sorted({f"{column}={value}" for of in table.slices for column, value in of.items()})
    places = {name: [at for at, of in enumerate(table.slices) if _is_in(of, name)] for name in names}
    found: list[tuple[str, str, Worth]] = []
    for name, rows in places.items():
        if len(rows) >= MIN_ROWS:
            parts = {part: _rows_of(paired, rows) for part, paired in table.parts.items()}
            luck = pooled_luck(list(parts.values()))
            found += [(part, name, worth_of(paired, luck)) for part, paired in parts.items()]
    gains: dict[str, list[SliceGain]] = {}
    for (part, name, worth), p_holm in zip(found, holm([worth.p_value for *_, worth in found]), strict=True):
        gains.setdefault(part, []).append(SliceGain(slice=name, gain=worth.gain, p_holm=p_holm))
    return gains


def _is_in(of: Mapping[str, str], name: str) -> bool:
    return any(f"{column}={value}" == name for column, value in of.items())


def _rows_of(paired: Paired, rows: Sequence[int]) -> Paired:
    return Paired(d_SN=paired.d_SN[:, list(rows)], groups=tuple(paired.groups[at] for at in rows))


def _unattributed(table: _Table, luck: Luck) -> Interval | None:
    """The total less the sum of the parts' gains, row by row; None without a total, or with one part, which is all.

    With A, K and O_b the trainings with all, none and all but b it is (1 - B) A - K + the sum of O_b: were their lucks
    independent and alike, it had ((B - 1)^2 + 1 + B) / 2 times the variance of one gain.
    """
    if table.total is None or len(table.parts) < 2:
        return None
    d_SN = table.total.d_SN - sum(paired.d_SN for paired in table.parts.values())
    count = len(table.parts)
    scaled = Luck(luck.variance * ((count - 1) ** 2 + 1 + count) / 2, luck.df)
    return worth_of(Paired(d_SN=d_SN, groups=table.total.groups), scaled).gain


def _batch_gain(
    part: Part,
    worth: Worth,
    p_holm: float | None,
    slices: Sequence[SliceGain],
    costs: Mapping[str, Cost],
) -> BatchGain:
    known = [costs[name] for name in part.batches if name in costs]
    cost = _times(known, 1.0) if len(known) == len(part.batches) else None
    fate, why = _fate(worth)
    gain, is_seen = worth.gain.value or 0.0, (worth.gain.low or 0.0) > 0
    return BatchGain(
        name=part.name,
        batches=part.batches,
        num_rows=len(part.rows),
        gain=worth.gain,
        p_holm=p_holm,
        p_harmful=worth.p_harmful,
        num_changed=worth.num_changed,
        fate=fate,
        why=why,
        slices=tuple(slices),
        cost=cost,
        per_point=_times([cost], 0.01 / gain) if cost is not None and is_seen else None,
    )


def _fate(worth: Worth) -> tuple[Fate, str]:
    """What to do with a batch, and why: by the posterior that removal improves, once enough rows changed."""
    if worth.p_harmful is None:
        return "keep", "no row has a score"
    told = f"removal improves with probability {worth.p_harmful:.2f}"
    if worth.num_changed < MIN_CHANGED:
        return "keep", f"{worth.num_changed} rows changed, too few to tell"
    if worth.p_harmful > DROP_FROM:
        return "drop", told
    return ("down-weight", told) if worth.p_harmful > HALVE_FROM else ("keep", told)


def _times(costs: Sequence[Cost], factor: float) -> Cost:
    joules = [cost.joules for cost in costs]
    return Cost(
        usd=factor * sum(cost.usd for cost in costs),
        seconds=factor * sum(cost.seconds for cost in costs),
        tokens=round(factor * sum(cost.tokens for cost in costs)),
        joules=None if None in joules else factor * sum(one or 0.0 for one in joules),
        reviewer_minutes=factor * sum(cost.reviewer_minutes for cost in costs),
    )


def _mean_overall(evaluations: Sequence[Evaluation]) -> Interval:
    """The mean of the scores; the bounds are means too, a little wide, since seeds agree on most rows."""
    overall = [one.overall for one in evaluations]

    def mean(name: str) -> float | None:
        values = [getattr(one, name) for one in overall]
        return None if None in values else float(np.mean(values))

    return Interval(value=mean("value"), low=mean("low"), high=mean("high"), n=overall[0].n)
