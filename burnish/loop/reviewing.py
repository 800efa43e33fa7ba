"""The review of a project: what people are asked, and their claims and decisions, with the task's own rules.

Suggestions are shown on rows that train, never on rows that measure: of dev_a people see the question alone, or a
model's answer that they are to judge; of dev_b, vaults and audit nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from burnish.data.answers import parse_fields
from burnish.data.provenance import SYNTHETIC
from burnish.diagnose.gold import GoldCheck, check_gold, gold_queue
from burnish.diagnose.rows import text_of
from burnish.errors import UsageError
from burnish.fingerprint import fingerprint
from burnish.loop.asking import verdict_items
from burnish.loop.auditing import Held, held_batches, sample_of
from burnish.loop.flywheel import traffic_items
from burnish.loop.minutes import minutes_left
from burnish.loop.project import Project, moment
from burnish.loop.rubric import QUESTIONS
from burnish.loop.seeds import Seeds, gather
from burnish.records import Evaluation, Example, Task
from burnish.review.cost import LONGEST_S, ItemCost, item_costs
from burnish.review.decisions import Outcome, conflicts, outcomes, replay
from burnish.review.queue import (
    SHARES,
    Worth,
    coverage_of,
    doubled,
    draw,
    is_misled,
    named,
    queue_order,
    reason_of,
    value_of,
    with_checks,
)
from burnish.review.sheets import Imported, import_sheet, read_sheet
from burnish.store.claims import Claim, Wish, claim_items, decide_item, held_items
from burnish.store.leases import LEASE_S
from burnish.store.recent import Recent, Spent, checks_of, recent_of, recent_spent
from burnish.store.reviews import (
    Queue,
    ReviewDecision,
    ReviewItem,
    add_items,
    review_items,
    review_log,
)
from burnish.store.roles import current_roles, is_hidden

FOR_GOLD = "Asked because answers on file are checked from time to time."
FOR_AUDIT = "Asked because made rows train only after people have judged a sample of them."
FOR_CALIBRATION = "Asked because judges are compared with people on a random sample."
FOR_CONFLICT = "Asked because two reviewers disagreed."


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a plan adds to the queue."""

    items: tuple[ReviewItem, ...]
    num_new: int
    minutes: float
    """That all of them are thought to take."""
    is_limited: bool = False
    """True where `budget.reviewer_minutes` left some out."""


def plan_reviews(project: Project, *, count: int, answers: tuple[Evaluation, Evaluation] | None = None) -> Planned:
    """Asks people about `count` rows or so, and all rows of the audits that wait; the same plan again adds nothing.

    Two fifths are blind labels of dev_a, two fifths corrections of train, and a fifth preferences between `answers` of
    two models to rows of train, where they are given. Where answers are texts and a round has answered dev_a, people
    judge its answers in place of the first two. Fewer where `budget.reviewer_minutes` has no room for all: audits
    come first, each whole or not at all, then what settles conflicts. Raises DataError without data.
    """
    seeds, known, log = gather(project), review_items(project.store), review_log(project.store)
    costs, is_within = item_costs(known, log), _room(project, known, log)
    disputed = _conflict_items(outcomes(known, log), current_roles(project.store))
    first = [*_audits(project, seeds.task), *([item] for item in disputed)]
    items: list[ReviewItem] = []
    for part in first:
        items += part if is_within([*items, *part]) else []
    is_limited = len(items) < sum(map(len, first))
    if count:
        planned, asked = _planner(project, seeds, known, log, answers), count
        while not is_within([*items, *(more := planned(asked))]) and asked:
            asked = asked * 4 // 5
        items, is_limited = [*items, *more], is_limited or asked < count
    refuse_measuring(items)
    num_new = add_items(project.store, items)
    return Planned(items=tuple(items), num_new=num_new, minutes=_minutes(items, costs), is_limited=is_limited)


def plan_preferences(project: Project, seeds: Seeds, answers: tuple[Evaluation, Evaluation], *, count: int) -> Planned:
    """Asks people which of two models' answers to rows of train are better, about `count` rows or as many as there are
    minutes for; the same again adds nothing."""
    known, log = review_items(project.store), review_log(project.store)
    is_within, asked = _room(project, known, log), count
    while not is_within(items := preference_items(seeds, *answers, asked, project.settings.seed)):
        asked = asked * 4 // 5
    refuse_measuring(items)
    minutes = _minutes(items, item_costs(known, log))
    return Planned(
        items=tuple(items), num_new=add_items(project.store, items), minutes=minutes, is_limited=asked < count
    )


def plan_traffic(project: Project, *, count: int) -> Planned:
    """Asks people about `count` served answers, or as many as there are minutes for; none is asked about twice.

    Raises DataError without data.
    """
    seeds, known, log = gather(project), review_items(project.store), review_log(project.store)
    is_within, asked = _room(project, known, log), count
    while not is_within(items := traffic_items(project, seeds, known, count=asked)):
        asked = asked * 4 // 5
    num_new, minutes = add_items(project.store, items), _minutes(items, item_costs(known, log))
    return Planned(items=tuple(items), num_new=num_new, minutes=minutes, is_limited=asked < count)


def _room(
    project: Project, known: Sequence[ReviewItem], log: Sequence[ReviewDecision]
) -> Callable[[Sequence[ReviewItem]], bool]:
    """Whether there are minutes left for the new ones among some items."""
    costs, names = item_costs(known, log), {item.name for item in known}
    left = minutes_left(project, known, log, costs)
    return lambda items: left is None or _minutes([one for one in items if one.name not in names], costs) <= left


def _planner(
    project: Project,
    seeds: Seeds,
    known: Sequence[ReviewItem],
    log: Sequence[ReviewDecision],
    answers: tuple[Evaluation, Evaluation] | None,
) -> Callable[[int], list[ReviewItem]]:
    """A function that gives the questions of a plan about so many rows."""
    seed, cost = project.settings.seed, item_costs(known, log)["correction"]
    check = _gold_check(seeds, seed) if seeds.task.kind == "label" else None
    held = {key.item for key in replay(log)}
    done = {item.example for item in known if item.name in held and item.purpose != "calibration"}

    def planned(count: int) -> list[ReviewItem]:
        num_blind, num_fixed, num_pairs = (round(count * share) for share in SHARES.values())
        verdicts = verdict_items(project, seeds, outcomes(known, log), count=num_blind + num_fixed)
        items = verdicts or _blind_items(seeds, check, known, num_blind, done, seed)
        items += _corrections(seeds, check, num_fixed, cost, done, seed)
        return items + (preference_items(seeds, *answers, num_pairs, seed) if answers else [])

    return planned


def _minutes(items: Sequence[ReviewItem], costs: Mapping[Queue, ItemCost]) -> float:
    return sum(item.wanted * costs[item.queue].minutes for item in items)


def _audits(project: Project, task: Task) -> list[list[ReviewItem]]:
    """The blind sample of each batch that waits for its audit: labels without a draft, other answers to be judged."""
    waiting = [held for held in held_batches(project) if held.audit.status == "not audited"]
    samples = [(held, sample_of(project, held)) for held in waiting]
    return [[_audit_item(held, row, task, len(sample)) for row in sample] for held, sample in samples]


def preference_items(seeds: Seeds, first: Evaluation, second: Evaluation, count: int, seed: int) -> list[ReviewItem]:
    """Rows of train on which two models' answers differ, as pairs in random order; the least sure come first."""
    rows = {row.id: row for row in seeds.of("train")}
    other = {row.example: row for row in second.rows}
    pairs = [(one, other[one.example]) for one in first.rows if one.example in rows and one.example in other]
    items = []
    for one, two in pairs:
        if one.output.strip() == two.output.strip():
            continue
        told = [(one.output, first.model), (two.output, second.model)]
        Random(fingerprint([seed, "order", one.example])).shuffle(told)
        gap = abs((one.logprob or 0.0) - (two.logprob or 0.0))
        worth = Worth(uncertainty=0.0, disagreement=1 / (1 + gap))
        (draft, draft_by), (answer, answer_by) = told
        item = _item(rows[one.example], "preference", "preference", "train", worth, draft=draft, draft_by=draft_by)
        items.append(named(replace(item, other=answer, other_by=answer_by)))
    ordered = sorted(items, key=lambda item: (-item.value, item.name))
    return doubled(ordered[:count], seed=seed)


def refuse_measuring(items: Sequence[ReviewItem]) -> None:
    """An AssertionError where a row that measures would be shown, or a suggestion on a row of dev_a."""
    for item in items:
        assert not is_hidden(item.role), f"{item.example} measures as {item.role}: nobody sees it"
        is_judged = item.purpose in (question.purpose for question in QUESTIONS)
        assert item.role != "dev_a" or item.queue == "blind" or is_judged, f"a suggestion on {item.example} of dev_a"


def claim(project: Project, reviewer: str, *, now_s: float, count: int = 1, lease_s: float = LEASE_S) -> list[Claim]:
    """The next items of a reviewer, from the queue that is furthest below its share of people's minutes."""
    held = held_items(project.store, reviewer, now_s=now_s, count=count, lease_s=lease_s)
    if held is not None:
        return held
    order = queues_of(project, reviewer)
    return claim_items(project.store, reviewer, now_s=now_s, queues=order, count=count, lease_s=lease_s)


def queues_of(project: Project, reviewer: str) -> tuple[Queue, ...]:
    """The queues that this reviewer is asked from, the one to be asked from first in front.

    Whoever is misled by drafts, as the hidden checks tell, gets no corrections.
    """
    with moment(project) as seen:
        return queues_by(recent_spent(seen.store, longest_s=LONGEST_S), recent_of(seen.store, reviewer))


def queues_by(spent: Mapping[Queue, Spent], own: Sequence[Recent]) -> tuple[Queue, ...]:
    """The same, by what recent decisions took and by the reviewer's own."""
    order = queue_order(spent)
    return tuple(queue for queue in order if queue != "correction" or not is_misled(*checks_of(own)))


def decide(
    project: Project, task: Task, name: str, reviewer: str, turn: int, wish: Wish, *, now_s: float
) -> ReviewDecision:
    """Writes a decision down and keeps another item for the reviewer; a label has to be one of the task's.

    Raises what `decide_item` raises.
    """
    refuse_strange(task, wish)
    order = queues_of(project, reviewer)
    return decide_item(project.store, name, reviewer, turn, wish, now_s=now_s, then=order)


def refuse_strange(task: Task, wish: Wish) -> None:
    """Raises UsageError for an answer that is none of a label task's, or no JSON object where fields are wanted."""
    if task.kind == "label" and wish.kind in ("label", "edit", "gold-wrong") and wish.text not in task.labels:
        shown = ", ".join(task.labels[:12])
        raise UsageError(f"{wish.text[:60]!r} is no label of this task", hint=f"give one of {shown}")
    if task.kind == "fields" and wish.kind in ("label", "edit", "gold-wrong") and parse_fields(wish.text) is None:
        shown = ", ".join(task.fields)
        raise UsageError(f"{wish.text[:60]!r} is no JSON object", hint=f"give one with the fields {shown}")


def take_sheet(project: Project, task: Task, file: Path, reviewer: str, *, now_s: float) -> Imported:
    """Writes the decisions of a filled sheet down. Raises DataError, nothing written, on a file that is none, and
    UsageError on a label that is none of the task's."""
    filled = read_sheet(file)
    for one in filled:
        refuse_strange(task, one.wish)
    return import_sheet(project.store, filled, reviewer, now_s=now_s)


def _gold_check(seeds: Seeds, seed: int) -> GoldCheck:
    rows = [*seeds.of("train"), *seeds.of("dev_a")]
    texts = [text_of(row) for row in rows]
    return check_gold(
        [row.id for row in rows], texts, [row.answer for row in rows], [row.group for row in rows], seed=seed
    )


def _item(row: Example, queue: Queue, purpose: str, role: str, worth: Worth, **fields: str) -> ReviewItem:
    return named(
        ReviewItem(
            name="",
            queue=queue,
            purpose=purpose,
            example=row.id,
            role=role,
            messages=row.prompt,
            given=row.answer,
            value=value_of(worth, 1.0),
            reason=fields.pop("reason", "") or reason_of(worth),
            **fields,  # type: ignore[arg-type]
        )
    )


def _audit_item(held: Held, row: Example, task: Task, num_drawn: int) -> ReviewItem:
    is_blind = task.kind == "label"
    queue: Queue = "blind" if is_blind else "correction"
    fields = {} if is_blind else {"draft": row.answer, "draft_by": held.name}
    item = _item(row, queue, "audit", SYNTHETIC, Worth(uncertainty=1.0), reason=FOR_AUDIT, batch=held.name, **fields)
    return replace(item, probability=num_drawn / len(held.rows), value=2.0)


def _conflict_items(found: Sequence[Outcome], roles: Mapping[str, str]) -> list[ReviewItem]:
    """The question again, for somebody who has not answered it; not about a row that nobody sees any more."""
    return [
        named(
            replace(
                one.item,
                settles=one.item.name,
                purpose=one.item.purpose,
                not_by=tuple(sorted({decision.reviewer for decision in one.decisions})),
                wanted=1,
                value=one.item.value + 4.0,
                reason=FOR_CONFLICT,
            )
        )
        for one in conflicts(found)
        if not is_hidden(roles.get(one.item.example, one.item.role))
    ]


def _blind_items(
    seeds: Seeds,
    check: GoldCheck | None,
    known: Sequence[ReviewItem],
    count: int,
    done: Collection[str],
    seed: int,
) -> list[ReviewItem]:
    """dev_a without a suggestion: half a symmetric check of its gold by two reviewers each, half a known-probability
    sample for judges. That is drawn once for the rows of a dev_a: a second draw would belie the first's probabilities.

    Gold that was asked about and answered is `done`: nobody is asked for it again.
    """
    rows = {row.id: row for row in seeds.of("dev_a")}
    plain = Worth(uncertainty=1.0)
    gold: list[ReviewItem] = []
    if check:
        own = replace(
            check,
            suspects=tuple(one for one in check.suspects if one.example in rows.keys() - done),
            agreements=tuple(one for one in check.agreements if one in rows.keys() - done),
        )
        chosen = gold_queue(own, most=count // 2, seed=seed)
        gold = [_item(rows[one], "blind", "gold", "dev_a", plain, reason=FOR_GOLD) for one in chosen]
        gold = [replace(item, wanted=2, value=Random(item.name).random()) for item in gold]
    before = [item for item in known if item.purpose == "calibration" and item.example in rows]
    if before:
        return gold + before
    plain_rows = [_item(row, "blind", "calibration", "dev_a", plain, reason=FOR_CALIBRATION) for row in rows.values()]
    drawn = draw(plain_rows, [1.0] * len(rows), count - len(gold), seed=seed) if count > len(gold) else []
    return gold + doubled(drawn, seed=seed)


def _corrections(
    seeds: Seeds, check: GoldCheck | None, count: int, cost: ItemCost, done: Collection[str], seed: int
) -> list[ReviewItem]:
    """Doubted answers of train, the answer on file as the draft, dearest first, hidden wrong drafts among them."""
    if check is None:
        return []
    rows = {row.id: row for row in seeds.of("train")}
    suspects = [one for one in check.suspects if one.example in rows and one.example not in done]
    slices = [rows[one.example].answer for one in suspects]
    seen = [rows[one].answer for one in done if one in rows]
    items = []
    for suspect, coverage in zip(suspects, coverage_of(slices, seen), strict=True):
        row = rows[suspect.example]
        worth = Worth(uncertainty=(1 + suspect.margin) / 2, coverage=coverage)
        item = _item(row, "correction", "gold", "train", worth, draft=row.answer)
        items.append(replace(item, value=value_of(worth, cost.minutes)))
    ordered = sorted(items, key=lambda item: (-item.value, item.name))[:count]
    return with_checks(doubled(ordered, seed=seed), _checks(seeds, check, len(ordered), seed), seed=seed)


def _checks(seeds: Seeds, check: GoldCheck, count: int, seed: int) -> list[ReviewItem]:
    """Rows of train that nothing speaks against, under an answer that is not theirs."""
    trusted = {*check.agreements}
    rows = [row for row in seeds.of("train") if row.id in trusted]
    random = Random(fingerprint([seed, "wrong drafts", len(rows)]))
    chosen = random.sample(rows, min(count, len(rows)))
    names = sorted({row.answer for row in rows})
    found = []
    for row in chosen:
        wrong = random.choice([name for name in names if name != row.answer] or [""])
        if wrong:
            found.append(_item(row, "correction", "gold", "train", Worth(uncertainty=0.5), draft=wrong))
    return found
