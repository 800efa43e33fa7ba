"""Solved examples for a few-shot prompt: without them the untuned base would be an unfair baseline."""

from collections import Counter
from collections.abc import Sequence

from burnish.fingerprint import fingerprint
from burnish.records import Example


def pick_shots(examples: Sequence[Example], num_shots: int, seed: int) -> tuple[Example, ...]:
    """Solved examples to show: one of each of the most frequent answers, then a second of each, and so on.

    Deterministic in the seed and the ids, whatever the order of `examples`. Only examples of at most median length
    are drawn, so that the prompt stays short. Fewer than asked for when there are fewer.
    """
    if not examples or num_shots < 1:
        return ()
    median = sorted(_length(example) for example in examples)[len(examples) // 2]
    short = [example for example in examples if _length(example) <= median]
    drawn = sorted(short, key=lambda example: fingerprint([seed, example.id]))
    frequency = Counter(example.answer for example in examples)
    seen: Counter[str] = Counter()
    ranked = []
    for place, example in enumerate(drawn):
        ranked.append((seen[example.answer], -frequency[example.answer], place))
        seen[example.answer] += 1
    return tuple(drawn[place] for _, _, place in sorted(ranked)[:num_shots])


def _length(example: Example) -> int:
    return sum(len(turn.content) for turn in example.messages)
