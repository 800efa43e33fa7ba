"""Rounds until there is a reason to stop."""

from collections.abc import Callable

from burnish.loop.past import results
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.round import run_round
from burnish.talk import Talk


def run_rounds(
    project: Project, talk: Talk, *, rounds: int, should_stop: Callable[[], bool] = lambda: False
) -> tuple[list[RoundResult], str]:
    """At most `rounds` rounds, and why it ended.

    After a promotion the retired vault ages into dev_a and the old dev_a into train, so the next round has something
    new to learn from even without new data. After anything else only new data or settings can change the outcome.
    """
    done: list[RoundResult] = []
    while len(done) < rounds:
        past = results(project)
        fresh_rows = bool(past) and past[-1].decision == "PROMOTE" and past[-1].approval in ("", "approved")
        result, is_new = run_round(project, talk, again=fresh_rows, should_stop=should_stop)
        done += [result] if is_new or not done else []
        if result.approval == "waiting":
            return done, f"round {result.round} waits for an approval: burnish approve {result.round}"
        if not is_new:
            return done, "nothing is new: add data, or change settings"
    return done, f"{rounds} rounds were asked for"
