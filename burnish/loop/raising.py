"""An alarm with its evidence and the likely action, and telling the webhook of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from burnish.client.webhook import post, require_webhook
from burnish.errors import BurnishError
from burnish.fingerprint import fingerprint
from burnish.loop.flagged import clusters_of
from burnish.loop.project import Project
from burnish.loop.requests import Request
from burnish.loop.watch_state import WatchState, logged_alarms, save_state
from burnish.monitor.alarms import ACTIONS, Alarm, Reading, Signal
from burnish.records import as_json
from burnish.store.db import now
from burnish.talk import Talk

TO_LABEL = "burnish watch --label rows.jsonl"
TO_ACCEPT = "burnish watch --accept"
COMMANDS: dict[Signal, str] = {
    "risk": 'burnish rollback --reason "risk alarm"',
    "input": TO_LABEL,
    "outsiders": TO_LABEL,
    "refusals": TO_LABEL,
    "unsupported": TO_LABEL,
}
"""What to type, as it stands; for the other signals TO_ACCEPT."""


def alarm_of(
    state: WatchState,
    number: int,
    span: tuple[int, int],
    reading: Reading,
    found: Sequence[Request],
    usual: Sequence[str],
    requests: Sequence[Request],
) -> Alarm:
    """The alarm that a reading raises about window `number`; a look that is taken again gives it the same name.

    `span` are its first and last request (of the risk: entries of feedback), `found` the requests to look at among
    `requests`, and `usual` texts of the reference.
    """
    return Alarm(
        id=fingerprint([state.model, state.reference, reading.signal, number, span[0]])[:16],
        at=now(),
        model=state.model,
        window=number,
        first=span[0],
        last=span[1],
        reading=reading,
        action=ACTIONS[reading.signal],
        command=COMMANDS.get(reading.signal, TO_ACCEPT),
        is_new=reading.signal not in state.alarmed,
        rows=tuple(request.seq for request in found),
        clusters=clusters_of(found, requests, usual),
    )


def tell_webhook(project: Project, state: WatchState, talk: Talk) -> None:
    """Posts the alarms that were not posted yet, each at least once; what is not taken is tried at the next look."""
    settings = project.settings.watch
    if not settings.webhook or not state.unsent:
        return
    known = {alarm.id: alarm for alarm in logged_alarms(project)}
    waiting = [known[name] for name in state.unsent if name in known]
    try:
        require_webhook(settings.webhook)
        if waiting:
            post(settings.webhook, payload_of(project, waiting), settings.timeout_s)
    except BurnishError as error:
        talk.warn(f"{error.message}; {error.hint}")
        return
    save_state(project, replace(state, unsent=()))


def payload_of(project: Project, alarms: Sequence[Alarm]) -> dict[str, Any]:
    """What is posted: no texts of requests, and no terms of theirs unless `watch.webhook_terms` says so."""
    shown = [as_json(alarm) for alarm in alarms]
    if not project.settings.watch.webhook_terms:
        for alarm in shown:
            alarm["clusters"] = [{"rows": cluster["rows"]} for cluster in alarm["clusters"]]
    return {"schema_version": 1, "project": project.settings.project, "alarms": shown}
