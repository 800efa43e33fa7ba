"""What an attribution of a project came to: each batch with its gain, a verdict in words, its price and its weight."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from burnish.loop.project import Project
from burnish.loop.weighing import BatchWeight, kept_attribution
from burnish.records import Candidate, Interval, as_json, from_json
from burnish.report.record import AttributedBatch, AttributionReport
from burnish.report.waterfall import Step
from burnish.report.words import difference, duration, points, priced, span
from burnish.report.worth import waterfall_steps
from burnish.tune.attribution import Attribution, BatchGain

Verdict = Literal["helped", "harmed", "no difference seen", "too few rows"]
Origin = Literal["people", "synthetic", "both"]
"""Who wrote a batch; both: small batches that were taken together."""

ALPHA = 0.05
"""Two-sided level of a verdict, Holm-adjusted over the batches."""
USES = {0.0: "left out", 0.5: "counts half"}
COLUMNS = ("batch", "rows", "by", "gain in points [95%]", "verdict", "cost", "cost of a point", "next round")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What every training learns from: the first batch that people added, and replay rows."""

    name: str
    """Empty when every row is synthetic."""
    num_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionPlan:
    """What would be trained and compared, before anything is."""

    start: Start
    parts: Mapping[str, int]
    """Batches to leave out, one at a time, with their rows."""
    repeats: int
    num_adapters: int
    num_scored: int
    """Rows of dev_b that each adapter answers."""
    recipe: Candidate
    epochs: int
    seconds: float
    """All of it, at most: early stopping may end trainings sooner."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            **as_json(self),
            "parts": [{"name": name, "num_rows": rows} for name, rows in self.parts.items()],
            "recipe": _recipe(self.recipe, self.epochs),
        }

    def as_text(self) -> str:
        """Some lines for people."""
        compared = [f"  {name}: {rows:,} rows" for name, rows in self.parts.items()]
        start = f"{self.start.name} ({self.start.num_rows:,} rows)" if self.start.name else "nothing"
        return "\n".join(
            [
                f"{self.num_adapters} adapters in one bank, {self.repeats} of each kind, lr {self.recipe.lr:g}, "
                f"rank {self.recipe.rank}, at most {self.epochs} epochs",
                f"each learns from {start}, and from all of these but one:",
                *compared,
                f"scored on {self.num_scored:,} rows of dev_b; at most {duration(self.seconds)}; nothing was trained",
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionResult:
    """Which batch helped, and what a point of gain cost."""

    found: Attribution
    start: Start
    origins: Mapping[str, Origin]
    """Who wrote a batch, by the name of its line."""
    weights: tuple[BatchWeight, ...]
    """What the next round does with each synthetic batch."""
    recipe: Candidate
    epochs: int
    notes: tuple[str, ...]
    is_new: bool
    """False: all of it was trained and scored before."""
    plot: str
    """Place of the drawing, relative to the project folder."""

    def as_json(self) -> dict[str, Any]:
        """The stable form that `--json` prints and `.burnish/attribution.json` holds."""
        found = self.found
        kept = {name: getattr(found, name) for name in ("before", "after", "total", "unattributed")}
        return {
            "metric": found.metric,
            "num_rows": found.num_rows,
            "num_repeats": found.num_seeds,
            "start": as_json(self.start),
            "recipe": _recipe(self.recipe, self.epochs),
            **{name: None if value is None else as_json(value) for name, value in kept.items()},
            "batches": [self._batch(one) for one in found.batches],
            "weights": [as_json(one) for one in self.weights],
            "notes": list(self.notes),
            "plot": self.plot,
        }

    def table(self) -> list[list[object]]:
        """Rows of COLUMNS, the largest gain first."""
        return [
            [
                one.name,
                one.num_rows,
                self.origins[one.name],
                f"{points(one.gain.value)} {span(one.gain, signed=True)}",
                verdict_of(one),
                priced(one.cost),
                priced(one.per_point),
                _use(one.batches, {one.batch: one.weight for one in self.weights}),
            ]
            for one in self.found.batches
        ]

    def sentences(self) -> list[str]:
        """Where the gains start and end, and what to know about them."""
        found = self.found
        lines = [] if found.before is None else [f"without any of these batches: {_share(found.before)}"]
        lines.append(f"with all of them: {_share(found.after)}")
        if found.unattributed is not None:
            lines.append(
                f"unattributed: {points(found.unattributed.value)} {span(found.unattributed, signed=True)} points, "
                "by which batches overlap (above 0) or need each other (below 0)"
            )
        return [*lines, *[f"note: {note}" for note in self.notes]]

    def steps(self) -> list[Step]:
        """The waterfall from the score without any of the batches to that with all of them."""
        return waterfall_steps(_told(self.as_json(), {}))

    def _batch(self, one: BatchGain) -> dict[str, Any]:
        data = as_json(one)
        names = ("name", "batches", "num_rows", "gain", "p_holm", "p_harmful", "num_changed", "why", "cost")
        return {
            **{name: data[name] for name in names},
            "origin": self.origins[one.name],
            "verdict": verdict_of(one),
            "cost_per_point": data["per_point"],
            "by_slice": data["slices"],
        }


def last_attribution(project: Project, weights: Mapping[str, float]) -> AttributionReport | None:
    """The attribution kept in the project, with what the rows of each batch count now; None where there is none.

    `weights` is by batch, 1 for one that it does not name. Raises DataError when the record cannot be read.
    """
    return kept_attribution(project, lambda data: _told(data, weights))


def _told(data: Mapping[str, Any], weights: Mapping[str, float]) -> AttributionReport:
    scores = {name: data[name] and from_json(Interval, data[name]) for name in ("before", "after", "unattributed")}
    return AttributionReport(
        metric=data["metric"],
        num_rows=data["num_rows"],
        num_repeats=data["num_repeats"],
        start=data["start"]["name"],
        **scores,
        batches=tuple(_attributed(one, weights) for one in data["batches"]),
        notes=tuple(data["notes"]),
    )


def _attributed(one: Mapping[str, Any], weights: Mapping[str, float]) -> AttributedBatch:
    same = ("name", "num_rows", "origin", "gain", "verdict", "cost", "cost_per_point")
    return from_json(AttributedBatch, {**{name: one[name] for name in same}, "use": _use(one["batches"], weights)})


def _use(batches: Iterable[str], weights: Mapping[str, float]) -> str:
    """What becomes of the rows of batches that were weighed together."""
    least = min((weights.get(name, 1.0) for name in batches), default=1.0)
    return USES.get(least, "in full")


def verdict_of(batch: BatchGain) -> Verdict:
    """helped or harmed where interval and p-value, adjusted over the batches, both exclude no difference."""
    seen = difference(batch.gain)
    if seen == "too few rows":
        return "too few rows"
    if batch.p_holm is None or batch.p_holm > ALPHA or seen == "no difference seen":
        return "no difference seen"
    return "helped" if seen == "better" else "harmed"


def _recipe(recipe: Candidate, epochs: int) -> dict[str, Any]:
    return {"lr": recipe.lr, "rank": recipe.rank, "alpha": recipe.alpha, "epochs": epochs}


def _share(score: Interval) -> str:
    return "not scored" if score.value is None else f"{100 * score.value:.1f}% {span(score)}"
