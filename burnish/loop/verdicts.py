"""A judge at work: its verdicts on answers, blind to who wrote them, each asked once and kept like every reply.

The questions go out in random order, so that an endpoint that changes on the way changes for both models alike.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from random import Random

from burnish.client.ask import Ask
from burnish.client.teacher import Teacher
from burnish.config import EndpointSettings
from burnish.fingerprint import fingerprint
from burnish.loop.rubric import Piece, Question, Verdicts, judging, read_verdict, rules_of
from burnish.loop.stages import Shop
from burnish.loop.teaching import open_teacher
from burnish.records import Task
from burnish.review.admission import judge_version


def ask_judge(shop: Shop, asked: Mapping[Question, Sequence[Piece]]) -> dict[Question, Verdicts]:
    """The verdicts on all pieces of each question; what is kept costs nothing.

    Raises what `open_teacher` and `Teacher.answers` raise.
    """
    settings = shop.project.settings.judge
    with closing(open_teacher(shop, settings, "judge")) as judge:
        return {question: _verdicts(judge, question, pieces, shop.seeds.task) for question, pieces in asked.items()}


def judge_asks(settings: EndpointSettings, question: Question, pieces: Sequence[Piece], task: Task) -> list[Ask]:
    """The questions that these pieces take, one for each; nothing is sent."""
    return [_ask(settings, question, piece, task) for piece in _shuffled(pieces)]


def version_of(settings: EndpointSettings, question: Question, models: Sequence[str]) -> str:
    """Identity of a judge: its endpoint, who answered there, the rules of the question and how it decodes."""
    return judge_version(
        endpoint=settings.base_url,
        model=settings.model,
        answered_by=", ".join(sorted(models)),
        rubric=question.name,
        prompt=rules_of(question),
        decoding=f"temperature 0, json {settings.json_mode}, {settings.max_new_tokens} tokens",
    )


def _verdicts(judge: Teacher, question: Question, pieces: Sequence[Piece], task: Task) -> Verdicts:
    ordered = _shuffled(pieces)
    asks = [_ask(judge.settings, question, piece, task) for piece in ordered]

    def fault_of(text: str, at: int) -> str:
        return read_verdict(text, question, ordered[at]).fault

    answers = judge.answers(asks, fault_of, name=f"judge: {question.name}")
    said = {piece.key: question.if_empty for piece in pieces if not piece.answer.strip()}
    told = {
        piece.key: read_verdict(answer.text, question, piece).is_yes if answer.text else None
        for piece, answer in zip(ordered, answers, strict=True)
    }
    models = Counter(answer.model for answer in answers if answer.text)
    return Verdicts(
        version=version_of(judge.settings, question, list(models)),
        said={**said, **told},
        models=dict(sorted(models.items())),
    )


def _ask(settings: EndpointSettings, question: Question, piece: Piece, task: Task) -> Ask:
    return Ask(messages=judging(question, piece, task), max_new_tokens=settings.max_new_tokens)


def _shuffled(pieces: Sequence[Piece]) -> list[Piece]:
    """Each answer that says anything once, in an order that neither models nor rows decide."""
    by_key = {piece.key: piece for piece in pieces if piece.answer.strip()}
    found = [by_key[key] for key in sorted(by_key)]
    Random(fingerprint(["judge", [piece.key for piece in found]])).shuffle(found)
    return found
