"""Evaluations made of nothing but scores, columns and texts, for the tests of diagnosis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from burnish.diagnose.weaknesses import find_weaknesses
from burnish.records import Evaluation, Interval, RowResult, Weakness

WORDS = ("account", "branch", "card", "form", "letter", "office", "page", "screen", "ticket", "window")


def evaluation(
    scores: Sequence[float],
    columns: Sequence[Mapping[str, str]],
    *,
    prefix: str,
    groups: Sequence[str] = (),
    metric: str = "field_accuracy",
    expected: Sequence[str] = (),
) -> Evaluation:
    """Rows PREFIX0000, PREFIX0001, ...; the metric is by default not that of a label task."""
    rows = tuple(
        RowResult(
            example=f"{prefix}{at:05d}",
            prompt="",
            output="said",
            expected=expected[at] if expected else "wanted",
            score=float(score),
            group=groups[at] if groups else "",
            slices=columns[at],
        )
        for at, score in enumerate(scores)
    )
    none = Interval(value=None, low=None, high=None, n=0)
    return Evaluation(model="m", model_hash="", template_hash="", metric=metric, rows=rows, overall=none, slices={})


def texts_of(one: Evaluation, texts: Sequence[str] = ()) -> dict[str, str]:
    """Text by example id; without texts all rows say the same."""
    return {row.example: texts[at] if texts else "please help" for at, row in enumerate(one.rows)}


def columns_at_random(random: np.random.Generator, n: int, names: Sequence[str], values: int) -> list[dict[str, str]]:
    """Columns that have nothing to do with each other."""
    drawn = random.integers(values, size=(n, len(names)))
    return [{name: f"v{value}" for name, value in zip(names, row, strict=True)} for row in drawn]


def sentences(random: np.random.Generator, n: int, words: Sequence[str] = WORDS) -> list[str]:
    """Texts of six words each."""
    return [" ".join(row) for row in random.choice(np.array(words), size=(n, 6))]


def weaknesses_of(*sets: Any, **more: Any) -> tuple[Weakness, ...]:
    """The weaknesses that `find_weaknesses` finds, without its notes."""
    return find_weaknesses(*sets, **more).weaknesses
