"""Whether the answers that people expect fit into the tokens that a model is given to write one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from burnish.data.problem import CheckedRows, CountTokens, Problem
from burnish.records import Example

NOTHING_SAID = "{}"


def cut_answer_problems(rows: CheckedRows, learned: Sequence[int], count_tokens: CountTokens) -> Iterable[Problem]:
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
    *turns, answer = example.messages
    return count_tokens(replace(example, messages=(*turns, replace(answer, content=NOTHING_SAID))))[1]
