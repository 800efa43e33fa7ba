"""What rows a plan can wish for: weak slices, scarce ones, usual ones and edges; and which rows are in a cell."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from burnish.data.dedup import prompt_text
from burnish.records import Cell, Example, Task, Weakness
from burnish.synthesize.runs import plain_words

ANSWER = "answer"
"""The column under which a weakness names a label."""
NOISE = "noise"
"""The attribute of rows whose text was roughened; no slice that people's rows have, so no limit counts it."""
ANY_NOISE = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A cell before it has a number."""

    cell: Cell
    weight: float
    keys: tuple[tuple[str, str], ...] = ()
    """What its rows count towards: (column, value), the label under "answer", a slice of texts under its terms."""


def in_cell(example: Example, cell: Cell) -> bool:
    """Whether an example has a cell's answer and columns and holds one of its terms; attributes like noise are free."""
    if cell.answer and example.answer != cell.answer:
        return False
    if any(example.slices.get(column) != value for column, value in cell.columns.items() if column != NOISE):
        return False
    return not cell.terms or holds_term(prompt_text(example), cell.terms)


def holds_term(text: str, terms: Sequence[str]) -> bool:
    """Whether one of the terms stands in a text, word by word."""
    words = f" {' '.join(plain_words(text))} "
    return any(f" {' '.join(plain_words(term))} " in words for term in terms)


def keys_of(cell: Cell) -> tuple[tuple[str, str], ...]:
    """What a cell's rows count towards: its columns, its answer, its terms as one."""
    keys = [(column, value) for column, value in sorted(cell.columns.items()) if column != NOISE]
    keys += [(ANSWER, cell.answer)] if cell.answer else []
    return (*keys, ("", "\n".join(cell.terms))) if cell.terms else tuple(keys)


def weak_wishes(weaknesses: Sequence[Weakness], human: Sequence[Example], task: Task) -> list[Wish]:
    """Weaknesses with a priority, weighted by it; in a label task split over the answers that people's rows have."""
    wishes = []
    for weak in weaknesses:
        if weak.priority <= 0:
            continue
        named = dict(weak.columns)
        answer = named.pop(ANSWER, "") if task.kind == "label" else ""
        proof = "confirmed" if weak.confirmed else "not confirmed"
        cell = Cell(
            purpose="weakness",
            count=0,
            answer=answer,
            columns=named,
            terms=weak.terms,
            why=f"weak: {weak.name}, error {weak.shrunk_error:.0%}, {proof}",
        )
        wishes += _by_answer(cell, weak.priority, human, task)
    return wishes


def scarce_wishes(
    human: Sequence[Example],
    made: Sequence[Example],
    task: Task,
    columns: Sequence[str],
    coverage: Mapping[str, float] | None,
) -> list[Wish]:
    """Answers and slices with fewer rows than the median one of their column, or with real rows that nothing covers."""
    wishes = []
    for column in (ANSWER,) if task.kind == "label" else tuple(columns):
        value_of = _value_of(column)
        own = Counter(value for row in human if (value := value_of(row)))
        counts = own + Counter(value for row in made if (value := value_of(row)) and value in own)
        usual = median(counts.values()) if counts else 0
        for value, count in sorted(counts.items()):
            share = (coverage or {}).get(f"{column}={value}")
            weight = max(0.0, (usual - count) / usual) if share is None else 1.0 - share
            why = f"few rows: {count:,}, {usual:g} are usual" if share is None else f"{share:.0%} of real rows covered"
            cell = _named("weakness", column, value, task, why)
            wishes += _by_answer(cell, weight, human, task) if weight > 0 else []
    return wishes


def prevalent_wishes(human: Sequence[Example], task: Task, columns: Sequence[str]) -> list[Wish]:
    """Answers, or values of the first column, as frequent as in people's rows."""
    why = "as frequent as in people's rows"
    if task.kind != "label" and not columns:
        return [Wish(cell=Cell(purpose="prevalence", count=0, why=why), weight=1.0)]
    column = ANSWER if task.kind == "label" else columns[0]
    counts = Counter(_value_of(column)(row) for row in human)
    cells = [(_named("prevalence", column, value, task, why), count) for value, count in sorted(counts.items())]
    return [Wish(cell=cell, weight=count, keys=keys_of(cell)) for cell, count in cells]


def edge_wishes(human: Sequence[Example], task: Task, out_of_scope: Sequence[str]) -> list[Wish]:
    """Half for answers out of scope, where there are seeds of them, the rest roughened texts of every answer."""
    answers = Counter(row.answer for row in human) if task.kind == "label" else Counter({"": len(human)})
    outside = [answer for answer in out_of_scope if task.kind == "label" and answers[answer]]
    wishes = []
    for answer in outside:
        cell = Cell(purpose="edge", count=0, answer=answer, why="out of scope")
        wishes.append(Wish(cell=cell, weight=0.5 / len(outside), keys=keys_of(cell)))
    inside = {answer: count for answer, count in sorted(answers.items()) if answer not in outside}
    share = 0.5 if outside else 1.0
    for answer, count in inside.items():
        cell = Cell(
            purpose="edge", count=0, answer=answer, columns={NOISE: ANY_NOISE}, why="roughened: typos, cut, case"
        )
        wishes.append(Wish(cell=cell, weight=share * count / sum(inside.values()), keys=keys_of(cell)))
    return wishes


def _by_answer(cell: Cell, weight: float, human: Sequence[Example], task: Task) -> list[Wish]:
    """A cell of a label task that names no answer, as one for each answer that people's rows in it have."""
    if cell.answer or task.kind != "label":
        return [Wish(cell=cell, weight=weight, keys=keys_of(cell))]
    counts = Counter(row.answer for row in human if in_cell(row, cell))
    cells = [(replace(cell, answer=answer), count) for answer, count in sorted(counts.items())]
    return [Wish(cell=c, weight=weight * count / counts.total(), keys=keys_of(c)) for c, count in cells]


def _named(purpose: Literal["weakness", "prevalence", "edge"], column: str, value: str, task: Task, why: str) -> Cell:
    if column == ANSWER and task.kind == "label":
        return Cell(purpose=purpose, count=0, answer=value, why=why)
    return Cell(purpose=purpose, count=0, columns={column: value} if value else {}, why=why)


def _value_of(column: str) -> Callable[[Example], str]:
    return (lambda row: row.answer) if column == ANSWER else (lambda row: row.slices.get(column, ""))
