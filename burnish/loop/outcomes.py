"""What users said of a champion and its challenger, as outcomes of a canary: one for each conversation, its first.

One for each, as turns of one conversation are alike and a test that took them for many would be too sure; the first, as
what comes later depends on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import exp
from pathlib import Path
from typing import NamedTuple

from burnish.betting import How, Interval, Outcome, differences, log_wealth, mean_interval, staged_wealth
from burnish.config import CanarySettings
from burnish.data.formats import raw_rows
from burnish.errors import DataError
from burnish.loop.project import Project
from burnish.store.comparisons import CanaryComparison, canary_comparisons
from burnish.store.deployments import Canary, Evidence, Mode, place_of
from burnish.store.outcomes import (
    CanaryOutcome,
    ShadowAnswer,
    add_outcomes,
    answer_hash,
    canary_outcomes,
    conversation_hash,
    shadow_answers,
)
from burnish.store.traffic import Feedback, Spoken, feedback_since, find_traffic

AT_ONCE = 1000
"""Entries of feedback that are read together."""
SCORE = 'one JSON object a line: {"response_id": "chatcmpl-...", "value": 1}'
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
    num_compared: int
    """Conversations on which a judge or people compared both versions' answers."""
    lean: Interval
    """How much better a judge finds the challenger than people do on the same conversations, of 1 for always the other
    way; its n are those that both have compared."""
    unjudged_benefit: float
    """E-value against "not better" without the judge's comparisons: what users and people said, and equal answers."""

    @property
    def is_judge_refused(self) -> bool:
        """Whether the judge leans to one side: then none of its comparisons counts."""
        return leans(self.lean)


def gather_outcomes(project: Project, canary: Canary) -> int:
    """Writes down what users have said since the last look; returns how many conversations are new."""
    known = canary_outcomes(project.store, canary)
    at, new = max([canary.feedback, *(one.feedback for one in known)]), 0
    while given := feedback_since(project.store, at, AT_ONCE):
        at = given[-1].seq
        new += add_outcomes(project.store, canary, list(_outcomes(project, canary, given)))
    return new


def read_scores(path: Path, mode: Mode) -> dict[str, float]:
    """Scores of answers by response id, from JSONL with `response_id` and `value`.

    A value is 0 (bad) to 1 (good), of a shadow -1 to 1, challenger minus champion. Raises DataError, naming the line.
    """
    scores, low = {}, -1.0 if mode == "shadow" else 0.0
    for row in raw_rows(path):
        place = f"{path}:{row.number}"
        if row.fault:
            raise DataError(f"{place} is no score: {row.fault}", hint=SCORE)
        try:
            name, value = str(row.value["response_id"]), float(row.value["value"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{place} is no score: {str(dict(row.value))[:80]}", hint=SCORE) from error
        if not low <= value <= 1.0:
            raise DataError(f"{place} has the value {value:g}", hint=f"here values lie from {low:g} to 1")
        scores[name] = value
    return scores


def add_scores(project: Project, canary: Canary, scores: Mapping[str, float]) -> int:
    """Takes what a judge, people or a scorer make of answers as outcomes; returns how many conversations are new.

    Which answers were scored must not depend on who gave them. Answers that are not here, or whose version chance did
    not choose, are left out, as they are where users say something.
    """
    answers = find_traffic(project.store, list(scores))
    found = []
    for name, value in scores.items():
        spoken = answers.get(name)
        if spoken is not None and (model := arm_of(canary, spoken)) is not None:
            key = conversation_hash(canary, spoken.conversation or name)
            found.append(CanaryOutcome(key, model, value, canary.feedback))
    return add_outcomes(project.store, canary, found)


def look(project: Project, canary: Canary) -> Found:
    """What the outcomes and comparisons that are written down say."""
    return weigh(canary, canary_outcomes(project.store, canary), canary_comparisons(project.store, canary))


def weigh(canary: Canary, outcomes: Sequence[CanaryOutcome], comparisons: Sequence[CanaryComparison] = ()) -> Found:
    """The evidence of these outcomes, in their order; it follows from them alone, whenever it is looked at.

    Harm is what it ever was: an alarm between two looks counts. Benefit is what it is now, over all stages.
    """
    lean = lean_of(comparisons, canary.plan.alpha)
    counted = [one for one in comparisons if one.by != "judge" or not leans(lean)]
    is_shadow = canary.plan.mode == "shadow"
    gains = [one.value for one in outcomes] if is_shadow else differences(in_order(outcomes, counted))
    harm = staged_wealth([-gain for gain in gains], canary.starts, len(canary.plan.shares)).max()
    spoken = [one for one in counted if one.by != "judge"]
    unjudged = gains if len(spoken) == len(counted) else differences(in_order(outcomes, spoken))
    num_challenger = sum(one.is_challenger for one in outcomes)
    return Found(
        evidence=Evidence(len(gains), exp(min(harm, MOST_LOG)), _benefit(gains)),
        gain=mean_interval(gains, canary.plan.alpha),
        num_challenger=num_challenger,
        num_champion=num_challenger if is_shadow else len(outcomes) - num_challenger,
        at_stage=len(gains) - canary.starts[-1],
        num_compared=len({one.conversation for one in counted}),
        lean=lean,
        unjudged_benefit=_benefit(unjudged),
    )


def _benefit(gains: Sequence[float]) -> float:
    """E-value against "not better"."""
    return exp(min(log_wealth(gains)[-1], MOST_LOG))


def in_order(outcomes: Sequence[CanaryOutcome], comparisons: Sequence[CanaryComparison]) -> list[Outcome]:
    """What came of conversations, as it came: of each the first, whether its user said it or it was compared."""
    found: dict[str, Outcome] = {}
    waiting = list(reversed(comparisons))

    def compared(before: int) -> None:
        while waiting and waiting[-1].after <= before:
            one = waiting.pop()
            how: How = "equal" if one.by == "equal" else "compared"
            found.setdefault(one.conversation, Outcome(one.is_challenger, one.value, how))

    for number, one in enumerate(outcomes):
        compared(number)
        found.setdefault(one.conversation, Outcome(one.is_challenger, one.value))
    compared(len(outcomes))
    return list(found.values())


def lean_of(comparisons: Sequence[CanaryComparison], alpha: float) -> Interval:
    """Half of judge minus people on the conversations that both have compared, with bounds that hold at every look."""
    people = {one.conversation: one.value for one in comparisons if one.by == "people"}
    judged = [one for one in comparisons if one.by == "judge" and one.conversation in people]
    return mean_interval([(one.value - people[one.conversation]) / 2 for one in judged], alpha)


def leans(lean: Interval) -> bool:
    """Whether a lean is proven, to either side."""
    return lean.low is not None and lean.high is not None and (lean.low > 0 or lean.high < 0)


def _outcomes(project: Project, canary: Canary, given: Sequence[Feedback]) -> Iterator[CanaryOutcome]:
    names = sorted({one.response_id for one in given})
    answers = find_traffic(project.store, names)
    beside = shadow_answers(project.store, canary, names) if canary.plan.mode == "shadow" else {}
    for one in given:
        spoken = answers.get(one.response_id)
        if spoken is None or (is_challenger := arm_of(canary, spoken)) is None:
            continue
        if canary.plan.mode == "shadow":
            value = _compared(one, beside.get(one.response_id))
        else:
            value = value_of(one, spoken, project.settings.canary)
        if value is not None:
            key = spoken.conversation or spoken.response_id
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


def arm_of(canary: Canary, spoken: Spoken) -> bool | None:
    """Whether an answer counts for the challenger; None where it counts for nobody: chance did not choose its version.

    Who asks for a version by its name is no fair sample. Where a stage has gone up since, a conversation that the
    champion had keeps its outcome. A shadow's outcomes are differences, on what the champion answered.
    """
    if spoken.source != "serve":
        return None
    if canary.plan.mode == "shadow":
        return True if spoken.model == canary.against else None
    place = place_of(canary, spoken.conversation or spoken.response_id)
    if spoken.model == canary.challenger:
        return True if place < canary.share else None
    return False if spoken.model == canary.against and place >= canary.plan.shares[0] else None


def conversation_of(canary: Canary, spoken: Spoken) -> str:
    """Hash of the conversation that an answer belongs to, as outcomes of this canary name it."""
    return conversation_hash(canary, spoken.conversation or spoken.response_id)
