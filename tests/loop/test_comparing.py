"""Both versions of a canary compared on real conversations: blind, in both orders, resumable, held against people."""

import json
from collections.abc import Callable
from random import Random

import pytest

from burnish.betting import Outcome, differences
from burnish.errors import ConfigError, UsageError
from burnish.fakes import random_version
from burnish.loop.canary import start, step
from burnish.loop.comparing import ask_people, judge_canary, quote_canary
from burnish.loop.outcomes import look
from burnish.loop.preferred import gather_comparisons
from burnish.loop.project import Project, open_project
from burnish.loop.seeds import gather
from burnish.loop.stages import Shop, shop_outside_rounds
from burnish.loop.workbench import Workbench
from burnish.records import Message
from burnish.registry import champion, promote
from burnish.review.admission import FEWEST_REVIEWERS
from burnish.store.claims import Wish, decide_item
from burnish.store.comparisons import CanaryComparison, add_comparisons, canary_comparisons
from burnish.store.deployments import Canary, place_of
from burnish.store.outcomes import CanaryOutcome, add_outcomes, conversation_hash
from burnish.store.reviews import ReviewItem
from burnish.store.traffic import Remark, Spoken, append_feedback, append_traffic
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.cli.calls import burnish
from tests.loop.conftest import TOPICS
from tests.loop.test_canary import made
from tests.loop.test_decisions import desk
from tests.loopback import Act, Asked, Loopback, loopback, say

WHO = {"by": "ann", "reason": "tried out in a test"}
LATER = "2999-01-01T00:00:00+00:00"


@pytest.fixture
def project(tmp_path, small_base) -> Project:
    """Two versions of random weights that answer otherwise, one of them the champion."""
    made = desk(tmp_path / "desk", small_base, 60, **{"canary.shares": [0.5], "canary.least": 5})
    base = Workbench(made.settings, made.store.root, Silence()).base
    for seed, name in enumerate(("old", "new"), start=1):
        random_version(made.store, base, name, seed=seed, size=0.5, decision="PROMOTE")
    promote(made.store, "old", "first", "gate")
    return made


def talked(project: Project, canary: Canary, size: int) -> None:
    """So many conversations, each with the version that chance gives it."""
    rows = []
    for number in range(size):
        model = canary.challenger if place_of(canary, f"key {number}") < canary.share else canary.against
        opening = list(TOPICS.values())[number % 3][number % 2]
        turns = (Message(role="user", content=f"{opening} by {number * 7919} today"),)
        named = {"response_id": f"r{number}", "conversation": f"key {number}", "messages": turns}
        rows.append(Spoken(at=LATER, model=model, answer="login", probability=1.0, expires_at=LATER, **named))
    append_traffic(project.store, rows)


def shop_with(project: Project, server: Loopback) -> Shop:
    return shop_outside_rounds(open_project(project.folder, told_of(server)), Silence(), lambda: False)


def told_of(server: Loopback) -> list[str]:
    return [
        f"judge.base_url={server.address}",
        "judge.model=judge-1",
        "judge.usd_per_million_input=1.0",
        "judge.usd_per_million_output=2.0",
    ]


def by(choice: Callable[[str, str], str]) -> Callable[[int, Asked], Act]:
    """A judge that chooses so between the answers A and B."""

    def script(number: int, body: Asked) -> Act:
        data = json.loads(body["messages"][1]["content"])
        usage = {"prompt_tokens": 100, "completion_tokens": 5}
        return say(json.dumps({"better": choice(data["A"], data["B"])}), model="judge-1", usage=usage)

    return script


def later_word(a: str, b: str) -> str:
    return "A" if a > b else "B"


def test_a_judge_sees_two_answers_in_both_orders_and_no_names_and_each_conversation_once(project):
    canary = start(project, "new", mode="split", **WHO)
    talked(project, canary, 40)
    append_feedback(project.store, "r0", [Remark("up")])
    step(project)
    with loopback(by(later_word)) as server:
        shop = shop_with(project, server)
        quote = quote_canary(shop, count=20)
        assert server.asked == []
        found = judge_canary(shop, count=20)
        shown = [json.loads(body["messages"][1]["content"]) for body in server.asked]
        assert quote.num_new == len(server.asked) == 2 * (found.num_conversations - found.num_same) > 0
        assert quote.most_usd > 0
        pairs = sorted((one["message"][0]["text"], one["A"], one["B"]) for one in shown)
        assert pairs == sorted((text, b, a) for text, a, b in pairs), "each pair is asked both ways round"
        assert not any(name in json.dumps(one) for one in shown for name in ("old", "new", "challenger"))
        assert found.num_conversations == found.num_new == 20
        assert found.num_better + found.num_worse == 20 - found.num_same
        assert found.first.value == 0.5
        kept = canary_comparisons(project.store, canary)
        assert [one.is_challenger for one in kept] == [False, True] * 10, "in turn from either version"
        assert look(project, canary).gain.n >= 5, "two of them make a difference"
        assert conversation_hash(canary, "key 0") not in {one.conversation for one in kept}, "its user has spoken"
        rest = judge_canary(shop, count=1000)
        assert rest.num_new == rest.num_conversations > 0
        asked = len(server.asked)
        assert (judge_canary(shop, count=1000).num_conversations, len(server.asked)) == (0, asked)
    assert len({one.conversation for one in canary_comparisons(project.store, canary)}) == 20 + rest.num_new
    assert look(project, canary).num_compared == 20 + rest.num_new


def test_a_kill_loses_no_reply_and_a_judge_that_likes_the_first_answer_proves_nothing(project):
    canary = start(project, "new", mode="split", **WHO)
    talked(project, canary, 30)
    with loopback(by(lambda a, b: "A")) as server:
        killed = in_child(lambda: judge_canary(shop_with(project, server), count=16), "canary.compared=kill")
        assert (killed, canary_comparisons(project.store, canary)) == (KILLED, [])
        asked = len(server.asked)
        found = judge_canary(shop_with(project, server), count=16)
        assert len(server.asked) == asked == 2 * found.num_turned > 0
    assert (found.num_better, found.num_worse, found.num_new, found.first.value) == (0, 0, 16, 1.0)
    evidence = look(project, canary).evidence
    assert (evidence.harm, evidence.benefit) == (1.0, 1.0)


def test_people_are_asked_blind_teach_nothing_and_a_judge_that_leans_away_from_them_counts_no_more(project):
    canary = start(project, "new", mode="split", **WHO)
    talked(project, canary, 240)
    with loopback(by(later_word)) as server:
        shop = shop_with(project, server)
        found = judge_canary(shop, count=60)
        alone = look(project, canary)
        assert (alone.lean.n, alone.is_judge_refused) == (0, False)
        assert found.objection == "untested: nobody has judged an answer yet"
        items = ask_people(shop, count=60).items
        assert {(item.queue, item.purpose) for item in items} == {("preference", "canary")}
        assert len({item.draft_by for item in items}) == 2, "neither version is always A"
        assert sum(item.wanted == FEWEST_REVIEWERS for item in items) == found.num_conversations - found.num_same > 0
        equal = sum(one.by == "equal" for one in canary_comparisons(project.store, canary))
        assert equal - found.num_same == 60 - len(items) > 0, "where both answers are the same nobody is asked"
        more = ask_people(shop, count=40).items
        assert more
        assert not {item.example for item in more} & {item.example for item in items}
        for item in items:  # people find the opposite of what the judge does
            answer(project, item, "prefer-b" if later_word(item.draft, item.other) == "A" else "prefer-a")
        assert gather_comparisons(project, canary) == len(items)
        assert gather_comparisons(project, canary) == 0
        seen = look(project, canary)
        assert seen.lean.n == found.num_conversations - found.num_same
        assert seen.is_judge_refused
        assert (seen.gain.value or 0.0) * (alone.gain.value or 0.0) < 0, "now people's word counts"
        with pytest.raises(UsageError, match="the judge leans to one side"):
            judge_canary(shop, count=60)
    decided = gather(project).decided
    assert (decided.pairs, decided.rows) == ((), ())


def answer(project: Project, item: ReviewItem, kind: str) -> None:
    for number in range(item.wanted):
        decide_item(project.store, item.name, f"reviewer {number}", 1, Wish(kind), now_s=0.0)


def test_comparisons_move_a_canary_in_the_order_in_which_they_came_beside_users_outcomes(tmp_path):
    project = made(tmp_path / "desk", **{"canary.shares": [0.5]})
    canary = start(project, "new", mode="split", **WHO)
    add_outcomes(project.store, canary, [CanaryOutcome("a", True, 0.0, 1)])
    found = [CanaryComparison(name, at % 2 == 0, 1.0, "judge") for at, name in enumerate("ab")]
    assert add_comparisons(project.store, canary, found) == 2
    add_outcomes(project.store, canary, [CanaryOutcome("b", False, 1.0, 2), CanaryOutcome("c", False, 1.0, 3)])
    seen = look(project, canary)
    assert (seen.gain.value, seen.gain.n) == (-1.0, 1), "a and b count once, by what came first; b waits for its half"
    more = [CanaryComparison(f"{name}{at}", name == "x", 1.0, "people") for at in range(60) for name in "xy"]
    assert (add_comparisons(project.store, canary, more), add_comparisons(project.store, canary, more)) == (120, 0)
    done = step(project)
    assert (done.act, champion(project.store).name) == ("ended", "new")


def test_equal_versions_stay_equal_where_only_conversations_are_compared_that_nobody_complained_of():
    """Users complain of bad answers, so what is left of a version's own conversations speaks for that version."""
    random, outcomes = Random(3), []
    for _ in range(20_000):
        champion, challenger, is_challenger = random.random() < 0.6, random.random() < 0.6, random.random() < 0.2
        own = challenger if is_challenger else champion
        if own or random.random() < 0.3:
            outcomes.append(Outcome(is_challenger, float(challenger) - float(champion), "compared"))
    naive = sum(one.value for one in outcomes) / len(outcomes)
    gains = differences(outcomes)
    assert naive < -0.1
    assert (
        abs(sum(gains) / len(gains)) < 3 * 0.5 / len(gains) ** 0.5
    )  # three standard errors; the deviation is below 0.5


def test_what_cannot_be_compared_is_told_and_the_commands_quote_before_they_ask(project):
    words = ("--project", project.folder, "--json", "--quiet")
    shop = shop_outside_rounds(project, Silence(), lambda: False)
    with pytest.raises(UsageError, match="no canary runs"):
        ask_people(shop, count=4)
    assert burnish("deploy", "judge", *words).code == 78
    start(project, "new", mode="shadow", **WHO)
    with pytest.raises(UsageError, match="a shadow is compared with what users say"):
        ask_people(shop, count=4)
    with pytest.raises(ConfigError, match="no judge is set"):
        judge_canary(shop, count=4)
    assert burnish("deploy", "stop", "--by", "ann", "--reason", "a split instead", *words[:3]).code == 0
    canary = start(project, "new", mode="split", **WHO)
    talked(project, canary, 20)
    with loopback(by(later_word)) as server:
        named = [word for one in told_of(server) for word in ("--set", one)]
        quote = burnish("deploy", "judge", "--dry-run", "--count", 8, *words, *named).data["quote"]
        assert (quote["num_conversations"], server.asked) == (8, [])
        told = burnish("deploy", "judge", "--count", 8, *words, *named).data
        assert (told["num_new"], len(server.asked)) == (8, quote["num_new"])
    planned = burnish("deploy", "ask", "--count", 8, *words).data
    status = burnish("deploy", "status", *words[:3]).data["running"]
    assert planned["num_new"] + status["compared"] == 8 + 8, "each of 8 more is a question, or equal and counted"
    assert status["judge_refused"] is False
