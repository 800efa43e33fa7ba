"""The move "counterfactual": a seed with other numbers, dates or names, the same ones in question and answer."""

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from random import Random

from burnish.data.answers import compact_fields, parse_fields
from burnish.records import Example, Message
from burnish.synthesize.made import Made, Value, made_of, seeded, values_of

MOVE = "counterfactual"
NUMBER = re.compile(r"[-+]?\D{0,2}\d[\d.,]*\D{0,2}")
Pool = Mapping[str, Sequence[Value]]
"""Values by field, each once."""


def value_pool(seeds: Sequence[Example]) -> dict[str, tuple[Value, ...]]:
    """The values that seeds of a fields task have, by field, in the order of their first use."""
    pool: dict[str, dict[Value, None]] = {}
    for seed in seeds:
        for name, value in values_of(seed).items():
            pool.setdefault(name, {})[value] = None
    return {name: tuple(values) for name, values in pool.items()}


def swap_values(parent: Example, pool: Pool, *, seed: int = 0, names: Sequence[str] | None = None) -> Made | None:
    """The seed with other numbers, dates or names, the same ones in question and answer (Kaushik et al. 2020, arXiv
    1909.12434, have people make such edits).

    A value is swapped when it stands word for word in the question; every place of it, and every field that has it,
    gets one other value that seeds have for that field, of the same shape (number or words). `names` are the fields
    that may change, default all; leave out what another field is derived from. None where no value can be swapped.
    """
    own = values_of(parent)
    question = "\n".join(turn.content for turn in parent.prompt if turn.role != "system")
    changing = own if names is None else {name: own[name] for name in names if name in own}
    swaps = _swaps(changing, {str(value) for value in own.values()}, question, pool, seeded(seed, MOVE, parent.id))
    if not swaps:
        return None
    turns = tuple(
        turn if turn.role == "system" else replace(turn, content=_swapped(turn.content, swaps))
        for turn in parent.prompt
    )
    answer = {**(parse_fields(parent.answer) or {}), **{n: swaps[str(v)] for n, v in own.items() if str(v) in swaps}}
    text = compact_fields(json.dumps(answer, ensure_ascii=False), list(answer))[0]
    return made_of(MOVE, (parent,), (*turns, Message(role="assistant", content=text)), {})


def _swaps(changing: Mapping[str, Value], own: Set[str], question: str, pool: Pool, random: Random) -> dict[str, Value]:
    """The new value of each old one that stands in the question; no new one stands there or is the answer's already."""
    swaps: dict[str, Value] = {}
    for name, old in changing.items():
        if str(old) in swaps or not _place_of(str(old)).search(question):
            continue
        taken = own | {str(value) for value in swaps.values()}
        choices = [v for v in pool.get(name, ()) if _is_swap(old, v) and str(v) not in taken]
        choices = [v for v in choices if not _place_of(str(v)).search(question)]
        if choices:
            swaps[str(old)] = random.choice(choices)
    return swaps


def _place_of(value: str) -> re.Pattern[str]:
    """Where a value stands by itself: not inside a word, a longer number or an amount."""
    return re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(value)}(?!\w|[.,]\d)")


def _is_swap(old: Value, new: Value) -> bool:
    """Whether the new value is another one of the same type and shape."""
    same = isinstance(old, str) == isinstance(new, str) and str(old) != str(new)
    return same and bool(NUMBER.fullmatch(str(old))) == bool(NUMBER.fullmatch(str(new)))


def _swapped(text: str, swaps: Mapping[str, Value]) -> str:
    """All swaps in one pass, the longest value first, so that nothing is swapped twice."""
    values = sorted(swaps, key=len, reverse=True)
    pattern = re.compile("|".join(_place_of(value).pattern for value in values))
    return pattern.sub(lambda hit: str(swaps[hit.group()]), text)
