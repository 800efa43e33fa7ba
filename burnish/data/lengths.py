"""How long examples are in tokens: for training, for the base, and for a model that has to write their answers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from burnish.data.problem import CheckedRows, CountTokens, Problem
from burnish.records import Example

NOTHING_SAID = "{}"


def token_problems(
    rows: CheckedRows, count_tokens: CountTokens | None, room: int | None
) -> tuple[int | None, list[Problem]]:
    """The longest example in tokens, and what is too long, teaches nothing, or cannot be said.

    `room` is how many tokens the base has places for.
    """
    if count_tokens is None:
        return None, []
    counts = [count_tokens(example) for example in rows.examples]
    unlearned = [example for example, found in zip(rows.examples, counts, strict=True) if found[1] == 0]
    problems = list(_too_long(rows, [found[0] for found in counts], room))
    if unlearned:
        rest = "no token to learn from"
        problems.append(rows.problem("unsupervised", "error", unlearned, "example has", "examples have", rest))
    problems += _cut_answers(rows, [found[1] for found in counts], count_tokens)
    return max(found[0] for found in counts), problems


def _too_long(rows: CheckedRows, num_tokens: Sequence[int], room: int | None) -> Iterable[Problem]:
    asked = rows.settings.data.max_tokens
    limit, told, todo = asked, f"data.max_tokens = {asked:,}", "raise the limit"
    if room is not None and room < asked:
        limit, told, todo = room, f"the {room:,} tokens that the base has places for", "take another base"
    long = [example for example, tokens in zip(rows.examples, num_tokens, strict=True) if tokens > limit]
    if long:
        rest = (
            f"longer than {told} (the longest has {max(num_tokens):,}); nothing is ever cut: {todo} or take out what "
            "is too long"
        )
        yield rows.problem("too-long", "error", long, "example is", "examples are", rest)


def _cut_answers(rows: CheckedRows, learned: Sequence[int], count_tokens: CountTokens) -> Iterable[Problem]:
    """Answers of fields and texts that need more than task.max_new_tokens, so that no model can give them whole.

    `learned` holds the learned tokens of each example. The limit of a fields task is for its values alone, so what an
    object of empty values takes is taken off. Where earlier turns are learned, too, nothing is known and nothing said.
    """
    limit, kind = rows.task.max_new_tokens, rows.task.kind
    if kind == "label":
        return
    frame = _frame(rows.examples[0], count_tokens) if kind == "fields" else 0
    needs = [
        (tokens - frame, example)
        for example, tokens in zip(rows.examples, learned, strict=True)
        if sum(turn.role == "assistant" for turn in example.messages) == 1 and tokens - frame > limit
    ]
    if needs:
        longest = max(tokens for tokens, _ in needs)
        rest = (
            f"longer than task.max_new_tokens = {limit:,} (the longest has {longest:,} tokens): a model is stopped "
            f"before it is done. Set task.max_new_tokens: {longest:,} in burnish.yaml, or expect shorter answers"
        )
        yield rows.problem("cut-answer", "warning", [row for _, row in needs], "answer is", "answers are", rest)


def _frame(example: Example, count_tokens: CountTokens) -> int:
    """Tokens of an object whose values are all empty: those of keys, quotes and the end of the turn."""
    asked, answer = example.messages[-2:]
    return count_tokens(replace(example, messages=(asked, replace(answer, content=NOTHING_SAID))))[1]
