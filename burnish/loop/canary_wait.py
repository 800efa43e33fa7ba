"""What a canary whose benefit is proven waits for before it goes up: people who bear its judge out, or an approval.

A judge's word is evidence of what the judge likes. It moves a canary up only as a judge may score a round (decision
0013): once it agrees with people about as well as they do with each other. Users and people need no such leave.
"""

from collections import Counter
from typing import NamedTuple

from burnish.loop.outcomes import Found
from burnish.loop.preferred import said_of
from burnish.loop.project import Project
from burnish.review.admission import FEWEST_ITEMS, FEWEST_REVIEWERS, admit, objection
from burnish.review.agreement import Rating
from burnish.store.comparisons import canary_comparisons
from burnish.store.deployments import Canary


class Tested(NamedTuple):
    """A canary's judge held against people."""

    objection: str
    """Why its word alone moves no canary up, beginning with a stable word and a colon; empty: it may."""
    num_missing: int
    """Answers of people that lack at least before it can be tested."""


def waits_for(project: Project, canary: Canary, found: Found) -> str:
    """What people have to do before a canary goes up that is due, in a sentence; empty: nothing."""
    if canary.plan.mode == "shadow" or not is_due(canary, found):
        return ""
    if found.unjudged_benefit < 1 / canary.plan.alpha:
        tested = judge_tested(project, canary)
        if tested.objection:
            return f"it waits for people: {in_words(tested)}"
    if project.settings.approval.required and canary.stage + 1 == len(canary.plan.shares):
        return "it waits for an approval"
    return ""


def is_due(canary: Canary, found: Found) -> bool:
    """Whether benefit is proven, and the stage has the differences that it needs."""
    return found.evidence.benefit >= 1 / canary.plan.alpha and found.at_stage >= canary.plan.least


def in_words(tested: Tested) -> str:
    """Why a judge's word alone moves nothing up, and what would change that."""
    missing = f", at least {tested.num_missing} answers are missing" if tested.num_missing else ""
    return f"only the judge's word proves benefit ({tested.objection}{missing}); burnish deploy ask asks people"


def judge_tested(project: Project, canary: Canary) -> Tested:
    """The test of a round's judge, on the conversations of this canary that both it and people have compared."""
    judge = {
        one.conversation: _word(one.value) for one in canary_comparisons(project.store, canary) if one.by == "judge"
    }
    told = [Rating(one.conversation, one.reviewer, _word(one.value)) for one in said_of(project, canary)]
    known = [one for one in told if one.item in judge]
    admission = admit(f"canary {canary.number}", judge, known)
    why = objection(admission, [judge[one.item] == one.value for one in known])
    counts = Counter(one.item for one in known)
    fullest = [count for _, count in counts.most_common(FEWEST_ITEMS)]
    missing = FEWEST_ITEMS * FEWEST_REVIEWERS - sum(min(count, FEWEST_REVIEWERS) for count in fullest)
    return Tested(why, missing if why else 0)


def _word(value: float) -> str:
    """A comparison as an answer, of which two can be the same."""
    return "challenger" if value > 0 else "champion" if value < 0 else "tie"
