"""What users said of a champion and its challenger, as outcomes of a canary: one for each conversation, its first.

One for each, as turns of one conversation are alike and a test that took them for many would be too sure; the first, as
what comes later depends on it.
"""

from collections.abc import Iterator, Sequence
from math import exp
from typing import NamedTuple

from burnish.betting import Interval, Outcome, differences, log_wealth, mean_interval, staged_wealth
from burnish.config import CanarySettings
from burnish.loop.project import Project
from burnish.store.deployments import (
    Canary,
    CanaryOutcome,
    Evidence,
    ShadowAnswer,
    add_outcomes,
    answer_hash,
    canary_outcomes,
    conversation_hash,
    place_of,
    shadow_answers,
)
from burnish.store.traffic import Feedback, Spoken, feedback_since, find_traffic

AT_ONCE = 1000
"""Entries of feedback that are read together."""
MOST_LOG = 690.0
"""Nats of evidence, beyond which it is not told apart."""


class Found(NamedTuple):
    """What the outcomes of a canary say."""

    evidence: Evidence
    gain: Interval
    """Challenger minus champion, 0-1, with bounds that hold at all looks at once."""
    num_challenger: int
    """Conversations with an outcome; of a shadow requests that both answered."""
    num_champion: int
    at_stage: int
    """Differences since this stage began."""


def gather_outcomes(project: Project, canary: Canary) -> int:
    """Writes down what users have said since the last look; returns how many conversations are new."""
    known = canary_outcomes(project.store, canary)
    at, new = max([canary.feedback, *(one.feedback for one in known)]), 0
    while given := feedback_since(project.store, at, AT_ONCE):
        at = given[-1].seq
        new += add_outcomes(project.store, canary, list(_outcomes(project, canary, given)))
    return new


def weigh(canary: Canary, outcomes: Sequence[CanaryOutcome]) -> Found:
    """The evidence of these outcomes, in their order; it follows from them alone, whenever it is looked at.

    Harm is what it ever was: an alarm between two looks counts. Benefit is what it is now, over all stages.
    """
    if canary.plan.mode == "shadow":
        gains = [one.value for one in outcomes]
    else:
        gains = differences(Outcome(one.is_challenger, one.value) for one in outcomes)
    harm = staged_wealth([-gain for gain in gains], canary.starts, len(canary.plan.shares)).max()
    benefit = log_wealth(gains)[-1]
    num_challenger = sum(one.is_challenger for one in outcomes)
    return Found(
        evidence=Evidence(len(gains), exp(min(harm, MOST_LOG)), exp(min(benefit, MOST_LOG))),
        gain=mean_interval(gains, canary.plan.alpha),
        num_challenger=num_challenger,
        num_champion=num_challenger if canary.plan.mode == "shadow" else len(outcomes) - num_challenger,
        at_stage=len(gains) - canary.starts[-1],
    )


def _outcomes(project: Project, canary: Canary, given: Sequence[Feedback]) -> Iterator[CanaryOutcome]:
    names = sorted({one.response_id for one in given})
    answers = find_traffic(project.store, names)
    beside = shadow_answers(project.store, canary, names) if canary.plan.mode == "shadow" else {}
    for one in given:
        spoken = answers.get(one.response_id)
        if spoken is None or spoken.source != "serve":
            continue
        settings, key = project.settings.canary, spoken.conversation or spoken.response_id
        if canary.plan.mode == "shadow":
            value = _compared(one, beside.get(one.response_id)) if spoken.model == canary.against else None
        else:
            value = value_of(one, spoken, settings) if _is_drawn(canary, spoken.model, key) else None
        if value is not None:
            is_challenger = canary.plan.mode == "shadow" or spoken.model == canary.challenger
            yield CanaryOutcome(conversation_hash(canary, key), is_challenger, value, one.seq)


def value_of(said: Feedback, spoken: Spoken, settings: CanarySettings) -> float | None:
    """How good an answer was, 0 or 1, by what a user said; None where that tells nothing.

    A correction that is equal to the answer says that it was right; any other that it was wrong.
    """
    if said.kind == "correction":
        return float(spoken.has_text and answer_hash(spoken.answer) == answer_hash(said.value))
    if said.kind == "outcome":
        name = said.value.strip().casefold()
        good = name in {word.casefold() for word in settings.good}
        return float(good) if good or name in {word.casefold() for word in settings.bad} else None
    return {"up": 1.0, "down": 0.0}.get(said.kind)


def _compared(said: Feedback, both: ShadowAnswer | None) -> float | None:
    """Challenger minus champion on one request, where what was said tells the right answer, or both gave the same."""
    if both is None:
        return None
    right = {"up": both.champion, "correction": answer_hash(said.value)}.get(said.kind)
    if right is None:
        return 0.0 if said.kind == "down" and both.challenger == both.champion else None
    return float(both.challenger == right) - float(both.champion == right)


def _is_drawn(canary: Canary, model: str, key: str) -> bool:
    """Whether chance gave this conversation to this version; who asks for a version by its name is no fair sample.

    Where a stage has gone up since, a conversation that the champion had keeps its outcome.
    """
    place = place_of(canary, key)
    if model == canary.challenger:
        return place < canary.share
    return model == canary.against and place >= canary.plan.shares[0]
