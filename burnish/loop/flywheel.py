"""Served answers as questions to people: what users objected to, what the model was unsure of, and a random rest.

People confirm or write the answer before it trains anything, a user's correction too. Each answer is asked about once,
and none whose prompt is close to a row that measures.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

from burnish.data.dedup import prompt_text
from burnish.data.provenance import TRAFFIC
from burnish.data.shapes import RowFault, checked_turns
from burnish.diagnose.rows import text_of
from burnish.fingerprint import fingerprint
from burnish.loop.decided import example_of
from burnish.loop.project import Project
from burnish.loop.seeds import Seeds
from burnish.loop.trusted import clean
from burnish.records import Example, Message, Task
from burnish.review.queue import doubled, named
from burnish.store.barred import barred
from burnish.store.reviews import ReviewItem
from burnish.store.traffic import Feedback, Spoken, feedback_of, newest_traffic

MOST_LOOKED_AT = 20_000
"""The newest answers; what is older was there for earlier plans."""
FLAGGED_SHARE = 0.75
"""Most that flagged answers take of a plan: without a random rest nobody would see what nobody complains about."""
UNSURE_SHARE, FEWEST_TO_RANK = 0.1, 20
"""The part of a version's answers that counts as unsure, and of how many answers there is such a part."""
SLICE_SHARE = 0.5
"""Most that slices of traffic take of a plan, drawn by chance among their answers: so people say how good those are."""
VALUES = {"correction": 4.0, "down": 3.0, "slice": 2.5, "unsure": 2.0, "": 1.0}
REASONS = {
    "correction": "Asked because a user wrote another answer than the model's.",
    "down": "Asked because a user was not content with the answer.",
    "slice": "Asked because more and more requests are of this kind.",
    "unsure": "Asked because the model was unsure of its answer.",
    "": "Asked because some of what is served is looked at.",
}


class Candidate(NamedTuple):
    """An answer that people may be asked about."""

    spoken: Spoken
    row: Example
    """Its prompt and answer as an example."""
    flag: str
    """correction, down, unsure; empty: nothing speaks against it."""
    correction: str
    """The user's last one."""


def traffic_items(project: Project, seeds: Seeds, known: Sequence[ReviewItem], *, count: int) -> list[ReviewItem]:
    """About `count` served answers to ask about, flagged ones first; fewer where there are no more.

    Up to half are drawn from slices of traffic that people accepted, so whatever is flagged.
    """
    every = _candidates(project, seeds, {item.example for item in known if item.purpose == TRAFFIC})
    random = Random(fingerprint([project.settings.seed, "traffic", len(known)]))
    inside = [one for one in every if any(place.holds(text_of(one.row)) for place in seeds.slices)]
    items = _by_chance(inside, seeds.task, "slice", round(SLICE_SHARE * count), random)
    asked, count = {item.example for item in items}, count - len(items)
    flagged = [one for one in every if one.flag and one.row.id not in asked]
    flagged.sort(key=lambda one: (-VALUES[one.flag], -one.spoken.seq))
    plain = [one for one in every if not one.flag and one not in inside]
    chosen = flagged[: max(round(FLAGGED_SHARE * count), count - len(plain))]
    items += [_item(one, seeds.task, one.flag, None) for one in chosen]
    rest = _by_chance(plain, seeds.task, "", count - len(chosen), random)
    items += [replace(item, value=random.random()) for item in rest]
    return doubled([named(item) for item in items], seed=project.settings.seed)


def is_by_slice(item: ReviewItem) -> bool:
    """Whether a question was drawn by chance among the answers of slices of traffic."""
    return item.purpose == TRAFFIC and item.reason == REASONS["slice"]


def _by_chance(pool: Sequence[Candidate], task: Task, why: str, most: int, random: Random) -> list[ReviewItem]:
    """So many of these answers or all of them, each with the probability with which it came here."""
    drawn = random.sample(pool, min(most, len(pool)))
    items = []
    for one in drawn:
        kept = one.spoken.probability
        items.append(_item(one, task, why, None if kept is None else kept * len(drawn) / len(pool)))
    return items


def _candidates(project: Project, seeds: Seeds, asked: Collection[str]) -> list[Candidate]:
    """Answers that could train: conversations that nobody was asked about, that no example has, and that measure
    nothing; of the same prompt the newest."""
    spoken = newest_traffic(project.store, MOST_LOOKED_AT, with_text=True)
    said = feedback_of(project.store, [one.response_id for one in spoken])
    limits = _unsure_below(spoken)
    gone = {*asked, *(one.example for one in barred(project.store))}
    taken = {prompt_text(row) for rows in seeds.by_role.values() for row in rows}
    found: list[Candidate] = []
    for one in spoken:
        row = row_of(one, seeds.task)
        if row is None or row.id in gone or (text := prompt_text(row)) in taken:
            continue
        taken.add(text)
        flag, correction = _flag(one, said.get(one.response_id, ()), limits)
        found.append(Candidate(one, row, flag, correction))
    kept = clean(project, seeds.protected, [one.row for one in found])
    return [one for one, is_kept in zip(found, kept, strict=True) if is_kept]


def row_of(spoken: Spoken, task: Task) -> Example | None:
    """The answer as an example; None where it is no conversation with an answer."""
    told = [turn for turn in spoken.messages if turn.role != "system" or turn.content != task.instruction]
    if not spoken.has_text or spoken.endpoint == "completions" or not told or told[-1].role != "user":
        return None
    try:
        turns = checked_turns((*told, Message(role="assistant", content=spoken.answer)))
    except RowFault:
        return None
    name = example_of(spoken.response_id)
    return Example(id=name, messages=turns, group=name, source=name)


def _flag(spoken: Spoken, said: Sequence[Feedback], limits: Mapping[str, float]) -> tuple[str, str]:
    """What speaks against an answer, the gravest first, and the user's correction."""
    correction = next((one.value for one in reversed(said) if one.kind == "correction"), "")
    if correction.strip() and correction.strip() != spoken.answer.strip():
        return "correction", correction.strip()
    thumb = next((one.kind for one in reversed(said) if one.kind in ("up", "down")), "")
    if thumb == "down":
        return "down", ""
    is_unsure = thumb != "up" and _per_token(spoken) < limits.get(spoken.model, float("-inf"))
    return ("unsure" if is_unsure else ""), ""


def _per_token(spoken: Spoken) -> float:
    """The mean log-probability of the answer's tokens, in nats; 0 where it is not known, which is sure."""
    return (spoken.logprob or 0.0) / max(1, spoken.num_answer or 1)


def _unsure_below(spoken: Sequence[Spoken]) -> dict[str, float]:
    """By version the mean log-probability below which a tenth of its answers are."""
    by_model: dict[str, list[float]] = {}
    for one in spoken:
        if one.logprob is not None:
            by_model.setdefault(one.model, []).append(_per_token(one))
    return {
        name: sorted(own)[int(UNSURE_SHARE * len(own))] for name, own in by_model.items() if len(own) >= FEWEST_TO_RANK
    }


def _item(one: Candidate, task: Task, why: str, probability: float | None) -> ReviewItem:
    """Labels are asked blind; of texts the user's correction, or the served answer, is the draft."""
    is_blind = task.kind == "label"
    draft = "" if is_blind else one.correction or one.row.answer
    return ReviewItem(
        name="",
        queue="blind" if is_blind else "correction",
        purpose=TRAFFIC,
        example=one.row.id,
        role="train",
        messages=one.row.prompt,
        draft=draft,
        draft_by="" if is_blind or one.correction else one.spoken.model,
        given=one.row.answer,
        reason=REASONS[why],
        probability=probability,
        value=VALUES[why],
    )
