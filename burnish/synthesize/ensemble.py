"""Verifiers without a teacher: voters fitted on people's rows, calibrated on the same rows by cross-fitting.

A row stays when the voters that can tell believe in its label, on average, as much as in the labels of nearly all of
people's rows (docs/decisions/0027-mean-belief.md). No score ranks rows and no best share is taken: such selection did
not beat chance where it was tried at scale (arXiv 2410.09335, 2410.15225, 2503.01807).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from burnish.fingerprint import fingerprint
from burnish.records import Example, Interval
from burnish.stats.rates import wilson
from burnish.synthesize.guards import Drop
from burnish.synthesize.votes import Voters, Votes

DISAGREED, UNJUDGED = "disagreed", "unjudged"
"""The voters believe too little in the label; no voter could tell."""
ADAPTER = "adapter"
LEAST_KEPT = 0.9
"""Share of people's own rows that must pass, whatever that lets through."""
FEW = 10
"""Rows of people below which a label is rare. Voters believe less in what they have hardly seen, so right rows of rare
labels fall first."""
LEAST_KEPT_RARE = 0.8
"""Share of people's rows of all rare labels that must pass, too, where there are at least FEWEST_RARE of them."""
FEWEST_RARE = 3


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
    limits = limits_of(own, list(answers.values()), least_kept)
    votes = _with_adapter(voters.of_rows(rows, parents), {row.id: row.answer for row in rows}, told)
    drops = []
    for row, found in zip(rows, votes, strict=True):
        if not found:
            drops += [] if row.id in keep_unjudged else [Drop(row.id, UNJUDGED)]
        elif not agrees(found, row.answer, limits):
            drops.append(Drop(row.id, DISAGREED))
    return Verified(
        drops=tuple(drops),
        verdicts={row.id: found for row, found in zip(rows, votes, strict=True) if found},
        quality=_quality(voters, seeds, own, limits, told),
        num_unjudged=sum(not found for found in votes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The least mean belief at which a row passes."""

    usual: float
    rare: float
    labels: frozenset[str]
    """The rare ones."""


def agrees(votes: Votes, label: str, limits: Limits) -> bool:
    """Whether the mean belief of the voters that can tell reaches the limit of the label."""
    return _mean(votes) >= (limits.rare if label in limits.labels else limits.usual)


def limits_of(own: Sequence[Votes], labels: Sequence[str], least_kept: float) -> Limits:
    """The strictest limits at which so large a share of people's rows passes; for rare labels lower where need be.

    `labels` are those of the rows that were voted on. Limits by kind of row are those of Mondrian conformal predictors
    (Vovk, Gammerman and Shafer 2005, doi 10.1007/b106715), without their correction for few rows: the share is that of
    these rows.
    """
    rare = frozenset(label for label, count in Counter(labels).items() if count < FEW)
    told = [(_mean(votes), label in rare) for votes, label in zip(own, labels, strict=True) if votes]
    scarce = [belief for belief, is_rare in told if is_rare]
    usual = _strictest([belief for belief, _ in told], least_kept)
    low = _strictest(scarce, LEAST_KEPT_RARE) if len(scarce) >= FEWEST_RARE else usual
    return Limits(usual=usual, rare=min(usual, low), labels=rare)


def _strictest(beliefs: Sequence[float], least_kept: float) -> float:
    """The largest limit that so large a share reaches; 0 without any."""
    most_dropped = int((1 - least_kept) * len(beliefs) + 1e-9)
    return sorted(beliefs)[most_dropped] if beliefs else 0.0


def _mean(votes: Votes) -> float:
    return sum(votes.values()) / len(votes)


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
    limits: Limits,
    adapter: Mapping[str, str],
) -> Quality:
    labels = sorted({seed.answer for seed in seeds})
    wrong = {seed.id: _another(seed, labels) for seed in seeds}
    lies = _with_adapter(voters.of_seeds(wrong), wrong, adapter)
    kept = [agrees(votes, seed.answer, limits) for seed, votes in zip(seeds, own, strict=True) if votes]
    caught = [not agrees(votes, wrong[seed.id], limits) for seed, votes in zip(seeds, lies, strict=True) if votes]
    return Quality(
        kept=share_of(sum(kept), len(kept)),
        caught=share_of(sum(caught), len(caught)),
        num_unjudged=len(own) - len(kept),
    )


def share_of(part: int, whole: int) -> Interval:
    """A share of rows with its 95% interval."""
    found = wilson(part, whole)
    return Interval(value=found.value, low=found.low, high=found.high, n=whole)


def _another(seed: Example, labels: Sequence[str]) -> str:
    """Another label, drawn by a hash of the row."""
    others = [label for label in labels if label != seed.answer]
    return Random(fingerprint(["wrong", seed.content_hash])).choice(others) if others else seed.answer
