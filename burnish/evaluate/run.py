"""One path from a model and examples to an evaluation; every number that burnish shows has come this way.

Each evaluation keeps every row, answers eight of them again alone, and names what smells of a bug.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from burnish.data.conversation import conversation
from burnish.errors import EvaluationError
from burnish.evaluate.scorers import score
from burnish.evaluate.summary import ANSWER_COLUMN, summarise
from burnish.evaluate.suspicion import suspicions
from burnish.model.base import Base
from burnish.model.choose import choose
from burnish.model.generate import generate, generate_fields, target_logprobs
from burnish.model.rendered import Rendered
from burnish.records import Evaluation, Example, RowResult, StopReason, Task
from burnish.store.failpoints import failpoint
from burnish.talk import Advance, Talk, unheard

NUM_ALONE = 8
"""Rows of every evaluation that are answered a second time, one by one."""

LOGPROB_TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-2}
"""Relative difference of log-probabilities that is rounding. Rows in company share what their prompts begin with, a row
alone does not: with three shots and bfloat16 that moved 1 of 100 scores by more than 0.8%, half of them by 0.1%; in
float32 none by more than 0.0004% (`python benchmarks/rounding.py`)."""

LEAK = 10.0
"""From this many tolerances on, a moved log-probability is no rounding, even where the answer stayed the same."""

TIE_NATS = {"float32": 1e-3, "bfloat16": 0.1}
"""Two answers this close in log-probability are a tie: rounding may decide between them without any fault. So are two
that LOGPROB_TOLERANCE cannot tell apart: at -27 nats, as of an untuned base, a quarter nat in bfloat16."""


class Answer(NamedTuple):
    """What a model said to one prompt."""

    text: str
    stop_reason: StopReason
    logprob: float
    """Summed over the answer's tokens, the end of the turn included, in nats."""
    tokens: tuple[int, ...]
    """Of the answer, with the one that ended it."""


class Prompt(NamedTuple):
    """What a model is shown for one example."""

    tokens: list[int]
    text: str
    """Control tokens shown."""


def evaluate(
    base: Base,
    task: Task,
    examples: Sequence[Example],
    *,
    model_name: str,
    model_hash: str,
    shots: Sequence[Example] = (),
    slice_columns: Sequence[str] = (),
    talk: Talk,
) -> Evaluation:
    """The base's answers to every example, with the adapter that is in use around the call, and what they score.

    Labels are chosen by summed log-probability, fields decoded as JSON with the given keys, text decoded greedily. A
    prompt that the base has no room for is not scored. Slices are the values of `slice_columns`, and of a label task
    each expected label with at least 5 rows. Warnings are part of the result and not said aloud: they quote rows, and
    the rows may be sealed.

    Raises:
        EvaluationError: there is nothing to score, or an answer changed when its row was answered alone.
    """
    if not examples:
        raise EvaluationError("there are no examples to evaluate on", hint="add data, or name another file")
    started = time.monotonic()
    prompts = [_prompt(base, task, example, shots) for example in examples]
    room = base.max_tokens - _longest_answer(base, task)
    fitting = [at for at, prompt in enumerate(prompts) if len(prompt.tokens) <= room]
    shown = f"score {model_name}" + (f", {len(shots)} shots" if shots else "")
    with talk.track(shown, len(fitting), "rows") as advance:
        given = answer(base, task, [prompts[at].tokens for at in fitting], _breakable(advance))
    answers = dict(zip(fitting, given, strict=True))
    columns = tuple(dict.fromkeys([*slice_columns, *([ANSWER_COLUMN] if task.kind == "label" else [])]))
    rows = tuple(
        _row(task, example, prompts[at], answers.get(at), room, columns) for at, example in enumerate(examples)
    )
    warnings = _answered_alone(base, task, prompts, answers, examples) + suspicions(rows, task)
    overall, slices = summarise(rows, columns)
    return Evaluation(
        model=model_name,
        model_hash=model_hash,
        template_hash=base.chat.template_hash,
        metric=task.metric,
        rows=rows,
        overall=overall,
        slices=slices,
        shots=len(shots),
        warnings=warnings,
        seconds=time.monotonic() - started,
        num_tokens=sum(len(prompts[at].tokens) + len(said.tokens) for at, said in answers.items()),
    )


def answer(base: Base, task: Task, prompts: Sequence[Sequence[int]], advance: Advance) -> list[Answer]:
    """What the base says to each prompt, in their order, in the form that the task asks for."""
    if not prompts:
        return []
    if task.kind == "label":
        choices = [base.chat.answer_tokens(label) for label in task.labels]
        chosen = choose(base, prompts, choices, advance=advance)
        return [Answer(task.labels[best.index], "choice", best.logprob, tuple(choices[best.index])) for best in chosen]
    if task.kind == "fields":
        said = generate_fields(base, prompts, list(task.fields), max_new_tokens=task.max_new_tokens, advance=advance)
    else:
        said = generate(base, prompts, max_new_tokens=task.max_new_tokens, advance=advance)
    end = base.chat.end_ids[:1]
    return [
        Answer(one.text, one.stop_reason, one.logprob, one.tokens + (end if one.stop_reason == "end" else ()))
        for one in said
    ]


def _breakable(advance: Advance) -> Advance:
    """The same with a failpoint at every batch of rows."""

    def move(done: int, note: str) -> None:
        failpoint("evaluate.rows")
        advance(done, note)

    return move


def _prompt(base: Base, task: Task, example: Example, shots: Sequence[Example]) -> Prompt:
    shown = base.chat.prompt(conversation(task, example, shots)[:-1])
    return Prompt(list(shown.tokens), shown.text)


def _longest_answer(base: Base, task: Task) -> int:
    """Tokens that an answer may need at most."""
    if task.kind != "label":
        return task.max_new_tokens
    return max(len(base.chat.answer_tokens(label)) for label in task.labels)


def _row(
    task: Task, example: Example, prompt: Prompt, said: Answer | None, room: int, columns: Sequence[str]
) -> RowResult:
    scored = score(task, example, said.text) if said else None
    too_long = f"too-long: the prompt has {len(prompt.tokens)} tokens, the base has room for {room}"
    known = {ANSWER_COLUMN: example.answer, **example.slices}
    return RowResult(
        example=example.id,
        prompt=prompt.text,
        output=said.text if said else "",
        expected=example.answer,
        score=scored.value if scored else None,
        why_missing=scored.why_missing if scored else too_long,
        stop_reason=said.stop_reason if said else "error",
        logprob=said.logprob if said else None,
        group=example.group,
        slices={column: known[column] for column in columns if column in known},
        parts=dict(scored.parts) if scored else {},
    )


def _answered_alone(
    base: Base, task: Task, prompts: Sequence[Prompt], answers: Mapping[int, Answer], examples: Sequence[Example]
) -> tuple[str, ...]:
    """Answers rows spread over the whole set again, one by one; warnings where rounding moved an answer.

    Raises EvaluationError where an answer changed that was no tie: then other rows decide what a model says.
    """
    chosen = _spread(sorted(answers), NUM_ALONE)
    alone = {at: answer(base, task, [prompts[at].tokens], unheard)[0] for at in chosen}
    changed = [at for at in chosen if alone[at].tokens != answers[at].tokens]
    gaps = {at: _gap(base, task, prompts[at].tokens, answers[at], alone[at]) for at in changed}
    moves = {at: _relative(alone[at].logprob, answers[at].logprob) for at in chosen if at not in changed}
    tolerance = LOGPROB_TOLERANCE[base.precision]
    leaks = [at for at, gap in gaps.items() if gap > 1.0]
    leaks += [at for at, move in moves.items() if move > LEAK * tolerance]
    if leaks:
        said, again = answers[leaks[0]], alone[leaks[0]]
        raise EvaluationError(
            f"batching changed {len(leaks)} of {len(chosen)} rows ({', '.join(examples[at].id for at in leaks)}); the "
            f"first says {said.text!r} ({said.logprob:.4g} nats) in company, {again.text!r} ({again.logprob:.4g}) "
            "alone",
            hint="other rows leak into a row, so no score can be trusted; try --set train.precision=float32, and "
            "report it with the base's name",
        )
    found = {
        "tie: two answers are equally likely and rounding chose": changed,
        "batch: alone, the log-probability moves": [at for at, move in moves.items() if move > tolerance],
    }
    return tuple(
        f"{what} in {len(places)} of {len(chosen)} rows ({', '.join(examples[at].id for at in places)})"
        for what, places in found.items()
        if places
    )


def _gap(base: Base, task: Task, prompt: Sequence[int], one: Answer, other: Answer) -> float:
    """How far two answers are apart, 1 being the widest tie: whole labels, or the first tokens that differ."""
    opening = base.chat.answer_opening[0] if task.kind == "fields" else ()
    shown = (*prompt, *opening)
    rows = [
        Rendered(tokens=shown + said.tokens, learned=(False,) * len(shown) + (True,) * len(said.tokens), pieces=())
        for said in (one, other)
    ]
    first, second = (logprobs.tolist() for logprobs in target_logprobs(base, rows))
    if task.kind == "label":
        pair = float(sum(first)), float(sum(second))
    else:
        differ = [at for at, (a, b) in enumerate(zip(one.tokens, other.tokens, strict=False)) if a != b]
        if not differ:
            return math.inf
        pair = first[differ[0]], second[differ[0]]
    tie = max(TIE_NATS[base.precision], LOGPROB_TOLERANCE[base.precision] * max(map(abs, pair)))
    return abs(pair[0] - pair[1]) / tie


def _spread(places: Sequence[int], count: int) -> list[int]:
    """At most `count` of these places, evenly spread, first and last among them."""
    if len(places) <= count:
        return list(places)
    return [places[at * (len(places) - 1) // (count - 1)] for at in range(count)]


def _relative(one: float, other: float) -> float:
    """Difference relative to the larger size, sizes below 1 counting as 1."""
    return abs(one - other) / max(1.0, abs(one), abs(other))
