"""The whole diagnosis of a model as one frozen record: its weak slices, the causes of its errors, what is untested."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from burnish.diagnose.causes import REMEDIES, causes_of
from burnish.diagnose.gold import GoldCheck
from burnish.diagnose.topics import Vectors
from burnish.diagnose.weaknesses import find_weaknesses
from burnish.records import Evaluation, Example, Interval, Task, Weakness


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Where a model is weak, why, and what could not be told."""

    model: str
    metric: str
    num_looked: int
    """Scored rows of dev_a, which chose the slices."""
    num_checked: int
    """Scored rows of dev_b, which confirmed them."""
    num_wrong: int
    """Wrong rows of dev_a."""
    weaknesses: tuple[Weakness, ...]
    """By priority."""
    causes: Mapping[str, int]
    """All wrong rows of dev_a by likely cause, most frequent first."""
    num_suspects: int | None
    """Gold answers that are doubted, of all rows that were judged; None: not looked for, see `untested`."""
    untested: tuple[str, ...] = ()
    """What could not be tested, and why, one sentence each."""

    def as_text(self) -> str:
        """The diagnosis for reading in a terminal, one weakness a line, scores as percentages."""
        wrong = f"{self.num_wrong} of {self.num_looked} rows of dev_a are wrong; {self.num_checked} of dev_b check"
        lines = [f"{self.model}: {wrong}", ""]
        lines += _table([_HEAD, *(_line(weakness) for weakness in self.weaknesses)]) if self.weaknesses else [NONE]
        if self.causes:
            lines += ["", "likely causes of all wrong rows of dev_a"]
            lines += [f"  {count:4d}  {name}: {REMEDIES[name]}" for name, count in self.causes.items()]
        if self.num_suspects is not None:
            lines += ["", f"gold answers that are doubted: {self.num_suspects}"]
        if self.untested:
            lines += ["", "not tested", *(f"  {reason}" for reason in self.untested)]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """The diagnosis as plain JSON data."""
        return asdict(self)


NONE = "no slice stands out on dev_a"
WEAK_AGREEMENT = 0.8
"""Share of gold answers that the out-of-fold classifier must agree with, or its doubts are said to be weak: on 1470
rows of the claims example, as they are, it agrees with 60% and doubts 278."""
_HEAD = ("slice", "dev_a", "dev_b", "95% interval", "p (Holm)", "confirmed", "share", "likely cause", "remedy", "wrong")


def diagnose(
    looked: Evaluation,
    checked: Evaluation,
    looked_texts: Mapping[str, str],
    checked_texts: Mapping[str, str],
    *,
    task: Task,
    train: Sequence[Example],
    declared: Sequence[str] = (),
    vectors: Vectors | None = None,
    gold: GoldCheck | None = None,
    target_error: float | None = None,
    seed: int = 0,
) -> Diagnosis:
    """The weak slices of a model with causes and remedies; arguments as in `find_weaknesses` and `causes_of`.

    Raises DataError when a declared column is in no row of dev_a.
    """
    suspects = {suspect.example: suspect.suggested for suspect in gold.suspects} if gold else {}
    causes = causes_of(looked, looked_texts, task, train, suspects=suspects)
    sets = (looked, checked, looked_texts, checked_texts)
    ranking = find_weaknesses(*sets, declared, vectors=vectors, causes=causes, target_error=target_error, seed=seed)
    counted = Counter(cause.name for cause in causes.values())
    order = tuple(REMEDIES)
    return Diagnosis(
        model=looked.model,
        metric=looked.metric,
        num_looked=ranking.num_looked,
        num_checked=ranking.num_checked,
        num_wrong=len(causes),
        weaknesses=ranking.weaknesses,
        causes=dict(sorted(counted.items(), key=lambda item: (-item[1], order.index(item[0])))),
        num_suspects=len(gold.suspects) if gold else None,
        untested=(*ranking.untested, *_unjudged(gold, task)),
    )


def _unjudged(gold: GoldCheck | None, task: Task) -> tuple[str, ...]:
    if gold is None:
        why = "the caller did not ask for it" if task.kind == "label" else "it needs a closed set of labels"
        return (f"gold answers: {why}",)
    notes = []
    if gold.not_judged:
        notes.append(f"gold answers of {len(gold.not_judged)} rows: their label is in too few groups to be learnt")
    if gold.agreement_share < WEAK_AGREEMENT:
        share = f"{gold.agreement_share:.0%}"
        notes.append(
            f"gold answers, well: the classifier that doubts them agrees with {share} only; many doubts are its own"
        )
    return tuple(notes)


def _line(weakness: Weakness) -> tuple[str, ...]:
    return (
        weakness.name,
        _percent(weakness.found.value),
        _percent(weakness.checked.value),
        _span(weakness.checked),
        "not tested" if weakness.p_holm is None else f"{weakness.p_holm:.2g}",
        "yes" if weakness.confirmed else "no",
        _percent(weakness.prevalence),
        next(iter(weakness.causes), "-"),
        weakness.remedy.split(":")[0] or "-",
        " ".join(weakness.examples[:2]),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _span(interval: Interval) -> str:
    """The interval on dev_b, with the rows that it rests on."""
    if interval.low is None or interval.high is None:
        return f"- (n={interval.n})"
    return f"{interval.low:.1%} to {interval.high:.1%} (n={interval.n})"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
