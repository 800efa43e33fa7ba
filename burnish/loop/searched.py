"""What `burnish tune` tried before a round, from the file of its searches to the record that the report shows."""

import math
from collections.abc import Sequence
from dataclasses import replace

from burnish.config import Settings
from burnish.errors import StorageError
from burnish.loop.stages import Shop
from burnish.loop.tuning import DB_FILE, suggested
from burnish.records import CurvePoint, Trial
from burnish.report.record import SearchReport, SearchTrial
from burnish.tune.kept import KeptSearch, Tried, Values, latest_search
from burnish.tune.rungs import NUM_RUNGS, Rungs
from burnish.tune.verdict import verdict_on


def searches_of(shop: Shop) -> tuple[SearchReport, ...]:
    """The search that was made for this round, in one part or two; none when nothing was searched since the last round.

    A file that cannot be read is told and costs the round nothing but this part of its report.
    """
    path = shop.project.store.root / DB_FILE
    if not path.exists():
        return ()
    try:
        kept = latest_search(path, shop.number)
    except StorageError as error:
        shop.talk.warn(f"the report does not show the search: {error.message}")
        return ()
    return _told(kept, shop.project.settings)


def finite(trial: Trial) -> Trial:
    """The trial with None for each loss on its curve that is not finite, which JSON could not hold."""
    return replace(trial, curve=tuple(_finite_point(point) for point in trial.curve))


def _finite_point(point: CurvePoint) -> CurvePoint:
    return replace(point, train_loss=_finite(point.train_loss), dev_loss=_finite(point.dev_loss))


def _finite(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) else None


def _told(kept: Sequence[KeptSearch], settings: Settings) -> tuple[SearchReport, ...]:
    """One record for each search; what the last one came to is marked in the one that it repeats, too."""
    kept = [search for search in kept if search.tried]
    parts = [_report_of(search) for search in kept]
    choice = kept[-1].choice if kept else None
    if choice is None:
        return tuple(parts)
    verdict = verdict_on(kept[-1].tried)
    if verdict.chosen.values != choice:  # trials came after the choice, and no new one was made
        return tuple(parts)
    last = replace(
        parts[-1],
        chosen=verdict.chosen.number,
        best=verdict.best.number,
        reason=verdict.reason,
        is_used=not suggested(choice, settings),
    )
    again = f"the best of those that were trained again on all {last.num_rows:,} rows"
    return (*(replace(part, chosen=_number_of(choice, part), reason=again) for part in parts[:-1]), last)


def _report_of(search: KeptSearch) -> SearchReport:
    return SearchReport(
        study=search.name,
        num_rows=search.scope.num_rows,
        total_rows=search.scope.total_rows,
        trials=tuple(_trial_of(one) for one in search.tried),
    )


def _trial_of(one: Tried) -> SearchTrial:
    rungs, num_rungs = _rungs(one)
    return SearchTrial(
        number=one.number,
        values=dict(one.values),
        trial=finite(one.trial),
        move=one.move,
        rungs=rungs,
        num_rungs=num_rungs,
    )


def _rungs(one: Tried) -> tuple[int, int]:
    """Rungs reached, and how many there were: the steps of a whole run follow from how far its curve came."""
    last = one.trial.curve[-1] if one.trial.curve else None
    if last is None or not last.epoch:
        return 0, NUM_RUNGS
    return Rungs().passed(last.step, round(last.step * one.values["epochs"] / last.epoch))


def _number_of(choice: Values, part: SearchReport) -> int | None:
    return next((one.number for one in part.trials if one.values == choice), None)
