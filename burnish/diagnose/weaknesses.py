"""The weak slices of a model: looked for on dev_a, confirmed on dev_b, ranked by what mending them would be worth."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from burnish.diagnose.causes import REMEDIES, Cause
from burnish.diagnose.confirm import LEVEL, Tested, strengths, worse_than_rest
from burnish.diagnose.metadata import Place, declared_places, sliced_places
from burnish.diagnose.rows import Floats, Rows, is_wrong, rows_of, score_of
from burnish.diagnose.topics import Vectors, text_places
from burnish.records import Evaluation, Weakness
from burnish.stats.many import holm, shrink

MOST = 16
"""Slices brought forward to dev_b. Holm's first step over 16 needs 2.1 times the rows of a single test for power 0.8,
over 64 it would need 2.6 times."""

MOST_DECLARED = 8
"""Of these, at most so many first places for declared slices, since someone asked for them by name."""

LEAST_DECLARED = 0.84
"""Standard errors above its share of errors from which a declared slice is brought forward, the upper fifth under no
effect: a weakness that dev_a does not show has little chance on dev_b, and each slice is paid for by all others."""

LEAST_DISCOVERED = 1.64
"""The same for every other slice, the upper twentieth: they are the best of many, and what the slices before them
explain is taken off. Where 3 standard errors are to be seen on either set, 91% of the slices pass."""

NUM_EXAMPLES = 5


class Ranking(NamedTuple):
    """Weak slices, and what was looked at but could not be tested."""

    weaknesses: tuple[Weakness, ...]
    untested: tuple[str, ...]
    """One sentence each."""
    num_looked: int
    """Scored rows of dev_a."""
    num_checked: int


def find_weaknesses(
    looked: Evaluation,
    checked: Evaluation,
    looked_texts: Mapping[str, str],
    checked_texts: Mapping[str, str],
    declared: Sequence[str] = (),
    *,
    vectors: Vectors | None = None,
    causes: Mapping[str, Cause] | None = None,
    target_error: float | None = None,
    seed: int = 0,
) -> Ranking:
    """The slices that dev_a shows to be worse than the rest, at most 16, each tested anew on dev_b, by priority.

    `looked` is the evaluation on dev_a and chooses, `checked` that on dev_b and confirms; texts are by example id.
    `declared` names columns whose every value is looked at; in label tasks the expected answer is one by itself.
    `causes` are those of the wrong rows of dev_a (see `causes.causes_of`). `target_error` is the error rate above which
    a slice is worth mending, by default that of all rows of dev_b. Other orders of the rows give the same result.

    If errors have nothing to do with the slices, the chance that any is confirmed is at most 5%, given that no group
    is in both sets and rows of different groups are independent (Holm 1979, on p-values of `confirm.worse_than_rest`).

    Raises DataError when a declared column is in no row.
    """
    a, b = rows_of(looked, looked_texts), rows_of(checked, checked_texts)
    return _ranked(_search(a, b, declared, vectors, seed), looked.metric, causes or {}, target_error)


class Found(NamedTuple):
    """Slices brought forward and their tests, before they become records."""

    a: Rows
    b: Rows
    places: tuple[Place, ...]
    tests: tuple[Tested, ...]
    shrunk: tuple[float, ...]
    notes: tuple[str, ...]


def _search(a: Rows, b: Rows, declared: Sequence[str], vectors: Vectors | None, seed: int) -> Found:
    """What dev_a brings forward and what dev_b says about it; no place without an error on dev_a."""
    if not len(b.error_N) or not a.error_N.any():
        why = "no row of dev_a is wrong" if len(b.error_N) else "dev_b has no scored row"
        return Found(a, b, (), (), (), (f"nothing was looked for: {why}",))
    named = declared_places(a, b, declared)
    singles, sliced = sliced_places(a, b)
    topics = text_places(a, b, vectors, seed)
    places = brought_forward(a, named, [*sliced, *topics])
    notes = [] if topics else ["slices of texts: the texts are too few, too alike, or share too few words"]
    if not places:
        return Found(a, b, (), (), (), tuple(notes))
    members_CN = np.stack([place.in_b_N for place in places])
    tests = worse_than_rest(members_CN, b.error_N, b.group_N, seed=seed)
    shrunk = _shrunk(b, places, [*named, *singles, *topics])
    return Found(a, b, tuple(places), tests, shrunk, tuple(notes))


def brought_forward(a: Rows, declared: Sequence[Place], others: Sequence[Place]) -> list[Place]:
    """The slices to be tested, chosen on dev_a alone: declared ones first, then the strongest that add something.

    Each next one is the slice whose errors lie furthest above what the slices before it explain, in standard errors,
    so that a weak conjunction does not bring all its halves along. What is explained is the least-squares fit of the
    errors to a constant and the slices chosen before: two weak slices explain their sum where they meet, not more.
    """
    chosen: list[Place] = []
    own = _strongest(declared, a)[:MOST_DECLARED]
    pool = [*own, *others, *(place for place in declared if all(place is not first for first in own))]
    if not pool:
        return []
    members_CN = np.stack([place.in_a_N for place in pool])
    free_C = np.ones(len(pool), dtype=bool)
    for turn in range(MOST):
        strength_C = strengths(members_CN, _unexplained(a.error_N, chosen), a.group_N)
        at = turn if turn < len(own) else int(np.argmax(np.where(free_C, strength_C, -np.inf)))
        if turn >= len(own) and (not free_C[at] or strength_C[at] < LEAST_DISCOVERED):
            break
        chosen.append(pool[at])
        free_C &= ~(members_CN == members_CN[at]).all(axis=1)
    return chosen


def _strongest(places: Sequence[Place], a: Rows) -> list[Place]:
    """Those that stand out, strongest first; of two with the same rows the first."""
    if not places:
        return []
    members_CN = np.stack([place.in_a_N for place in places])
    strength_C = strengths(members_CN, a.error_N, a.group_N)
    order = sorted(range(len(places)), key=lambda at: (-strength_C[at], places[at].name))
    kept: dict[bytes, Place] = {}
    for at in order:
        if strength_C[at] >= LEAST_DECLARED:
            kept.setdefault(members_CN[at].tobytes(), places[at])
    return list(kept.values())


def _unexplained(error_N: Floats, chosen: Sequence[Place]) -> Floats:
    """Errors less their least-squares fit to a constant and these slices."""
    known_NC = np.stack([np.ones(len(error_N)), *(place.in_a_N.astype(float) for place in chosen)], axis=1)
    return np.asarray(error_N - known_NC @ np.linalg.lstsq(known_NC, error_N, rcond=None)[0])


def _shrunk(b: Rows, places: Sequence[Place], population: Sequence[Place]) -> tuple[float, ...]:
    """Error of each place on dev_b, pulled toward the mean of all slices that were looked at, as far as it is small.

    On dev_b alone: the rows that chose a slice say too much against it. The slices overlap, which `stats.shrink` takes
    for independent, and rows of a group count one by one.
    """
    rest = [place for place in population if place.in_b_N.any() and all(place is not one for one in places)]
    every = [*places, *rest]
    errors = [float(b.error_N[place.in_b_N].sum()) for place in every]
    counts = [int(place.in_b_N.sum()) for place in every]
    if not sum(counts):
        return tuple(float(b.error_N.mean()) for _ in places)
    return shrink(errors, counts)[: len(places)]


def _ranked(found: Found, metric: str, causes: Mapping[str, Cause], target_error: float | None) -> Ranking:
    """The records, by priority: prevalence times the shrunk error above the target."""
    adjusted = holm([test.p_value for test in found.tests])
    target = target_error if target_error is not None else float(found.b.error_N.mean()) if found.places else 0.0
    weaknesses = [_weakness(found, at, p_holm, metric, causes, target) for at, p_holm in enumerate(adjusted)]
    weaknesses.sort(key=lambda weakness: (-weakness.priority, weakness.name))
    untested = [
        f"{place.name}: {test.why_missing}"
        for place, test in zip(found.places, found.tests, strict=True)
        if test.why_missing
    ]
    notes = (*sorted(untested), *found.notes)
    return Ranking(tuple(weaknesses), notes, len(found.a.results), len(found.b.results))


def _weakness(
    found: Found, at: int, p_holm: float | None, metric: str, causes: Mapping[str, Cause], target: float
) -> Weakness:
    place, a, b = found.places[at], found.a, found.b
    inside = [a.results[row] for row in np.flatnonzero(place.in_a_N)]
    wrong = sorted((row for row in inside if is_wrong(row, metric)), key=lambda row: (row.score, row.example))
    counted = Counter(causes[row.example].name for row in wrong if row.example in causes)
    likely = dict(sorted(counted.items(), key=lambda item: (-item[1], tuple(REMEDIES).index(item[0]))))
    prevalence = float(place.in_a_N.sum() + place.in_b_N.sum()) / (len(a.error_N) + len(b.error_N))
    return Weakness(
        name=place.name,
        kind=place.kind,
        columns=place.columns,
        terms=place.terms,
        found=score_of(a, place.in_a_N),
        checked=score_of(b, place.in_b_N),
        p_holm=p_holm,
        confirmed=p_holm is not None and p_holm <= LEVEL,
        prevalence=prevalence,
        shrunk_error=found.shrunk[at],
        priority=prevalence * max(found.shrunk[at] - target, 0.0),
        causes=likely,
        remedy=REMEDIES[next(iter(likely))] if likely else "",
        examples=tuple(row.example for row in wrong[:NUM_EXAMPLES]),
    )
