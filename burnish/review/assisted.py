"""The gain of one model over another from people's scores on some rows and a judge's on all of them.

The judge has to be one and the same throughout: what it gets wrong is measured on the rows that people scored, and
taken out. The interval would hold for a judge that was never admitted; a round asks for admission all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from burnish.ppi import Assisted, active_mean, assisted_mean
from burnish.records import Interval
from burnish.review.admission import version_change
from burnish.stats.pairs import paired_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeScores:
    """What one version of a judge makes of one model's answers."""

    version: str
    """See `review.admission.judge_version`."""
    scores: Mapping[str, float]
    """By example, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistedGain:
    """A gain (after - before) with the interval to go by, and what people alone would have shown."""

    gain: Interval
    """n counts the rows that people scored. From people alone where `why` says so; empty where they cannot tell."""
    verdict: str
    """better, worse, no difference seen, or no information."""
    num_rows: int
    trust: float
    """How far the judge was used, 0 to 1."""
    people_alone: Interval
    judge_alone: float | None
    """The mean of the judge's differences, for reading only: it is as biased as the judge."""
    labels_worth: float | None
    """How many rows people would have had to score for this standard error by themselves; None without the judge."""
    why: str = ""
    """Why the judge was not used; starts with a stable word and a colon."""


def assisted_gain(
    people: Mapping[str, float],
    before: JudgeScores,
    after: JudgeScores,
    *,
    groups: Mapping[str, str] | None = None,
    strata: Mapping[str, str] | None = None,
    probabilities: Mapping[str, float] | None = None,
    objection: str = "",
) -> AssistedGain:
    """The gain over all rows that the judge scored for both models, from `people`'s differences on some of them.

    All mappings are by example. Rows are drawn evenly at random, or evenly in each of `strata`, or each by its own of
    the `probabilities` (`ppi.asking_probabilities`); drawn in any other way the interval means nothing. Scores of two
    versions of a judge are never subtracted, and of a judge that there is an `objection` to none are used: people alone
    then decide.
    """
    examples = sorted(before.scores.keys() & after.scores.keys())
    assert people.keys() <= set(examples), f"{len(people.keys() - set(examples))} rows of people have no judge's score"
    alone = _people_alone(people, groups, drawn_evenly=strata is None and probabilities is None)
    if changed := version_change(before.version, after.version):
        return _from_people(alone, len(examples), None, changed)
    judge = [after.scores[example] - before.scores[example] for example in examples]
    if objection:
        return _from_people(alone, len(examples), sum(judge) / len(judge) if judge else None, objection)
    labels = [people.get(example) for example in examples]
    group = [groups[example] for example in examples] if groups is not None else None
    if probabilities is not None:
        found = active_mean(labels, judge, [probabilities[example] for example in examples], group)
    else:
        found = assisted_mean(labels, judge, group, [strata[example] for example in examples] if strata else None)
    said = sum(judge) / len(judge) if judge else None
    if found.value is None:
        return _from_people(alone, len(examples), said, found.why)
    return AssistedGain(
        gain=Interval(value=found.value, low=found.low, high=found.high, n=found.num_labels),
        verdict=_verdict(found.low, found.high),
        num_rows=found.num_rows,
        trust=found.trust,
        people_alone=alone,
        judge_alone=said,
        labels_worth=_labels_worth(found, labels, judge, group) if alone.value is not None else None,
    )


def peoples_gain(
    people: Mapping[str, float], *, num_rows: int, groups: Mapping[str, str] | None = None, why: str
) -> AssistedGain:
    """The gain by people's differences alone, on rows drawn evenly from `num_rows`; `why`: why there is no judge."""
    return _from_people(_people_alone(people, groups, drawn_evenly=True), num_rows, None, why)


def _people_alone(people: Mapping[str, float], groups: Mapping[str, str] | None, *, drawn_evenly: bool) -> Interval:
    """Their own interval; empty where the rows were drawn so that a plain mean would be biased."""
    if not drawn_evenly:
        return Interval(value=None, low=None, high=None, n=len(people))
    names = sorted(people)
    group = [groups[name] for name in names] if groups is not None else None
    return Interval(**paired_interval([people[name] for name in names], group)._asdict())


def _from_people(alone: Interval, num_rows: int, said: float | None, why: str) -> AssistedGain:
    return AssistedGain(
        gain=alone,
        verdict=_verdict(alone.low, alone.high),
        num_rows=num_rows,
        trust=0.0,
        people_alone=alone,
        judge_alone=said,
        labels_worth=None,
        why=why,
    )


def _labels_worth(
    found: Assisted, labels: list[float | None], judge: list[float], group: list[str] | None
) -> float | None:
    """By the squared standard error of the same labels with a judge that says nothing."""
    plain = assisted_mean(labels, [0.0] * len(judge), group).se
    return found.num_labels * (plain / found.se) ** 2 if plain and found.se else None


def _verdict(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "no information"
    if low <= 0.0 <= high:
        return "no difference seen"
    return "better" if low > 0.0 else "worse"
