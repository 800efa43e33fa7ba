"""Forgetting a served answer: its row in the traffic goes, with the feedback on it, and what people made of it trains
nothing from now on.

Rows of traffic are in no data batch, so which round learned from one is told by times: every round that learned from
people's decisions after there was one on it, taken back or not, and before it was forgotten. That may name a round too
many, never one too few.
"""

from collections.abc import Collection

from burnish.errors import UsageError
from burnish.loop.decided import SERVED, reviewed
from burnish.loop.past import results
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.seeds import DECISIONS
from burnish.loop.traces import RoundTrace
from burnish.records import Example, Message
from burnish.registry import models
from burnish.review.decisions import Outcome
from burnish.store.barred import barred
from burnish.store.reviews import review_items, review_log, withdraw_items
from burnish.store.traffic import drop_traffic, find_traffic

BATCH = "traffic"
"""What stands for the name of a data batch."""
FORGOTTEN = "forgotten"


def is_served(example: str) -> bool:
    """Whether this is the id of a served answer."""
    return example.startswith(SERVED)


def served_example(project: Project, example: str) -> Example | None:
    """Prompt and answer, None where only the id is left. Raises UsageError when there is no such answer."""
    name = example.removeprefix(SERVED)
    if row := find_traffic(project.store, [name]).get(name):
        turns = (*row.messages, Message(role="assistant", content=row.answer))
        return Example(id=example, messages=turns, group=example) if row.has_text else None
    for one in _asked(project, example):
        turns = (*one.item.messages, Message(role="assistant", content=one.item.given))
        return Example(id=example, messages=turns, group=example)
    if any(one.example == example for one in barred(project.store)):
        return None
    raise UsageError(f"there is no served answer {name!r}", hint="ids are in `burnish traffic list`")


def served_rounds(project: Project, examples: Collection[str]) -> list[RoundTrace]:
    """The rounds that may have learned from these served answers, oldest first."""
    asked = {item.name: item.example for item in review_items(project.store) if item.example in examples}
    first: dict[str, str] = {}
    for entry in review_log(project.store):
        if entry.item in asked:
            first.setdefault(asked[entry.item], entry.at)
    ends = {one.example: one.at for one in barred(project.store)}
    versions = {version.name: version for version in models(project.store)}
    found = []
    for result in results(project):
        version = versions.get(result.challenger)
        if version is not None and DECISIONS in version.data:
            learned = sum(at <= version.created_at <= ends.get(example, "~") for example, at in first.items())
            found.append(_trace(result, learned))
    return [trace for trace in found if trace.learned]


def take_away(project: Project, example: str) -> None:
    """Deletes the answer and the feedback on it, and takes the questions about it out of the queue; of an example that
    is no served answer nothing."""
    if is_served(example):
        drop_traffic(project.store, [example.removeprefix(SERVED)])
        withdraw_items(project.store, [one.item.name for one in _asked(project, example)], FORGOTTEN)


def _asked(project: Project, example: str) -> list[Outcome]:
    return [one for one in reviewed(project) if one.item.example == example]


def _trace(result: RoundResult, learned: int) -> RoundTrace:
    return RoundTrace(round=result.round, decision=result.decision, challenger=result.challenger, learned=learned)
