"""People in a round: what it asks them, what it waits for, and what its report says of their part.

A round with `review.per_round` asks at its start, does what needs nobody, and then waits before it trains. With nobody
to ask it waits for nothing, and its report says what that leaves unproven.
"""

import json
from collections import Counter
from collections.abc import Sequence

from burnish.errors import WaitingError
from burnish.grammar import agree
from burnish.loop.decided import Decided, reviewed
from burnish.loop.minutes import STAGE
from burnish.loop.past import round_folder
from burnish.loop.reviewing import plan_preferences, plan_reviews
from burnish.loop.stages import Shop, score_stage, stage_costs
from burnish.records import Cost, Example, ModelVersion
from burnish.report.record import ReviewReport
from burnish.review.decisions import Outcome
from burnish.review.queue import SHARES
from burnish.review.skipped import unanswerable
from burnish.store.files import write_atomic
from burnish.store.reviews import review_items
from burnish.talk import Talk
from burnish.tune.rows import stratified

QUESTIONS_FILE = "questions.json"
"""In the folder of a round: what it asked, so that it asks once however often it is called."""
ROWS_A_PAIR = 4
"""Rows that two models answer for each pair to be compared: on most they agree."""


def tell_decisions(decided: Decided, talk: Talk) -> None:
    """Says aloud what people's decisions change in what is learned and measured."""
    changes = {
        "answers on file corrected": len(decided.corrections),
        "rows of their own to learn from": len(decided.rows),
        "rows out of scope, which train nothing": len(decided.out_of_scope),
    }
    if told := [f"{count:,} {what}" for what, count in changes.items() if count]:
        talk.say(f"people's decisions: {', '.join(told)}")


def ask_people(shop: Shop) -> None:
    """Puts the questions of this round into the queue, once, while `review.per_round` asks for any."""
    count = shop.project.settings.review.per_round
    file = round_folder(shop.project, shop.number) / QUESTIONS_FILE
    if not count or file.exists():
        return
    planned = plan_reviews(shop.project, count=count)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps({"items": [item.name for item in planned.items]}, indent=2).encode())
    shop.talk.say(f"review: {planned.num_new} new questions to people, about {planned.minutes:.0f} minutes in all")


def wait_for_people(shop: Shop) -> None:
    """Raises WaitingError while a batch lacks its audit or a blind label of dev_a its answer.

    Asks for the audits of batches, this round's among them, and for what settles conflicts. Waits for nobody where
    `review.per_round` is 0, and for no question that the budget left out.
    """
    if not shop.project.settings.review.per_round:
        return
    plan_reviews(shop.project, count=0)
    missing = waiting_answers(shop)
    if not missing.total():
        return
    told = ", ".join(f"{number} {what}" for what, number in missing.items() if number)
    raise WaitingError(
        f"round {shop.number} is waiting for {agree(missing.total(), 'answer', 'answers')} of people: {told}",
        hint="answer them (burnish review export, import), then give the same command again; "
        "--set review.per_round=0 goes on without them",
    )


def ask_preferences(shop: Shop, champion: ModelVersion, challenger: ModelVersion, shots: Sequence[Example]) -> None:
    """Asks which of the two models' answers to some rows of train are better, where a round learns from pairs.

    The answers train a later round. Both models answer four rows for each question that there may be.
    """
    settings = shop.project.settings
    count = round(settings.review.per_round * SHARES["preference"])
    if not count or settings.train.objective != "dpo":
        return
    rows = stratified(shop.seeds.of("train"), ROWS_A_PAIR * count, seed=settings.seed)
    first = score_stage(shop, champion, "train", shots=shots, examples=rows)
    second = score_stage(shop, challenger, "train", examples=rows)
    planned = plan_preferences(shop.project, shop.seeds, (first, second), count=count)
    shop.talk.say(f"review: {planned.num_new} new pairs of answers to compare")


def waiting_answers(shop: Shop) -> Counter[str]:
    """Answers that the round needs and nobody has given, by what they are for; nobody waits for a label that was
    skipped, nor for a row of an audit that everybody has skipped."""
    asked = {item.name for item in review_items(shop.project.store, with_withdrawn=False)}
    measuring = {row.id for row in shop.seeds.of("dev_a")}
    missing: Counter[str] = Counter()
    found = reviewed(shop.project)
    asked -= unanswerable(shop.project.store, found)
    for one in found:
        if one.item.name in asked and (what := _needed(shop, one, measuring)):
            skipped = 0 if one.item.purpose == "audit" else sum(entry.kind == "skip" for entry in one.decisions)
            missing[what] += max(0, one.item.wanted - one.num_answers - skipped)
    return missing


def _needed(shop: Shop, one: Outcome, measuring: set[str]) -> str:
    """What the answer to an item is for; empty where the round needs none."""
    if one.item.purpose == "audit":
        return f"for the audit of {one.item.batch}" if one.item.batch in shop.seeds.trusted.waiting else ""
    return "blind labels" if one.item.queue == "blind" and one.item.example in measuring else ""


def review_report(shop: Shop, preferred: str) -> ReviewReport:
    """People's part in the round."""
    decided, minutes = shop.seeds.decided, stage_costs(shop).get(STAGE, Cost()).reviewer_minutes
    roles = {row.id: role for role in ("train", "dev_a") for row in shop.seeds.of(role)}
    return ReviewReport(
        num_rows=len(decided.rows),
        num_corrected=dict(Counter(roles[name] for name in decided.corrections if name in roles)),
        num_out_of_scope=len(decided.out_of_scope),
        num_pairs=len(decided.pairs),
        num_thumbs=len(decided.judged),
        preferred=preferred,
        minutes=minutes,
        unproven=tuple(_unproven(shop)),
    )


def _unproven(shop: Shop) -> list[str]:
    """What nobody has judged, and what it costs the round."""
    told = []
    if waiting := shop.seeds.trusted.waiting:
        told.append(f"Nobody has judged {', '.join(waiting)}, so its rows trained nothing.")
    if unaudited := sorted(shop.seeds.trusted.unaudited):
        told.append(f"Nobody has judged {', '.join(unaudited)}: that its rows are right is not shown.")
    looked = {one.item.example for one in reviewed(shop.project) if one.item.queue == "blind" and one.settled}
    if looked.isdisjoint(row.id for row in shop.seeds.of("dev_a")):
        told.append("Nobody has checked the answers on file of dev_a; scores are only as right as these are.")
    return told
