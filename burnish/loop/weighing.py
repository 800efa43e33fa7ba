"""What the last attribution says that the next round should leave out, or count half, of the synthetic rows.

A verdict holds for a batch as it was: when its rows have changed since, they count in full again. Rows that people
wrote always count in full; whoever added them decides about them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from burnish.data.dataset import set_hash
from burnish.errors import DataError
from burnish.loop.project import Project
from burnish.records import Example, from_json
from burnish.talk import Talk
from burnish.tune.ablation import batch_of

Told = TypeVar("Told")

ATTRIBUTION_FILE = "attribution.json"
"""In .burnish: what the last `burnish attribute` came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWeight:
    """What a synthetic batch counts in the next round."""

    batch: str
    rows_hash: str
    """Identity of its training rows when they were weighed."""
    weight: float
    """1: in full; 0.5: half; 0: left out."""


def weights_of(project: Project, examples: Iterable[Example]) -> Mapping[str, float]:
    """The weight of every synthetic batch among these training rows that was attributed and is still the same.

    Raises DataError when the file of the last attribution cannot be read.
    """
    hashes, kept = batch_hashes(examples), kept_attribution(project, _weights) or ()
    return {one.batch: one.weight for one in kept if hashes.get(one.batch) == one.rows_hash}


def tell_weights(weights: Mapping[str, float], talk: Talk) -> None:
    """Says aloud which batches do not train in full, and why."""
    for batch, weight in sorted(weights.items()):
        if weight < 1:
            change = "is left out" if weight == 0 else f"counts {weight:g} times"
            talk.say(f"{batch} {change}, because `burnish attribute` found that scores are better without it")


def batch_hashes(examples: Iterable[Example]) -> dict[str, str]:
    """Identity of the rows of every synthetic batch, by its name."""
    rows: dict[str, list[Example]] = {}
    for example in examples:
        if batch := batch_of(example):
            rows.setdefault(batch, []).append(example)
    return {batch: set_hash(found) for batch, found in sorted(rows.items())}


def kept_attribution(project: Project, read: Callable[[dict[str, Any]], Told]) -> Told | None:
    """What `read` makes of the record of the last attribution; None where nothing was attributed.

    Raises DataError when it cannot be read.
    """
    path = project.store.root / ATTRIBUTION_FILE
    if not path.exists():
        return None
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise DataError(
            f"{path} cannot be read: {error}",
            hint="remove it, and run `burnish attribute` again if its verdicts shall count",
        ) from error


def _weights(data: dict[str, Any]) -> list[BatchWeight]:
    return [from_json(BatchWeight, one) for one in data["weights"]]
