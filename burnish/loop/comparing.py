"""Both versions of a canary on the same conversations, compared by a judge or by people: evidence beside users' own.

Both answer anew, and by the same path, what one of them had answered, so that neither is judged by a better day. Half
of the conversations come from either version: which users said nothing may depend on who answered.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from burnish.client.ask import key_of
from burnish.client.purse import most_cost
from burnish.errors import ConfigError, UsageError
from burnish.fingerprint import fingerprint
from burnish.loop.decided import SERVED, reviewed
from burnish.loop.duel import Duel, ask_which, duel_asks
from burnish.loop.flywheel import row_of
from burnish.loop.outcomes import arm_of, look
from burnish.loop.project import Project
from burnish.loop.reviewing import Planned, ask_these
from burnish.loop.rubric import CANARY
from burnish.loop.stages import Shop
from burnish.records import Example, Interval
from burnish.registry import get
from burnish.review.queue import named
from burnish.store.comparisons import By, CanaryComparison, add_comparisons, canary_comparisons
from burnish.store.deployments import Canary, running_canary
from burnish.store.outcomes import canary_outcomes, conversation_hash
from burnish.store.replies import kept_replies
from burnish.store.reviews import ReviewItem
from burnish.store.traffic import Spoken, find_traffic, traffic_since

AT_ONCE = 1000
STAGE = "compare"
REASON = "Asked because two models are compared on real traffic. Which answer would you rather send as it stands?"
VALUE_OF = {"prefer-a": 1.0, "prefer-b": -1.0, "tie": 0.0}
"""What a decision says of the answer called A."""


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


class _Case(NamedTuple):
    """A conversation to be compared."""

    key: str
    """Its hash."""
    is_challenger: bool
    """Who had answered it."""
    row: Example


def judge_canary(shop: Shop, *, count: int) -> JudgedCanary:
    """Has the judge compare both versions on `count` conversations that nobody spoke of, and writes down what it says.

    A kill loses the answers of the versions and no reply: the same call asks nothing twice. Raises ConfigError without
    a judge, UsageError without a canary that splits or with a judge that leans, and what `ask_which` raises.
    """
    canary, cases, duels = _opened(shop, count)
    open_duels = [one for one in duels if not one.is_same]
    judged = ask_which(shop, open_duels)
    values = {one.name: 0.0 for one in duels} | dict(judged.values)
    found = [
        CanaryComparison(case.key, case.is_challenger, values[one.name], _by(one))
        for case, one in zip(cases, duels, strict=True)
    ]
    num_new = add_comparisons(shop.project.store, canary, found)
    seen = look(shop.project, canary)
    return JudgedCanary(
        num_conversations=len(duels),
        num_same=len(duels) - len(open_duels),
        num_new=num_new,
        num_better=sum(value > 0 for value in values.values()),
        num_worse=sum(value < 0 for value in values.values()),
        num_turned=judged.num_turned,
        num_unusable=judged.num_unusable,
        first=judged.first,
        lean=Interval(**seen.lean._asdict()),
        is_refused=seen.is_judge_refused,
    )


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

    Those that a judge has compared are among them, which is how a judge that leans is found. Raises UsageError without
    a canary that splits.
    """
    canary = demand_split(shop.project)
    known = {one.conversation for one in canary_comparisons(shop.project.store, canary) if one.by != "judge"}
    asked = {one.item.example for one in reviewed(shop.project) if one.item.purpose == CANARY}
    cases = _cases(shop, canary, known, count, asked)
    duels = _answered(shop, canary, cases)
    same = [
        CanaryComparison(case.key, case.is_challenger, 0.0, "equal")
        for case, one in zip(cases, duels, strict=True)
        if one.is_same
    ]
    add_comparisons(shop.project.store, canary, same)
    items = [_item(canary, one, shop.project.settings.seed) for one in duels if not one.is_same]
    return ask_these(shop.project, items)


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
        found.append(CanaryComparison(_key(canary, spoken), is_challenger, sign * value, "people"))
    return add_comparisons(project.store, canary, found) if found else 0


def demand_split(project: Project) -> Canary:
    """The canary that runs. Raises UsageError where none does, or where users see the champion alone."""
    canary = running_canary(project.store)
    if canary is None:
        raise UsageError("no canary runs", hint="see `burnish deploy status`")
    if canary.plan.mode == "shadow":
        raise UsageError(
            "a shadow is compared with what users say is right, and only by that",
            hint="start the canary without --shadow to have answers compared by a judge or by people",
        )
    return canary


def _opened(shop: Shop, count: int) -> tuple[Canary, list[_Case], list[Duel]]:
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
    cases = _cases(shop, canary, known, count)
    return canary, cases, _answered(shop, canary, cases)


def _cases(shop: Shop, canary: Canary, known: Set[str], count: int, asked: Set[str] = frozenset()) -> list[_Case]:
    """The oldest conversations that are in no other evidence, at most half of `count` from either version."""
    known = known | {one.conversation for one in canary_outcomes(shop.project.store, canary)}
    chosen: dict[bool, list[_Case]] = {True: [], False: []}
    for case in _conversations(shop, canary):
        own = chosen[case.is_challenger]
        if case.key not in known and case.row.id not in asked and len(own) < max(1, count // 2):
            own.append(case)
    most = min(len(own) for own in chosen.values())
    return [case for own in chosen.values() for case in own[:most]]


def _conversations(shop: Shop, canary: Canary) -> Iterator[_Case]:
    """The first answer of each conversation since the canary began, where its text is kept."""
    seen, place, began = set(), 0, canary.moves[0].at
    while rows := traffic_since(shop.project.store, place, AT_ONCE, with_text=True):
        place = rows[-1].seq
        for spoken in rows:
            key = _key(canary, spoken)
            if spoken.at < began or key in seen:
                continue
            seen.add(key)
            is_challenger, row = arm_of(canary, spoken), row_of(spoken, shop.seeds.task)
            if is_challenger is not None and row is not None:
                yield _Case(key, is_challenger, row)


def _answered(shop: Shop, canary: Canary, cases: Sequence[_Case]) -> list[Duel]:
    """What both versions answer to each, greedily; nothing of it is kept, as traffic ends and these would not."""
    if not cases:
        return []
    rows, store = [case.row for case in cases], shop.project.store
    with shop.budget.measured(f"{shop.number:03d}/{STAGE}") as meter:
        said = [
            shop.bench.score(get(store, name), shop.seeds.task, rows) for name in (canary.against, canary.challenger)
        ]
        meter.add(tokens=sum(one.num_tokens for one in said))
    before, after = ({row.example: row.output for row in one.rows} for one in said)
    return [Duel(row.id, row.prompt, before[row.id], after[row.id]) for row in rows]


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


def _key(canary: Canary, spoken: Spoken) -> str:
    return conversation_hash(canary, spoken.conversation or spoken.response_id)
