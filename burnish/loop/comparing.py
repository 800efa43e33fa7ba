"""Both versions of a canary on the same conversations, compared by a judge or by people: evidence beside users' own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from burnish.client.ask import key_of
from burnish.client.purse import most_cost
from burnish.errors import ConfigError, UsageError
from burnish.fingerprint import fingerprint
from burnish.loop.canary_wait import judge_tested
from burnish.loop.conversations import Case, answered, cases_of, demand_split
from burnish.loop.decided import reviewed
from burnish.loop.duel import Duel, Judged, ask_which, duel_asks
from burnish.loop.outcomes import look
from burnish.loop.project import Project
from burnish.loop.reviewing import Planned, ask_these
from burnish.loop.rubric import CANARY
from burnish.loop.stages import Shop
from burnish.records import Interval
from burnish.review.admission import FEWEST_REVIEWERS
from burnish.review.queue import named
from burnish.store.comparisons import By, CanaryComparison, add_comparisons, canary_comparisons
from burnish.store.deployments import Canary
from burnish.store.replies import kept_replies
from burnish.store.reviews import ReviewItem

REASON = "Asked because two models are compared on real traffic. Which answer would you rather send as it stands?"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCanary:
    """What a judge made of conversations under a canary."""

    num_conversations: int
    num_same: int
    """Of which both versions gave the same answer; the judge was not asked."""
    num_new: int
    """Comparisons written down."""
    num_better: int
    """Challenger's answers that it prefers."""
    num_worse: int
    num_turned: int
    """In which the order of the two answers decided, which counts as a tie."""
    num_unusable: int
    """Replies that said nothing, which count as ties."""
    first: Interval
    """How often it prefers what comes first, of the replies that prefer anything; a half where order plays no part."""
    lean: Interval
    """Half of judge minus people, on all conversations of this canary that both have compared."""
    is_refused: bool
    """Whether that lean is proven; then none of the judge's comparisons counts."""
    objection: str
    """Why its comparisons alone move no canary up, beginning with a stable word and a colon; empty: they may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuelQuote:
    """What a judge would be asked, and what that costs at most."""

    num_conversations: int
    num_questions: int
    num_new: int
    """Those without a kept reply."""
    most_usd: float
    most_tokens: int
    is_priced: bool
    first: str
    """The first question, as it would be sent."""


def judge_canary(shop: Shop, *, count: int) -> JudgedCanary:
    """Has the judge compare both versions on `count` conversations that nobody spoke of, and writes down what it says.

    A kill loses the answers of the versions and no reply: the same call asks nothing twice. Raises ConfigError without
    a judge, UsageError without a canary that splits or with a judge that leans, and what `ask_which` raises.
    """
    canary, cases, duels = _opened(shop, count)
    judged = ask_which(shop, [one for one in duels if not one.is_same])
    values = {one.name: 0.0 for one in duels} | dict(judged.values)
    found = [
        CanaryComparison(case.key, case.is_challenger, values[one.name], _by(one))
        for case, one in zip(cases, duels, strict=True)
    ]
    num_new = add_comparisons(shop.project.store, canary, found)
    return _told(shop.project, canary, duels, judged, num_new)


def quote_canary(shop: Shop, *, count: int) -> DuelQuote:
    """The most that `judge_canary` would cost; both versions answer, and nothing is sent."""
    settings = shop.project.settings.judge
    _, _, duels = _opened(shop, count)
    asks = duel_asks(settings, [one for one in duels if not one.is_same], shop.seeds.task)
    kept = kept_replies(shop.project.store, [key_of(ask, settings) for ask in asks])
    fresh = [ask for ask in asks if key_of(ask, settings) not in kept]
    costs = [most_cost(ask, settings) for ask in fresh]
    return DuelQuote(
        num_conversations=len(duels),
        num_questions=len(asks),
        num_new=len(fresh),
        most_usd=sum(cost.usd for cost in costs),
        most_tokens=sum(cost.tokens for cost in costs),
        is_priced=settings.is_priced,
        first="\n\n".join(turn.content for turn in asks[0].messages) if asks else "",
    )


def ask_people(shop: Shop, *, count: int) -> Planned:
    """Puts both versions' answers to `count` conversations into the review queue, blind and in random order.

    Those that a judge has compared are among them, which is how a judge that leans is found. Until people bear it out
    these want three reviewers, as its test does. Raises UsageError without a canary that splits.
    """
    canary = demand_split(shop.project)
    said = canary_comparisons(shop.project.store, canary)
    asked = {one.item.example for one in reviewed(shop.project) if one.item.purpose == CANARY}
    known = {one.conversation for one in said if one.by != "judge"}
    cases = cases_of(shop, canary, known, count, asked)
    duels = answered(shop, canary, cases)
    same = [
        CanaryComparison(case.key, case.is_challenger, 0.0, "equal")
        for case, one in zip(cases, duels, strict=True)
        if one.is_same
    ]
    add_comparisons(shop.project.store, canary, same)
    judged = {one.conversation for one in said if one.by == "judge"}
    shared = judged if judged and judge_tested(shop.project, canary).objection else set()
    items = [
        replace(_item(canary, one, shop.project.settings.seed), wanted=FEWEST_REVIEWERS if case.key in shared else 1)
        for case, one in zip(cases, duels, strict=True)
        if not one.is_same
    ]
    return ask_these(shop.project, items)


def _opened(shop: Shop, count: int) -> tuple[Canary, list[Case], list[Duel]]:
    if not shop.project.settings.judge.is_set:
        raise ConfigError("no judge is set", hint="set judge.base_url and judge.model in burnish.yaml")
    canary = demand_split(shop.project)
    if look(shop.project, canary).is_judge_refused:
        raise UsageError(
            "the judge leans to one side, as people's answers to the same conversations show, so it is not asked",
            hint="ask people: burnish deploy ask",
        )
    store = shop.project.store
    known = {one.conversation for one in canary_comparisons(store, canary) if one.by != "people"}
    cases = cases_of(shop, canary, known, count)
    return canary, cases, answered(shop, canary, cases)


def _told(project: Project, canary: Canary, duels: Sequence[Duel], judged: Judged, num_new: int) -> JudgedCanary:
    seen, values = look(project, canary), judged.values.values()
    return JudgedCanary(
        num_conversations=len(duels),
        num_same=sum(one.is_same for one in duels),
        num_new=num_new,
        num_better=sum(value > 0 for value in values),
        num_worse=sum(value < 0 for value in values),
        num_turned=judged.num_turned,
        num_unusable=judged.num_unusable,
        first=judged.first,
        lean=Interval(**seen.lean._asdict()),
        is_refused=seen.is_judge_refused,
        objection=judge_tested(project, canary).objection,
    )


def _item(canary: Canary, one: Duel, seed: int) -> ReviewItem:
    told = [(one.champion, canary.against), (one.challenger, canary.challenger)]
    Random(fingerprint([seed, "order", canary.number, one.name])).shuffle(told)
    (draft, draft_by), (other, other_by) = told
    return named(
        ReviewItem(
            name="",
            queue="preference",
            purpose=CANARY,
            example=one.name,
            role="train",
            messages=one.prompt,
            draft=draft,
            draft_by=draft_by,
            other=other,
            other_by=other_by,
            reason=REASON,
            value=5.0,
        )
    )


def _by(one: Duel) -> By:
    return "equal" if one.is_same else "judge"
