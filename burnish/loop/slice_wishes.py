"""What a round wishes for in slices that traffic suggested: rows that hold their terms, whatever dev_a says of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from burnish.diagnose.confirm import MIN_ROWS
from burnish.diagnose.diagnosis import Diagnosis
from burnish.diagnose.rows import text_of
from burnish.loop.seeds import Seeds
from burnish.loop.traffic_slices import TrafficSlice
from burnish.records import Example, Interval, Weakness
from burnish.talk import Talk

NOT_MEASURED = Interval(value=None, low=None, high=None, n=0)


def by_terms(found: Diagnosis, seeds: Seeds) -> list[Weakness]:
    """The weaknesses of a diagnosis, slices of traffic by their terms, and beside them the slices that it cannot test.

    A row that is made has no column of a slice: it is in one by what its text holds. A slice with fewer than five rows
    in dev_a or dev_b counts by its share of the traffic that suggested it, its error taken to be halfway between that
    of dev_a and all wrong. Both stay what they are while traffic goes on, and so does the plan.
    """
    told = [_by_terms(weak, seeds.slices) for weak in found.weaknesses]
    return [*told, *(_unmeasured(one, found) for one in seeds.slices if not is_measured(one, seeds))]


def is_measured(one: TrafficSlice, seeds: Seeds) -> bool:
    """Whether dev_a can show that a slice is weak, and dev_b confirm it."""
    return all(sum(one.column in row.slices for row in seeds.of(role)) >= MIN_ROWS for role in ("dev_a", "dev_b"))


def note_of_empty(slices: Sequence[TrafficSlice], people: Sequence[Example]) -> Iterator[str]:
    """A sentence for each slice from which no row can be made, as people wrote none."""
    for one in slices:
        if not any(one.holds(text_of(row)) for row in people):
            yield (
                f"{one.column}: no row of people is in it, so none is made; answer some of its requests "
                "(burnish round --from-traffic)"
            )


def tell_slices(seeds: Seeds, talk: Talk) -> None:
    """Says what each slice of traffic is, and how many rows measure it."""
    for one in seeds.slices:
        rows = {role: sum(one.column in row.slices for row in seeds.of(role)) for role in ("dev_a", "dev_b")}
        told = f"slice {one.column}, texts with one of {', '.join(one.terms)}"
        talk.say(f"{told}: {rows['dev_a']:,} rows of dev_a, {rows['dev_b']:,} of dev_b")


def _by_terms(weak: Weakness, slices: Sequence[TrafficSlice]) -> Weakness:
    for one in slices:
        if one.column in weak.columns:
            rest = {column: value for column, value in weak.columns.items() if column != one.column}
            return replace(weak, columns=rest, terms=one.terms)
    return weak


def _unmeasured(one: TrafficSlice, found: Diagnosis) -> Weakness:
    usual = found.num_wrong / max(1, found.num_looked)
    error = (usual + 1.0) / 2
    return Weakness(
        name=f"{one.column}, of which too few rows are measured",
        kind="declared",
        terms=one.terms,
        found=NOT_MEASURED,
        checked=NOT_MEASURED,
        p_holm=None,
        confirmed=False,
        prevalence=one.share,
        shrunk_error=error,
        priority=one.share * (error - usual),
    )
