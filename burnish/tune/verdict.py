"""What a search came to: the settings to take, and why these."""

from collections.abc import Sequence
from typing import NamedTuple

from burnish.errors import TrainingError
from burnish.records import Interval
from burnish.tune.kept import Tried
from burnish.tune.search import STANDARD_ERROR_Z


class Verdict(NamedTuple):
    """The trial to take, and the best one, from which it is at most a standard error away."""

    chosen: Tried
    best: Tried
    reason: str


def verdict_on(tried: Sequence[Tried]) -> Verdict:
    """Of all trials within one standard error of the best dev score, the one that moves the base least.

    The rule of one standard error (Breiman et al. 1984) trades a gain that nobody can tell from chance for a base that
    keeps more of what it knew. Raises TrainingError when no trial was scored.
    """
    scored = [one for one in tried if _score(one) is not None and one.move is not None]
    if not scored:
        raise TrainingError(
            "no trial of the search came to its end",
            hint="more trials (--trials), or look at the curves: every candidate diverged or left early",
        )
    best = max(scored, key=lambda one: (_value(one), -_moved(one)))
    close = [one for one in scored if _value(one) >= _value(best) - standard_error(best)]
    chosen = min(close, key=lambda one: (_moved(one), one.number))
    if chosen is best:
        return Verdict(chosen, best, "the best dev score, and no trial as good moves the base less")
    return Verdict(
        chosen,
        best,
        f"{_value(chosen):.1%} is within one standard error ({standard_error(best):.1%}) of the best, "
        f"{_value(best):.1%}, and moves the base less: {_moved(chosen):.2%} of its weights' size against "
        f"{_moved(best):.2%}",
    )


def finalists(tried: Sequence[Tried], count: int) -> list[Tried]:
    """The trials to repeat on all rows: the best by dev score, then dev loss."""
    scored = [one for one in tried if _score(one) is not None]
    return sorted(scored, key=lambda one: (-_value(one), one.trial.dev_loss or 0.0, one.number))[:count]


def standard_error(one: Tried) -> float:
    """Half a 95% interval over 1.96; 0 when there is none."""
    score = _score(one)
    if score is None or score.low is None or score.high is None:
        return 0.0
    return (score.high - score.low) / 2 / STANDARD_ERROR_Z


def _score(one: Tried) -> Interval | None:
    score = one.trial.dev_score
    return score if score is not None and score.value is not None else None


def _value(one: Tried) -> float:
    score = _score(one)
    assert score is not None, one
    assert score.value is not None, one
    return score.value


def _moved(one: Tried) -> float:
    assert one.move is not None, one
    return one.move
