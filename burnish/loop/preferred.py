"""Which version of a canary people preferred, blind: their answers to its pairs, as comparisons.

Of several reviewers the first one's answer counts; the others are asked so that a judge can be held against them. Apart
from the asking, which needs the models: a look at a canary has to be cheap.
"""

from typing import NamedTuple

from burnish.loop.decided import SERVED, reviewed
from burnish.loop.outcomes import arm_of, conversation_of
from burnish.loop.project import Project
from burnish.loop.rubric import CANARY
from burnish.store.comparisons import CanaryComparison, add_comparisons
from burnish.store.deployments import Canary
from burnish.store.traffic import Spoken, find_traffic

VALUE_OF = {"prefer-a": 1.0, "prefer-b": -1.0, "tie": 0.0}
"""What a decision says of the answer called A."""


class Said(NamedTuple):
    """What one reviewer said of a pair."""

    seq: int
    """Its place in the log of decisions."""
    conversation: str
    """Its hash, as of outcomes."""
    reviewer: str
    value: float
    """1 where the challenger's answer is better, -1 where the champion's, 0 for a tie."""
    spoken: Spoken


def gather_comparisons(project: Project, canary: Canary) -> int:
    """Writes down what people have said since the last look; returns how many conversations are new."""
    found: dict[str, CanaryComparison] = {}
    for one in said_of(project, canary):
        is_challenger = arm_of(canary, one.spoken)
        if is_challenger is not None and one.conversation not in found:
            found[one.conversation] = CanaryComparison(one.conversation, is_challenger, one.value, "people")
    return add_comparisons(project.store, canary, list(found.values())) if found else 0


def said_of(project: Project, canary: Canary) -> list[Said]:
    """What each reviewer said of a pair of this canary, in the order in which they said it.

    What was asked of traffic that has expired since is left out.
    """
    names = {canary.challenger, canary.against}
    asked = [
        one
        for one in reviewed(project)
        if one.item.purpose == CANARY and {one.item.draft_by, one.item.other_by} == names
    ]
    answers = find_traffic(project.store, [one.item.example.removeprefix(SERVED) for one in asked])
    found = []
    for one in asked:
        spoken = answers.get(one.item.example.removeprefix(SERVED))
        if spoken is None:
            continue
        sign = 1.0 if one.item.draft_by == canary.challenger else -1.0
        found += [
            Said(made.seq, conversation_of(canary, spoken), made.reviewer, sign * VALUE_OF[made.kind], spoken)
            for made in one.decisions
            if made.kind in VALUE_OF and made.item == one.item.name
        ]
    return sorted(found, key=lambda one: one.seq)
