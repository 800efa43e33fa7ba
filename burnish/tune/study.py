"""A search that survives a kill: Optuna proposes and remembers, and a heat is a bank of proposals with one recipe.

The storage is an SQLite file that Optuna's dashboard opens. A heat is written down before it runs, so the same call
finds it again; what was asked for but belongs to no heat is given up.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from burnish.errors import UsageError
from burnish.records import Trial, as_json
from burnish.tune.kept import CHOICE, DONE, SCOPE, TURN, Scope, Tried, Values, close, opened, tried_of
from burnish.tune.space import Recipe, Space, recipe_of

HEAT = "heat-"
LOST = -1e6
"""Reported for a trial that diverged before any dev loss: worse than every loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Proposals that run as one bank: their recipes are the same."""

    number: int
    proposals: Mapping[int, Values]
    """Values by the number under which the study knows them."""

    @property
    def recipe(self) -> Recipe:
        """What its candidates share."""
        return recipe_of(next(iter(self.proposals.values())))


class TuneStudy:
    """The proposals and results of one search; `name` identifies data, base and everything else that is fixed."""

    def __init__(self, path: Path, name: str, space: Space, *, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.name, self.space, self.seed = name, space, seed
        self._choices = _distributions(space)
        self._storage = opened(path)
        self._study = optuna.create_study(
            storage=self._storage, study_name=name, direction="maximize", load_if_exists=True
        )

    def close(self) -> None:
        """Lets go of the file."""
        close(self._storage)

    def note_scope(self, scope: Scope) -> None:
        """Notes what this search is made for, and that it is the latest of all in the file."""
        summaries = optuna.get_all_study_summaries(storage=self._storage, include_best_trial=False)
        turn = 1 + max((summary.user_attrs.get(TURN, 0) for summary in summaries), default=0)
        self._study.set_user_attr(SCOPE, as_json(scope))
        self._study.set_user_attr(TURN, turn)

    @property
    def num_heats(self) -> int:
        """Heats that were begun."""
        return sum(key.startswith(HEAT) for key in self._study.user_attrs)

    def note_choice(self, number: int) -> None:
        """Notes which trial the search came to."""
        self._study.set_user_attr(CHOICE, dict(self._trials()[number].params))

    def choices_before(self) -> list[Values]:
        """What each other search in the file came to, the latest search first."""
        summaries = optuna.get_all_study_summaries(storage=self._storage)
        decided = [s for s in summaries if s.study_name != self.name and CHOICE in s.user_attrs]
        decided.sort(key=lambda summary: str(summary.datetime_start), reverse=True)
        return [summary.user_attrs[CHOICE] for summary in decided]

    def next_heat(self, slots: int, first: Sequence[Values] = ()) -> Heat:
        """The heat that a kill interrupted, else a new one of `slots` proposals: `first`, then what Optuna thinks.

        Values of `first` that were tried, or lie outside the space, are passed over; the first that is left sets the
        recipe. Raises UsageError for less than one slot.
        """
        if slots < 1:
            raise UsageError(f"a bank of {slots} slots can hold no candidate", hint="give --slots 1 or more")
        if (interrupted := self._interrupted()) is not None:
            return interrupted
        self._give_up_strays()
        number = self.num_heats + 1
        self._study.sampler = optuna.samplers.TPESampler(seed=self.seed + number)
        wanted = self._new_ones(first)
        opening = self._ask(wanted[0] if wanted else {})
        shared = {name: opening.params[name] for name in self.space.shared}
        beside = [values for values in wanted[1:] if shared.items() <= values.items()][: slots - 1]
        asked = [opening, *(self._ask(values) for values in [*beside, *[shared] * (slots - 1 - len(beside))])]
        self._study.set_user_attr(f"{HEAT}{number:03d}", [trial.number for trial in asked])
        return Heat(number=number, proposals={trial.number: dict(trial.params) for trial in asked})

    def tell(self, number: int, trial: Trial, move: float | None) -> None:
        """Writes a result down, once: a scored trial with its dev score, others as pruned at their last dev loss."""
        known = self._trials()[number]
        if known.state in DONE:
            return
        live = optuna.trial.Trial(self._study, known._trial_id)
        losses = {point.step: point.dev_loss for point in trial.curve if point.dev_loss is not None}
        reported = {step: -loss for step, loss in losses.items() if math.isfinite(loss)} or {0: LOST}
        for step in sorted(reported.keys() - known.intermediate_values.keys()):
            live.report(reported[step], step)
        live.set_user_attr("trial", json.loads(json.dumps(as_json(trial))))
        live.set_user_attr("move", move)
        score = trial.dev_score.value if trial.dev_score else None
        if score is None:
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, score)

    def tried(self) -> list[Tried]:
        """Every trial with an outcome, in the order of their numbers."""
        return tried_of(self._trials())

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _interrupted(self) -> Heat | None:
        """The last heat, when one of its trials has no outcome."""
        if not self.num_heats:
            return None
        numbers = self._study.user_attrs[f"{HEAT}{self.num_heats:03d}"]
        trials = self._trials()
        if all(trials[number].state in DONE for number in numbers):
            return None
        return Heat(number=self.num_heats, proposals={number: dict(trials[number].params) for number in numbers})

    def _give_up_strays(self) -> None:
        """Ends what a kill left between asking and writing the heat down."""
        while any(trial.state == TrialState.WAITING for trial in self._trials()):
            self._study.ask()
        for trial in self._trials():
            if trial.state == TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)

    def _new_ones(self, first: Sequence[Values]) -> list[Values]:
        seen = [trial.params for trial in self._trials() if trial.state in DONE]
        new: list[Values] = []
        for values in first:
            if values not in seen and values not in new and self.space.holds(values):
                new.append(values)
        return new

    def _ask(self, fixed: Values) -> optuna.trial.Trial:
        """A proposal with these values, the others chosen by Optuna."""
        if fixed:
            self._study.enqueue_trial(dict(fixed))
        return self._study.ask(self._choices)


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's words."""
    choices: dict[str, BaseDistribution] = {"lr": FloatDistribution(*space.lr, log=True)}
    for name, values in {"rank": space.ranks, **space.shared}.items():
        choices[name] = CategoricalDistribution(list(values))
    return choices
