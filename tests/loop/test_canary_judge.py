"""A judge's word alone rolls a canary back and never moves it up before people bear the judge out."""

from random import Random

import pytest

from burnish.loop.canary import in_words, start, step
from burnish.loop.outcomes import conversation_of
from burnish.loop.project import Project
from burnish.loop.standing import promote_by_hand
from burnish.records import Message
from burnish.registry import champion
from burnish.review.queue import named
from burnish.store.claims import Wish, decide_item
from burnish.store.comparisons import CanaryComparison, add_comparisons
from burnish.store.deployments import Canary, place_of
from burnish.store.outcomes import CanaryOutcome, add_outcomes
from burnish.store.reviews import ReviewItem, add_items
from burnish.store.traffic import append_traffic
from tests.cli.calls import burnish
from tests.loop.test_canary import WHO, made, spoken

PEOPLE = ("ann", "bob", "cem")
SHARED = 40
"""Conversations that all three compare; the test of a judge needs 30."""


@pytest.fixture
def project(tmp_path) -> Project:
    return made(tmp_path / "desk", **{"canary.shares": [0.5]})


@pytest.fixture
def canary(project) -> Canary:
    return start(project, "new", mode="split", **WHO)


def judged(project: Project, canary: Canary, share: float, size: int = 160) -> list[float]:
    """So many conversations, of which the judge finds the challenger better in a share, and what it found."""
    random, rows, found = Random(5), [], []
    for number in range(size):
        is_challenger = place_of(canary, f"key {number}") < canary.share
        rows.append(spoken(f"r{number}", canary.challenger if is_challenger else canary.against, f"key {number}"))
        value = 1.0 if random.random() < share else -1.0
        found.append(CanaryComparison(conversation_of(canary, rows[-1]), is_challenger, value, "judge"))
    append_traffic(project.store, rows)
    add_comparisons(project.store, canary, found)
    return [one.value for one in found]


def asked(project: Project, said: list[float], people: tuple[str, ...] = PEOPLE) -> None:
    """The first conversations go to people, who answer so; the champion's answer is always A."""
    items = [
        named(
            ReviewItem(
                name="",
                queue="preference",
                purpose="canary",
                example=f"traffic:r{number}",
                role="train",
                messages=(Message(role="user", content=f"message {number}"),),
                draft="one",
                draft_by="old",
                other="another",
                other_by="new",
                wanted=3,
            )
        )
        for number in range(len(said))
    ]
    add_items(project.store, items)
    for item, value in zip(items, said, strict=True):
        for reviewer in people:
            decide_item(project.store, item.name, reviewer, 1, Wish("prefer-b" if value > 0 else "prefer-a"), now_s=0.0)


def test_a_judge_that_nobody_held_against_people_waits_for_them_and_goes_up_once_they_bear_it_out(project, canary):
    values = judged(project, canary, 0.75)
    done = step(project)
    assert (done.act, done.found.evidence.benefit > 20, done.found.unjudged_benefit) == ("waits", True, 1.0)
    call = burnish("deploy", "step", "--project", project.folder, "--json")
    assert (call.code, call.data["act"], call.data["waits_for"]) == (4, "waits", done.waits_for)
    assert done.waits_for == (
        "it waits for people: only the judge's word proves benefit (untested: nobody has judged an answer yet, at "
        "least 90 answers are missing); burnish deploy ask asks people"
    )
    assert done.waits_for in in_words(project)
    told = burnish("deploy", "status", "--project", project.folder)
    assert done.waits_for in " ".join(told.err.split())
    assert champion(project.store).name == "old"
    asked(project, values[:20], people=PEOPLE[:1])
    few = step(project)
    assert few.act == "waits"
    assert "few-people: 3 reviewers are needed who share 30" in few.waits_for
    assert "at least 70 answers are missing" in few.waits_for
    asked(project, values[:20], people=PEOPLE[1:])
    asked(project, values[:SHARED])
    assert (step(project).act, champion(project.store).name) == ("ended", "new")


def test_a_judge_that_people_contradict_moves_nothing_up_and_by_hand_it_still_goes(project, canary):
    values = judged(project, canary, 0.75)
    random = Random(3)
    asked(project, [random.choice((1.0, -1.0)) for _ in values[:SHARED]])
    done = step(project)
    assert (done.act, done.found.is_judge_refused, champion(project.store).name) == ("waits", False, "old")
    assert "worse-than-people: " in done.waits_for or "little-agreement: " in done.waits_for
    promote_by_hand(project, "new", by="ann", reason="I have read them", force=False)
    assert champion(project.store).name == "new"


def test_harm_that_only_an_untested_judge_sees_rolls_back_at_once(project, canary):
    judged(project, canary, 0.1)
    done = step(project)
    assert (done.act, done.canary.moves[-1].outcome) == ("ended", "rolled back")


def test_what_users_say_needs_no_leave_of_anybody_beside_an_untested_judge(project, canary):
    judged(project, canary, 0.75)
    assert step(project).act == "waits"
    said = [CanaryOutcome(f"user {at}", at % 2 == 0, float(at % 2 == 0), at) for at in range(80)]
    add_outcomes(project.store, canary, said)
    assert (step(project).act, champion(project.store).name) == ("ended", "new")
