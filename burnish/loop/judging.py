"""The verifiers of a batch: for labels an ensemble fitted on people's rows, and cross-fitted adapters or the champion.

Answers that are fields or texts are held against their prompts where people's are (loop/verifying.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.loop.crossfit import CrossFit
from burnish.loop.making import Making
from burnish.loop.solving import VERIFIER, Solver
from burnish.loop.stages import Shop
from burnish.loop.verifying import verify_answers
from burnish.records import Example, ModelVersion, as_json
from burnish.synthesize.ensemble import verify_labels
from burnish.synthesize.guards import Drop
from burnish.synthesize.moves import MOVES

FEWEST_SEEDS = 20
"""Rows of people below which nothing can be fitted and calibrated."""


class Judge:
    """Verdicts on the rows that it is asked about, kept for their provenance."""

    def __init__(
        self,
        shop: Shop,
        champion: ModelVersion,
        making: Making,
        solver: Solver | None = None,
        crossed: CrossFit | None = None,
    ) -> None:
        self.shop, self.champion, self.solver, self.crossed = shop, champion, solver, crossed
        self.parents = {one.example.id: one.provenance.parents for one in making.made}
        self.by_rule = {one.example.id for one in making.made if one.provenance.move in MOVES}
        self.stays_unjudged = {one.example.id for one in making.made} if solver else self.by_rule
        self.verdicts: Mapping[str, Mapping[str, float]] = {}
        self.quality: dict[str, Any] = {}

    def solved(self, rows: Sequence[Example]) -> Sequence[Drop]:
        """The rows that a large model, not seeing their answers, comes to other ones for; none without such a model."""
        if self.solver is None:
            return ()
        drops = self.solver.drops(rows)
        told = self.solver.verdicts
        names = {*self.verdicts, *told}
        self.verdicts = {
            name: {**self.verdicts.get(name, {}), **({VERIFIER: told[name]} if name in told else {})} for name in names
        }
        self.quality = {**self.quality, **({VERIFIER: self.solver.quality} if self.solver.quality else {})}
        return drops

    def drops(self, rows: Sequence[Example]) -> Sequence[Drop]:
        """The rows that most verifiers would have answered otherwise, or that say what they cannot know."""
        seeds, task = self.shop.seeds.of("train"), self.shop.seeds.task
        if len(seeds) < FEWEST_SEEDS or not rows:
            return ()
        if task.kind != "label":
            checked = verify_answers(rows, seeds, task, parents=self.parents)
            self.verdicts, self.quality = checked.verdicts, checked.quality
            return checked.drops
        found = verify_labels(
            rows, seeds, parents=self.parents, adapter=self._adapter(rows), keep_unjudged=self.stays_unjudged
        )
        self.verdicts = found.verdicts
        self.quality = {**as_json(found.quality), "num_rows_unjudged": found.num_unjudged}
        return found.drops

    def _adapter(self, rows: Sequence[Example]) -> Mapping[str, str]:
        """What adapters answer to rows: those that saw no parent, else the champion; the untuned base has no vote.

        The champion learned the parents of rows by rule, which are hardly other texts, and would repeat their labels,
        wrong ones, too (benchmarks/verify.md): it is asked about rows of models only.
        """
        if self.crossed:
            return self.crossed.answers(rows, self.parents)
        others = [row for row in rows if row.id not in self.by_rule]
        if not self.champion.artifact or not others:
            return {}
        told = self.shop.bench.score(self.champion, self.shop.seeds.task, others)
        return {row.example: row.output for row in told.rows}
