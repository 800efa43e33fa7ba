"""Which version of a canary people preferred, blind: their settled answers to its pairs, as comparisons.

Apart from the asking, which needs the models: a look at a canary has to be cheap.
"""

from burnish.loop.decided import SERVED, reviewed
from burnish.loop.outcomes import arm_of, conversation_of
from burnish.loop.project import Project
from burnish.loop.rubric import CANARY
from burnish.store.comparisons import CanaryComparison, add_comparisons
from burnish.store.deployments import Canary
from burnish.store.traffic import find_traffic

VALUE_OF = {"prefer-a": 1.0, "prefer-b": -1.0, "tie": 0.0}
"""What a decision says of the answer called A."""


def gather_comparisons(project: Project, canary: Canary) -> int:
    """Writes down what people have said since the last look; returns how many conversations are new."""
    names = {canary.challenger, canary.against}
    told = [
        one
        for one in reviewed(project)
        if one.item.purpose == CANARY and one.settled and {one.item.draft_by, one.item.other_by} == names
    ]
    answers = find_traffic(project.store, [one.item.example.removeprefix(SERVED) for one in told])
    found = []
    for one in told:
        spoken = answers.get(one.item.example.removeprefix(SERVED))
        value = VALUE_OF.get(one.settled.kind) if one.settled else None
        if spoken is None or value is None or (is_challenger := arm_of(canary, spoken)) is None:
            continue
        sign = 1.0 if one.item.draft_by == canary.challenger else -1.0
        found.append(CanaryComparison(conversation_of(canary, spoken), is_challenger, sign * value, "people"))
    return add_comparisons(project.store, canary, found) if found else 0
