"""Items that ask people about the answers of two models, blind to which is whose and to what a judge says.

They go through the rows in one random order (loop/answers.py), so that whatever is done is a random sample; the first
of them want three reviewers where there is a judge to be tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from burnish.fingerprint import fingerprint
from burnish.loop.answers import AnswerPair, Answers, in_order, last_answers, pieces_of, visible
from burnish.loop.calibration import peoples_verdicts, questions_of
from burnish.loop.project import Project
from burnish.loop.rubric import RIGHT, Question
from burnish.loop.seeds import Seeds
from burnish.records import Example
from burnish.review.admission import FEWEST_REVIEWERS
from burnish.review.decisions import Outcome
from burnish.review.queue import doubled, named
from burnish.store.reviews import ReviewItem

SHARED_ITEMS = 60
"""Items of each question that three reviewers answer; the test of a judge wants 50 to 100 of them."""
SUPPORT_SHARE = 1 / 3
"""Of the items, those that ask about support, where that is asked."""


def verdict_items(
    project: Project, seeds: Seeds, found: Sequence[Outcome], *, count: int, shared: int = SHARED_ITEMS
) -> list[ReviewItem]:
    """About `count` answers of the last round to be judged, those first that come first in the order of all rows.

    Answers that people have judged already, in whatever round, are left out, and so are rows that both models answer
    alike. Empty where answers are no texts, or no round has answered any.
    """
    last = last_answers(project) if seeds.task.kind == "text" else None
    if last is None:
        return []
    answers, rows = visible(last[1], seeds)
    told = peoples_verdicts(found)
    has_judge = project.settings.judge.is_set
    questions = questions_of(seeds) if has_judge else (RIGHT,)
    num_support = round(count * SUPPORT_SHARE) if len(questions) > 1 else 0
    items: list[ReviewItem] = []
    for question in questions:
        known = {one.piece.key for one in told[question]}
        most = count - num_support if question is RIGHT else num_support
        wanted = max(0, shared - len(known)) if has_judge else 0
        fresh = _items(answers, rows, question, known, most, project.settings.seed)
        items += [replace(item, wanted=FEWEST_REVIEWERS) if at < wanted else item for at, item in enumerate(fresh)]
    roles = {row.id: role for role in ("dev_a", "train") for row in seeds.of(role)}
    placed = [named(replace(item, role=roles[item.example])) for item in items]
    return doubled(placed, seed=project.settings.seed)


def _items(
    answers: Answers, rows: Mapping[str, Example], question: Question, known: set[str], most: int, seed: int
) -> list[ReviewItem]:
    items: list[ReviewItem] = []
    ordered = in_order(answers.rows, seed)
    for at, pair in enumerate(ordered):
        if len(items) >= most:
            break
        value = (1 - at / len(ordered)) * (1.0 if question is RIGHT else 1e-3)
        if not pair.is_same:
            items += _both(answers, pair, rows, question, known, seed, value)
    return items


def _both(
    answers: Answers,
    pair: AnswerPair,
    rows: Mapping[str, Example],
    question: Question,
    known: set[str],
    seed: int,
    value: float,
) -> list[ReviewItem]:
    """The answers of one row that nobody has judged, in random order."""
    row = rows[pair.example]
    names = (answers.champion, answers.challenger)
    items = [
        ReviewItem(
            name="",
            queue="correction",
            purpose=question.purpose,
            example=row.id,
            role="",
            messages=row.prompt,
            draft=piece.answer,
            draft_by=name,
            given=row.answer,
            value=value,
            reason=question.reason,
        )
        for piece, name in zip(pieces_of(pair, row), names, strict=True)
        if piece.key not in known and piece.answer.strip()
    ]
    Random(fingerprint([seed, "order", row.id])).shuffle(items)
    return items
