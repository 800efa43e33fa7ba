"""What people do after an alarm: take traffic as normal, go back to the project's own rows, or label the requests."""

from dataclasses import replace

from burnish.errors import UsageError
from burnish.loop.normal import normal_of
from burnish.loop.project import Project
from burnish.loop.requests import requests_of
from burnish.loop.seeds import gather
from burnish.loop.watch_state import WatchState, load_state, logged_alarms, save_state, watching_alone


def accept(project: Project) -> tuple[int, int]:
    """Makes the newest windows that were looked at, up to five, what is normal; returns their first and last request.

    Raises UsageError where no window was looked at.
    """
    with watching_alone(project):
        state = load_state(project)
        if not state.newest:
            raise UsageError(
                "no window was looked at yet", hint="`burnish watch` looks as soon as there is a whole one"
            )
        chosen = (state.newest[0][0], state.newest[-1][1])
        normal = normal_of(project, gather(project), chosen)
        save_state(project, _anew(state, reference=normal.identity, accepted=chosen))
    return chosen


def reset(project: Project) -> None:
    """Takes the project's own rows as normal again; traffic that was looked at stays looked at."""
    with watching_alone(project):
        save_state(project, _anew(load_state(project), reference="", accepted=None))


def rows_to_label(project: Project, most: int = 50) -> list[dict[str, str]]:
    """The texts of the newest alarm that names requests, each once, with an empty answer for people to fill in.

    Raises UsageError where no alarm names any request that is still kept.
    """
    named = next((alarm for alarm in reversed(logged_alarms(project)) if alarm.rows), None)
    if named is None:
        raise UsageError("no alarm names requests to label", hint="see `burnish watch --json`")
    kept = {row.seq: row for row in requests_of(project, named.model, named.first - 1, named.last)}
    first: dict[str, int] = {}
    for seq in named.rows:
        if seq in kept:
            first.setdefault(kept[seq].text, seq)
    if not first:
        raise UsageError("the requests of that alarm are no longer kept", hint="look more often than traffic expires")
    return [{"id": f"traffic-{seq}", "text": text, "answer": ""} for text, seq in list(first.items())[:most]]


def _anew(state: WatchState, *, reference: str, accepted: tuple[int, int] | None) -> WatchState:
    return replace(
        state, reference=reference, accepted=accepted, window=0, bets=None, wrong=(), alarmed=(), first={}, newest=()
    )
