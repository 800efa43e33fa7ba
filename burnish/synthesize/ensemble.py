"""Verifiers without a teacher: voters fitted on people's rows, calibrated on the same rows by cross-fitting.

A row stays when most of the voters that can tell agree with its label. No score ranks rows and no best share is taken:
such selection did not beat chance where it was tried at scale (arXiv 2410.09335, 2410.15225, 2503.01807).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from burnish.fingerprint import fingerprint
from burnish.records import Example, Interval
from burnish.stats.rates import wilson
from burnish.synthesize.guards import Drop
from burnish.synthesize.votes import Voters, Votes

DISAGREED, UNJUDGED = "disagreed", "unjudged"
"""Most voters would have answered otherwise; no voter could tell."""
ADAPTER = "adapter"
LEAST_KEPT = 0.9
"""Share of people's own rows that must pass, whatever that lets through."""
STEPS = tuple(np.round(np.arange(0.02, 0.42, 0.02), 2))
"""Shares of people's rows that each voter by itself may turn down, tried from the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What the ensemble is worth, measured on people's rows by fits that had not seen them."""

    kept: Interval
    """Share of rows with their own label that it keeps."""
    caught: Interval
    """Share of the same rows under another label, drawn at random, that it drops."""
    num_unjudged: int
    """Rows on which no voter could tell, such as those of labels with a handful of rows; not in the shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Verdicts on made rows."""

    drops: tuple[Drop, ...]
    verdicts: Mapping[str, Votes] = field(default_factory=dict)
    """By row, what each voter that could tell believed of its label."""
    quality: Quality
    num_unjudged: int
    """Made rows on which no voter could tell."""


def verify_labels(
    rows: Sequence[Example],
    seeds: Sequence[Example],
    *,
    parents: Mapping[str, Collection[str]],
    adapter: Mapping[str, str] | None = None,
    keep_unjudged: Collection[str] = (),
    least_kept: float = LEAST_KEPT,
) -> Verified:
    """The verdict on each row of a label task.

    `parents` names the seeds that a row was made from: no fit that saw one of them votes on it. `adapter` holds
    what trained models answer, by id of made rows and of seeds that they did not see; it counts as one voter more.
    Rows on which nobody can tell are dropped but for those of `keep_unjudged`: a rule that keeps the label of
    people's rows makes no new claim. The thresholds keep `least_kept` of people's rows, so how much gets through is
    what `quality` says. Same arguments, same verdicts, whatever the order of the rows.
    """
    voters = Voters(seeds)
    told = adapter or {}
    own = _with_adapter(voters.of_seeds(answers := {seed.id: seed.answer for seed in seeds}), answers, told)
    limits = limits_of(own, least_kept)
    votes = _with_adapter(voters.of_rows(rows, parents), {row.id: row.answer for row in rows}, told)
    drops = []
    for row, found in zip(rows, votes, strict=True):
        if not found:
            drops += [] if row.id in keep_unjudged else [Drop(row.id, UNJUDGED)]
        elif not agrees(found, limits):
            drops.append(Drop(row.id, DISAGREED))
    return Verified(
        drops=tuple(drops),
        verdicts={row.id: found for row, found in zip(rows, votes, strict=True) if found},
        quality=_quality(voters, seeds, own, limits, told),
        num_unjudged=sum(not found for found in votes),
    )


def agrees(votes: Votes, limits: Mapping[str, float]) -> bool:
    """Whether more than half of the voters that can tell are at or above their limits."""
    return 2 * sum(vote >= limits.get(name, 0.5) for name, vote in votes.items()) > len(votes)


def limits_of(own: Sequence[Votes], least_kept: float) -> dict[str, float]:
    """The strictest limits, the same quantile of people's rows for every voter, at which enough of these rows pass."""
    told = [votes for votes in own if votes]
    names = sorted({name for votes in told for name in votes})
    for share in sorted(STEPS, reverse=True):
        limits = {name: float(np.quantile([one[name] for one in told if name in one], share)) for name in names}
        if sum(agrees(votes, limits) for votes in told) >= least_kept * len(told):
            return limits
    return dict.fromkeys(names, 0.0)


def _with_adapter(votes: Sequence[Votes], labels: Mapping[str, str], told: Mapping[str, str]) -> list[Votes]:
    """The votes with that of the adapter where it answered: 1 for the label that is asked about, 0 for another."""
    return [
        {**found, ADAPTER: float(told[name] == label)} if name in told else dict(found)
        for found, (name, label) in zip(votes, labels.items(), strict=True)
    ]


def _quality(
    voters: Voters,
    seeds: Sequence[Example],
    own: Sequence[Votes],
    limits: Mapping[str, float],
    adapter: Mapping[str, str],
) -> Quality:
    labels = sorted({seed.answer for seed in seeds})
    wrong = {seed.id: _another(seed, labels) for seed in seeds}
    told = [votes for votes in own if votes]
    lies = [votes for votes in _with_adapter(voters.of_seeds(wrong), wrong, adapter) if votes]
    return Quality(
        kept=share_of(sum(agrees(votes, limits) for votes in told), len(told)),
        caught=share_of(sum(not agrees(votes, limits) for votes in lies), len(lies)),
        num_unjudged=len(own) - len(told),
    )


def share_of(part: int, whole: int) -> Interval:
    """A share of rows with its 95% interval."""
    found = wilson(part, whole)
    return Interval(value=found.value, low=found.low, high=found.high, n=whole)


def _another(seed: Example, labels: Sequence[str]) -> str:
    """Another label, drawn by a hash of the row."""
    others = [label for label in labels if label != seed.answer]
    return Random(fingerprint(["wrong", seed.content_hash])).choice(others) if others else seed.answer
