"""Searches as their file remembers them: an SQLite file that Optuna's dashboard opens, too."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from burnish.errors import StorageError
from burnish.records import Trial, from_json

Values = Mapping[str, Any]
"""A value for each dimension of the space, by name."""

CHOICE = "chosen"
SCOPE, TURN = "scope", "turn"
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
WAIT_S = 60
"""How long a write waits for another process that holds the file, such as the dashboard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A proposal after its training."""

    number: int
    values: Values
    trial: Trial
    move: float | None = None
    """Size of the update relative to the weights that it changes; None for a trial that left early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a search was made for."""

    round: int
    """The round that comes next."""
    num_rows: int
    """Training rows that it may use."""
    total_rows: int
    """Training rows that there are."""
    repeats: str = ""
    """Name of the search on fewer rows whose best settings it trains again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSearch:
    """A search as its file remembers it."""

    name: str
    scope: Scope
    tried: tuple[Tried, ...]
    choice: Values | None
    """What it came to; None while it has not ended."""


def latest_search(path: Path, number: int) -> list[KeptSearch]:
    """The last search that was made for round `number`, after the one on fewer rows that it repeats; empty if none was.

    Raises StorageError when Optuna cannot read the file.
    """
    with _reading(path) as storage:
        summaries = optuna.get_all_study_summaries(storage=storage, include_best_trial=False)
        known = {summary.study_name: summary.user_attrs for summary in summaries if SCOPE in summary.user_attrs}
        scopes = {name: from_json(Scope, attributes[SCOPE]) for name, attributes in known.items()}
        made = [name for name, scope in scopes.items() if scope.round == number]
        if not made:
            return []
        last = max(made, key=lambda name: int(known[name][TURN]))
        return [
            KeptSearch(
                name=name,
                scope=scopes[name],
                tried=tuple(tried_of(optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False))),
                choice=known[name].get(CHOICE),
            )
            for name in (scopes[last].repeats, last)
            if name in scopes
        ]


@contextmanager
def _reading(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = opened(path)
        try:
            yield storage
        finally:
            close(storage)
    except (SQLAlchemyError, OptunaError, RuntimeError) as error:  # RuntimeError: made by another version of Optuna
        raise StorageError(
            f"{path} cannot be read: {type(error).__name__}", hint=f"move {path.name} away; a search begins a new one"
        ) from error


def opened(path: Path) -> optuna.storages.RDBStorage:
    """The file, made where there is none; `close` it."""
    options = {"connect_args": {"timeout": WAIT_S}}
    return optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs=options)


def close(storage: optuna.storages.RDBStorage) -> None:
    """Lets go of the file."""
    storage.remove_session()
    storage.engine.dispose()


def tried_of(trials: Sequence[FrozenTrial]) -> list[Tried]:
    """The trials with an outcome, in their order."""
    return [
        Tried(
            number=trial.number,
            values=dict(trial.params),
            trial=from_json(Trial, trial.user_attrs["trial"]),
            move=trial.user_attrs["move"],
        )
        for trial in trials
        if trial.state in DONE
    ]
