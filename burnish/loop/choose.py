"""From several trained adapters to one challenger, by the task's own metric on dev_b."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from burnish.loop.stages import Shop, score_stage, version_of
from burnish.records import Evaluation, ModelVersion, Trial
from burnish.store.manifest import Sealed
from burnish.tune.search import pick


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The challenger, every trial with its dev_b score, and the evaluation that decided."""

    challenger: ModelVersion
    trial: Trial
    trials: tuple[Trial, ...]
    on_dev_b: Evaluation


def choose_challenger(shop: Shop, sealed: Sealed, trials: Sequence[Trial], champion: ModelVersion) -> Choice:
    """Scores every adapter that learned something on dev_b and takes the best by the one-standard-error rule."""
    usable = [trial for trial in trials if trial.stopped not in ("outrun", "diverged")] or list(trials)
    scored = [(trial, score_stage(shop, version_of(shop, sealed, trial, champion), "dev_b")) for trial in usable]
    by_name = {trial.candidate.name: evaluation for trial, evaluation in scored}
    known = tuple(
        replace(trial, dev_score=by_name[trial.candidate.name].overall) if trial.candidate.name in by_name else trial
        for trial in trials
    )
    chosen = pick([trial for trial in known if trial.dev_score is not None])
    return Choice(
        challenger=version_of(shop, sealed, chosen, champion),
        trial=chosen,
        trials=known,
        on_dev_b=by_name[chosen.candidate.name],
    )
