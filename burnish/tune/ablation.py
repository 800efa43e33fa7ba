"""Which adapters tell what each batch of synthetic rows is worth: one that learns from all, and one without each batch.

They have one recipe and train together in one bank, each on its own subset of the rows. Rows that people wrote, and
replay rows, are in every subset.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from burnish.data.provenance import BATCH, SYNTHETIC, provenance
from burnish.errors import DataError
from burnish.records import Candidate, Example

if TYPE_CHECKING:
    from burnish.train.job import TrainJob

UNNAMED = "unnamed"
"""The batch of synthetic rows that name none."""
MOST_BATCHES = 12
"""Batches of one analysis; beyond that the smallest are taken together."""
SEEDS = (0, 1)
"""Added to the recipe's seed: two trainings a subset, so that luck of training can be told from the batch."""
SHOWN_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A batch, or small batches taken together, whose worth is measured."""

    name: str
    batches: tuple[str, ...]
    rows: tuple[str, ...]
    """Ids of its rows, in the order of the examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """The trainings that tell the parts' worth, and which is which."""

    parts: tuple[Part, ...]
    kept: tuple[str, ...]
    """Ids of the rows that no training leaves out."""
    candidates: tuple[Candidate, ...]
    subsets: Mapping[str, tuple[str, ...]]
    """Ids of rows by the name under which candidates ask for them."""
    with_all: tuple[str, ...]
    """Names of the candidates that learn from every row, one a seed."""
    without: Mapping[str, tuple[str, ...]]
    """Names of the candidates that lack a part, by the part's name, in the order of the seeds."""
    without_all: tuple[str, ...]
    """Names of the candidates that lack every part; empty when no row is left without them."""


def batch_of(example: Example) -> str:
    """The batch of a synthetic row; empty for any other row, whatever its metadata say."""
    return example.slices.get(BATCH, "") or UNNAMED if provenance(example) == SYNTHETIC else ""


def parts_of(
    examples: Iterable[Example], *, most: int = MOST_BATCHES, named: Callable[[Example], str] = batch_of
) -> tuple[Part, ...]:
    """The batches of these rows, by name; while there are more than `most`, the two with the fewest rows become one.

    `named` gives the batch of a row, or nothing for one that is never left out.
    """
    assert most >= 1, most
    rows: dict[str, list[str]] = {}
    for example in examples:
        if batch := named(example):
            rows.setdefault(batch, []).append(example.id)
    groups = [[name] for name in sorted(rows)]
    while len(groups) > most:
        groups.sort(key=lambda group: (sum(len(rows[name]) for name in group), group))
        groups = [sorted([*groups[0], *groups[1]]), *groups[2:]]
    return tuple(
        Part(name=_shown(group), batches=tuple(group), rows=tuple(row for name in group for row in rows[name]))
        for group in sorted(groups)
    )


def _shown(batches: Sequence[str]) -> str:
    more = len(batches) - SHOWN_NAMES
    return " + ".join(batches[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def ablation_of(
    examples: Sequence[Example],
    recipe: Candidate,
    *,
    seeds: Sequence[int] = SEEDS,
    most: int = MOST_BATCHES,
    named: Callable[[Example], str] = batch_of,
) -> Ablation:
    """The candidates for these training rows, each seed once with all of them, without each part, and without any part.

    The recipe is the candidate that a round chose: rank, learning rate and schedule are its own everywhere, so that a
    smaller subset also takes fewer steps, as it would in a round. `named` is that of `parts_of`. Raises DataError when
    no row is synthetic, or has a name, and when a part is all that there is to learn from.
    """
    parts = parts_of(examples, most=most, named=named)
    if not parts:
        raise DataError("no training row is synthetic, so there is no batch to attribute a gain to")
    kept = tuple(example.id for example in examples if not named(example))
    if not kept and len(parts) == 1:
        raise DataError(f"there is nothing to learn from without {parts[0].name}", hint="add rows that people wrote")
    ids = tuple(example.id for example in examples)
    subsets = {f"out{number:02d}": _without(ids, part.rows) for number, part in enumerate(parts)}
    if kept and len(parts) > 1:
        subsets["kept"] = kept
    names = {subset: tuple(f"{subset or 'all'}-s{seed}" for seed in seeds) for subset in ("", *subsets)}
    return Ablation(
        parts=parts,
        kept=kept,
        candidates=tuple(
            replace(recipe, name=name, subset=subset, seed=recipe.seed + seed)
            for subset, named in names.items()
            for name, seed in zip(named, seeds, strict=True)
        ),
        subsets=subsets,
        with_all=names[""],
        without={part.name: names[f"out{number:02d}"] for number, part in enumerate(parts)},
        without_all=names["kept"] if "kept" in names else names["out00"] if kept else (),
    )


def ablation_job(job: "TrainJob", ablation: Ablation) -> "TrainJob":
    """The job with the candidates of the ablation in place of its own; none leaves because another is better.

    Rows that the job does not have, such as replay rows beyond their share, are taken out of the subsets.
    """
    have = {row.id for row in job.rows}
    return replace(
        job,
        candidates=ablation.candidates,
        subsets={name: tuple(row for row in rows if row in have) for name, rows in ablation.subsets.items()},
        train=job.train.model_copy(update={"finalists": len(ablation.candidates)}),
        referee=None,
    )


def reweighted(examples: Sequence[Example], weights: Mapping[str, float]) -> list[Example]:
    """The rows for the next round: those of a batch with weight 0 left out, the others' weights times their batch's.

    `weights` is that of an `Attribution`; batches that it does not name stay as they are.
    """
    weight_of = {example.id: weights.get(batch_of(example), 1.0) for example in examples}
    return [
        example if weight_of[example.id] == 1.0 else replace(example, weight=example.weight * weight_of[example.id])
        for example in examples
        if weight_of[example.id] > 0
    ]


def _without(ids: Sequence[str], rows: Sequence[str]) -> tuple[str, ...]:
    gone = set(rows)
    return tuple(row for row in ids if row not in gone)
