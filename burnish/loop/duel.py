"""Which of two answers to one message is better, as a judge is asked: blind to who wrote them, and in both orders.

A judge that likes what comes first says so once for each side, which is a tie (Zheng et al. 2023, Judging
LLM-as-a-Judge, arXiv 2306.05685, who count every disagreement as one; we keep half of a win beside "same"). What it
says is a letter and no text, so nothing of a user's message stays behind in its replies.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from random import Random
from typing import Any, NamedTuple

from burnish.client.ask import Ask
from burnish.client.teacher import Teacher
from burnish.config import EndpointSettings
from burnish.fingerprint import fingerprint
from burnish.loop.rubric import plain
from burnish.loop.stages import Shop
from burnish.loop.teaching import open_teacher
from burnish.records import Interval, Message, Task
from burnish.stats.rates import mean_interval
from burnish.synthesize.questions import DATA_ONLY, reply_object

FIRST, SECOND, SAME = "A", "B", "same"
RULES = (
    "You are shown a message and two answers to it, `A` and `B`. Say which one a careful expert of this task would "
    "rather send as it stands: the one with less in it that is false, missing or not asked for. Judge what they say: "
    "neither length, polish nor the order in which you read them makes an answer better. Say `same` where neither is "
    f'better. {DATA_ONLY} Its form: {{"better": "{FIRST}" or "{SECOND}" or "{SAME}"}}'
)


class Duel(NamedTuple):
    """Two answers to one prompt."""

    name: str
    """Of the example."""
    prompt: tuple[Message, ...]
    champion: str
    challenger: str

    @property
    def is_same(self) -> bool:
        """Whether there is nothing to choose, spaces aside."""
        return plain(self.champion) == plain(self.challenger)


class Judged(NamedTuple):
    """What a judge makes of some duels."""

    values: Mapping[str, float]
    """By name: 1 where it prefers the challenger's answer in both orders, -1 the champion's, 0 for a tie or where it
    contradicts itself; a half where it is sure in one order alone."""
    num_turned: int
    """Duels in which the order decided."""
    num_unusable: int
    """Replies that said nothing, which count as ties."""
    first: Interval
    """How often it prefers what comes first, of the replies that prefer anything; a half where order plays no part."""


def ask_which(shop: Shop, duels: Sequence[Duel]) -> Judged:
    """The judge of the project on each duel, in both orders; what is kept costs nothing.

    Raises what `open_teacher` and `Teacher.answers` raise.
    """
    settings = shop.project.settings.judge
    with closing(open_teacher(shop, settings, "judge")) as judge:
        return _judged(judge, duels, shop.seeds.task)


def duel_asks(settings: EndpointSettings, duels: Sequence[Duel], task: Task) -> list[Ask]:
    """The questions that these duels take, two for each; nothing is sent."""
    return [_ask(settings, one, task, is_swapped=swapped) for one, swapped in _turns(duels)]


def _judged(judge: Teacher, duels: Sequence[Duel], task: Task) -> Judged:
    turns = _turns(duels)
    asks = duel_asks(judge.settings, duels, task)
    answers = judge.answers(asks, lambda text, _: read_better(text)[1], name="judge: which is better")
    said: dict[str, list[float | None]] = {one.name: [] for one in duels}
    firsts: list[float] = []
    for (one, is_swapped), answer in zip(turns, answers, strict=True):
        better = read_better(answer.text)[0] if answer.text else ""
        if better in (FIRST, SECOND):
            firsts.append(float(better == FIRST))
        said[one.name].append(_value(better, is_swapped=is_swapped))
    values = {name: sum(value or 0.0 for value in own) / 2 for name, own in said.items()}
    return Judged(
        values=values,
        num_turned=sum(sorted(value or 0.0 for value in own) == [-1.0, 1.0] for own in said.values()),
        num_unusable=sum(value is None for own in said.values() for value in own),
        first=Interval(**mean_interval(firsts)._asdict()),
    )


def read_better(text: str) -> tuple[str, str]:
    """The letter in a reply, and what is wrong with it."""
    data = reply_object(text)
    said = data.get("better") if data is not None else None
    if said not in (FIRST, SECOND, SAME):
        return "", f"it is no JSON object with `better`, {FIRST}, {SECOND} or {SAME}"
    return str(said), ""


def _value(better: str, *, is_swapped: bool) -> float | None:
    """Challenger minus champion; where it is swapped, the challenger's answer is A."""
    if not better:
        return None
    return 0.0 if better == SAME else 1.0 if (better == FIRST) == is_swapped else -1.0


def _ask(settings: EndpointSettings, one: Duel, task: Task, *, is_swapped: bool) -> Ask:
    first, second = (one.challenger, one.champion) if is_swapped else (one.champion, one.challenger)
    data: dict[str, Any] = {"task": task.instruction} if task.instruction else {}
    data |= {"message": [{"role": turn.role, "text": turn.content} for turn in one.prompt], "A": first, "B": second}
    text = json.dumps(data, ensure_ascii=False, indent=1)
    messages = (Message(role="system", content=RULES), Message(role="user", content=text))
    return Ask(messages=messages, max_new_tokens=settings.max_new_tokens)


def _turns(duels: Sequence[Duel]) -> list[tuple[Duel, bool]]:
    """Each duel in both orders, all of them shuffled."""
    turns = [(one, swapped) for one in sorted(duels) for swapped in (False, True)]
    Random(fingerprint(["duel", [one.name for one, _ in turns]])).shuffle(turns)
    return turns
