"""A look of the monitor: windows of new traffic one after the other, then the log, then whoever wants to be told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from burnish.diagnose.rows import text_of
from burnish.loop.flagged import flagged
from burnish.loop.normal import HELD_OUT, Normal, model_in_use, normal_of
from burnish.loop.project import Project
from burnish.loop.raising import alarm_of, tell_webhook
from burnish.loop.requests import Request, requests_in, requests_of, said_of
from burnish.loop.seeds import gather
from burnish.loop.watch_state import (
    WatchState,
    load_state,
    log_alarms,
    save_state,
    watching_alone,
)
from burnish.monitor.alarms import Alarm, Budget, Reading, Signal
from burnish.monitor.risk import evidence_above, risk_interval
from burnish.monitor.window import Look, first_bets, look_at
from burnish.records import Interval
from burnish.talk import Talk

KEPT_WINDOWS = 5
"""Newest windows that can be accepted as normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One window and what every signal said of it."""

    window: int
    first: int
    last: int
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What came of a look."""

    model: str
    reference: str
    """In words."""
    windows: tuple[Seen, ...]
    risk: Reading | None
    """By feedback of the current stretch of windows; None where nobody said anything."""
    alarms: tuple[Alarm, ...]
    num_waiting: int
    """Requests that make no whole window yet."""
    texts: dict[int, str]
    """Of requests that alarms name, by number; for the terminal alone, kept nowhere."""
    notes: tuple[str, ...] = ()


def watch_project(project: Project, talk: Talk) -> Watched:
    """Looks at all new traffic of the model in use. A window is looked at once, whenever and however often it is asked.

    Raises DataError on a project with too few rows, BusyError while another look runs.
    """
    with watching_alone(project):
        state, notes = _standing(project)
        normal = normal_of(project, gather(project), state.accepted)
        if state.reference not in ("", normal.identity):
            talk.warn("what is normal has changed: evidence on outsiders starts anew")
            state = replace(state, bets=None)
        state = replace(state, reference=normal.identity)
        requests = requests_of(project, state.model, state.seq)
        state, watched = _windows(project, normal, state, requests, project.settings.watch.window, is_kept=True)
        state, risk, raised = _risk(project, normal, state)
        _keep(project, state, raised)
        tell_webhook(project, state, talk)
    return replace(watched, risk=risk, alarms=(*watched.alarms, *raised), notes=notes)


def watch_file(project: Project, path: Path) -> Watched:
    """The same for the requests in a file, from a fresh start; nothing is remembered, logged or sent.

    Fewer than a window are looked at as one. Raises what `requests_in` and `normal_of` raise.
    """
    requests, name = requests_in(path), model_in_use(project)[0]
    normal = normal_of(project, gather(project))
    state = WatchState(model=name, reference=normal.identity)
    size = min(project.settings.watch.window, len(requests))
    watched = _windows(project, normal, state, requests, size, is_kept=False)[1]
    return replace(watched, alarms=tuple(replace(alarm, command="") for alarm in watched.alarms))


def _windows(
    project: Project, normal: Normal, state: WatchState, requests: Iterable[Request], size: int, *, is_kept: bool
) -> tuple[WatchState, Watched]:
    """Looks at whole windows one after the other, each read when the one before is done."""
    seen: list[Seen] = []
    alarms: list[Alarm] = []
    texts: dict[int, str] = {}
    waiting = iter(requests)
    while len(some := list(islice(waiting, size))) == size:
        state, one, raised = _window(project, normal, state, some)
        if is_kept:
            _keep(project, state, raised)
        seen.append(one)
        alarms += raised
        texts |= _texts(some, raised)
    watched = Watched(
        model=state.model,
        reference=normal.source,
        windows=tuple(seen),
        risk=None,
        alarms=tuple(alarms),
        num_waiting=len(some),
        texts=texts,
    )
    return state, watched


def _keep(project: Project, state: WatchState, alarms: Sequence[Alarm]) -> None:
    """In this order: a kill between the two repeats the window, and its alarms are known by their names."""
    log_alarms(project, alarms)
    save_state(project, state)


def _standing(project: Project) -> tuple[WatchState, tuple[str, ...]]:
    """Where the monitor stands with the model in use; another model than last time starts anew where it took over."""
    state, name = load_state(project), model_in_use(project)[0]
    if state.model == name:
        return state, ()
    if not state.model:
        return replace(state, model=name), ()
    fresh = WatchState(model=name, seq=state.seq, feedback=state.feedback, unsent=state.unsent)
    return fresh, (f"{name} has taken over from {state.model}: all evidence starts anew",)


def _budget(project: Project) -> Budget:
    return Budget(alpha=project.settings.watch.alpha, windows=project.settings.watch.windows)


def _window(
    project: Project, normal: Normal, state: WatchState, requests: Sequence[Request]
) -> tuple[WatchState, Seen, list[Alarm]]:
    """The state after a window, what was seen and what alarms. The same state and requests give the same again."""
    settings, number = project.settings.watch, state.window + 1
    if state.window and state.window % settings.windows == 0:
        state = replace(state, bets=None, wrong=(), alarmed=())
    window = normal.window_of(requests)
    reference = replace(normal.reference, outputs={**state.first, **normal.reference.outputs})
    look = look_at(
        reference,
        window,
        state.bets or first_bets(reference),
        _budget(project),
        effect_floor=settings.effect_floor,
        seed=project.settings.seed + number,
    )
    usual = [text_of(row) for role in HELD_OUT for row in normal.seeds.of(role)]
    alarms = [
        alarm_of(state, number, (requests[0].seq, requests[-1].seq), reading, flagged_rows, usual, requests)
        for reading in look.readings
        if reading.is_alarm
        for flagged_rows in [flagged(reading.signal, normal, requests, look)]
    ]
    seen = Seen(window=number, first=requests[0].seq, last=requests[-1].seq, readings=look.readings)
    return _after(state, look, window.outputs, seen, alarms), seen, alarms


def _after(
    state: WatchState, look: Look, outputs: dict[Signal, tuple[float, ...]], seen: Seen, alarms: Sequence[Alarm]
) -> WatchState:
    """Bets that won start anew, so that an alarm on outsiders ends when they do."""
    won = any(alarm.reading.signal == "outsiders" for alarm in alarms)
    return replace(
        state.raised(alarms),
        seq=seen.last,
        window=seen.window,
        bets=None if won else look.bets,
        first=state.first or {name: outputs[name] for name in ("seconds", "tokens") if name in outputs},
        newest=(*state.newest, (seen.first, seen.last))[-KEPT_WINDOWS:],
    )


def _risk(project: Project, normal: Normal, state: WatchState) -> tuple[WatchState, Reading | None, list[Alarm]]:
    """The rate of wrong answers by feedback, held against what the model may err."""
    said, before = said_of(project, state.model, state.feedback), state.feedback
    wrong = (*state.wrong, *said.wrong)
    state = replace(state, feedback=said.last, wrong=wrong)
    if not wrong:
        return state, None, []
    rate = risk_interval(wrong)
    bar = 1.0 / _budget(project).share("risk")
    e_value = evidence_above(wrong, normal.bound) if normal.bound is not None else None
    bound = "nothing to hold it against" if normal.bound is None else f"at most {normal.bound:.0%} is expected"
    reading = Reading(
        signal="risk",
        is_alarm=bool(said.wrong) and e_value is not None and e_value >= bar,
        what=f"{rate.value or 0.0:.0%} of {rate.n:,} answers that users spoke of were wrong; {bound}",
        effect=rate.value,
        floor=normal.bound,
        e_value=e_value,
        bar=bar,
        interval=Interval(**rate._asdict()),
    )
    if not reading.is_alarm:
        return state, reading, []
    alarm = alarm_of(state, state.window, (before + 1, said.last), reading, [], [], [])
    return state.raised([alarm]), reading, [alarm]


def _texts(requests: Sequence[Request], alarms: Sequence[Alarm]) -> dict[int, str]:
    named = {seq for alarm in alarms for seq in alarm.rows}
    return {request.seq: request.text for request in requests if request.seq in named}
