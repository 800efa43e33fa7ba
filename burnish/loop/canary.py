"""A challenger on real traffic: started by a person, moved and ended by evidence, by a person, or by what changed.

The champion stays champion until benefit is proven at the last stage; until then going back is to stop asking the
challenger. Its pointer is moved by the registry alone, under the project's rule of approval.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from burnish.betting import Interval
from burnish.errors import BurnishError, UsageError
from burnish.loop.approval import approval_subject, demand_approver
from burnish.loop.canary_end import MACHINE, end, overtaken
from burnish.loop.canary_wait import is_due, waits_for
from burnish.loop.kept import learned_since
from burnish.loop.outcomes import Found, gather_outcomes, look
from burnish.loop.preferred import gather_comparisons
from burnish.loop.project import Project
from burnish.records import ModelVersion
from burnish.registry import BASE, champion, folder_of, get, promote
from burnish.store.chain import find_entry
from burnish.store.deployments import Canary, End, Mode, Plan, end_canary, ramp_canary, running_canary, start_canary
from burnish.store.failpoints import failpoint
from burnish.store.users import checked_name
from burnish.talk import Talk

END_S = 10.0
"""Seconds that a look may take to end with the server."""


class Step(NamedTuple):
    """What one look at the evidence did."""

    act: Literal["none", "kept", "ramped", "ended", "waits"]
    """none: no canary runs; waits: benefit is proven, and people have to say something first."""
    canary: Canary | None
    found: Found | None
    """None where none runs, or where it ended for another reason than its evidence."""
    waits_for: str = ""
    """What people have to do before it goes up, in a sentence; empty: nothing."""


def start(project: Project, name: str, *, mode: Mode, by: str, reason: str, force: bool = False) -> Canary:
    """Begins a canary of a version.

    Raises UsageError for an unknown version, one that the gate did not pass (unless forced), that people refused or
    that learned what was forgotten since; without a name or a reason; for somebody who may not approve, where approval
    is required; and while another canary runs.
    """
    version, now = get(project.store, name), champion(project.store)
    by = demand_approver(project, by) if project.settings.approval.required else checked_name(by)
    if not reason.strip():
        raise UsageError("a canary needs a reason", hint='say why: --reason "..."')
    if now is None or now.name == version.name:
        found = "there is no champion yet" if now is None else f"{version.name} is the champion"
        raise UsageError(f"{found}, so there is nothing to compare with", hint="see `burnish models`")
    _demand_passed(version, force=force)
    if why := unfit(project, version):
        raise UsageError(f"{version.name} must not answer: {why}", hint="run a new round: burnish round")
    folder_of(project.store, version)
    names = {"challenger": version.name, "against": now.name, "by": by, "reason": reason}
    return start_canary(project.store, plan=_plan(project, mode), **names)


def step(project: Project) -> Step:
    """Looks at the evidence and moves the canary if it has to; done twice, or by two at once, it moves once."""
    canary = running_canary(project.store)
    if canary is None:
        return Step("none", None, None)
    if how := _overtaken(project, canary):
        return Step("ended", end(project, canary, *how), None)
    gather_outcomes(project, canary)
    gather_comparisons(project, canary)
    found = look(project, canary)
    failpoint("canary.weighed")
    if found.evidence.harm >= 1 / canary.plan.alpha:
        why = f"harm is proven: {told(found)}"
        return Step("ended", end(project, canary, "rolled back", why, found), found)
    if not is_due(canary, found):
        return Step("kept", canary, found)
    if why := waits_for(project, canary, found):
        return Step("waits", canary, found, why)
    return _go_up(project, canary, found)


def stop(project: Project, *, by: str, reason: str) -> Canary:
    """Ends the canary by hand: the champion answers alone again. Raises UsageError where none runs."""
    canary, by = running_canary(project.store), checked_name(by)
    if canary is None:
        raise UsageError("no canary runs", hint="see `burnish deploy status`")
    return end_canary(project.store, canary, "stopped", look(project, canary).evidence, reason=reason, by=by)


def in_words(project: Project) -> str:
    """Where the canary that runs stands, as a sentence; empty: none runs."""
    canary = running_canary(project.store)
    if canary is None:
        return ""
    way = "unseen beside" if canary.plan.mode == "shadow" else f"at {canary.share:.0%} against"
    found = look(project, canary)
    waits = waits_for(project, canary, found)
    return f"Canary of {canary.challenger} {way} {canary.against}: {told(found)}{f'; {waits}' if waits else ''}."


def facts(project: Project, canary: Canary, found: Found | None) -> dict[str, Any]:
    """A canary as scripts get it."""
    last, gain = canary.moves[-1], found.gain if found else None
    return {
        "canary": canary.number,
        "challenger": canary.challenger,
        "against": canary.against,
        "mode": canary.plan.mode,
        "shares": list(canary.plan.shares),
        "stage": canary.stage,
        "share": canary.share,
        "alpha": canary.plan.alpha,
        "outcome": last.outcome or "running",
        "started": canary.moves[0].at,
        "moved": last.at,
        "by": last.by,
        "reason": last.reason,
        "pairs": found.evidence.pairs if found else last.pairs,
        "harm": found.evidence.harm if found else last.harm,
        "benefit": found.evidence.benefit if found else last.benefit,
        "gain": _interval(gain) if gain else None,
        "conversations": {"challenger": found.num_challenger, "champion": found.num_champion} if found else None,
        "compared": found.num_compared if found else None,
        "judge_lean": _interval(found.lean) if found else None,
        "judge_refused": found.is_judge_refused if found else None,
        "waits_for": waits_for(project, canary, found) if found and canary.is_running else "",
        "feedback_kept": project.settings.serve.traffic.keep,
    }


def _interval(one: Interval) -> dict[str, Any]:
    return dict(one._asdict())


@contextmanager
def watched(project: Project, talk: Talk) -> Iterator[None]:
    """Looks at the evidence every `canary.look_s` seconds, in a thread, while the block runs."""
    ending = threading.Event()
    thread = threading.Thread(target=watch, args=(project, ending, talk), name="burnish-canary", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(END_S)


def watch(project: Project, stop: threading.Event, talk: Talk) -> None:
    """Looks at the evidence again and again until `stop` is set; a look that fails is told, and the next one comes."""
    waited = ""
    while not stop.wait(project.settings.canary.look_s):
        try:
            done = step(project)
        except BurnishError as error:
            talk.say(f"the canary could not be looked at: {error.message}")
            continue
        if done.act in ("ramped", "ended") and done.canary:
            talk.say(f"canary of {done.canary.challenger}: {done.canary.moves[-1].reason}")
        if done.waits_for and done.canary and done.waits_for != waited:
            talk.say(f"canary of {done.canary.challenger}: {done.waits_for}")
        waited = done.waits_for


def unfit(project: Project, version: ModelVersion) -> str:
    """Why a version must not answer real traffic; empty: it may."""
    with project.store.db.read() as connection:
        answer = find_entry(connection, approval_subject(version.round))
    if answer is not None and answer.kind == "refusal" and answer.facts.get("challenger") == version.name:
        return f"{answer.facts.get('by')} refused it after round {version.round}"
    learned = learned_since(project).get(version.name, 0)
    return f"it learned {learned} of the rows that were forgotten since" if learned else ""


def told(found: Found) -> str:
    """The evidence in words."""
    gain, evidence = found.gain, found.evidence
    if gain.value is None or gain.low is None or gain.high is None:
        return "no outcome yet"
    points = f"{100 * gain.value:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    return (
        f"{points} over {gain.n} differences; evidence of harm {evidence.harm:.3g}, of benefit {evidence.benefit:.3g}"
    )


def _demand_passed(version: ModelVersion, *, force: bool) -> None:
    if version.decision != "PROMOTE" and version.name != BASE and not force:
        raise UsageError(
            f"the gate did not pass {version.name}: its verdict was {version.decision or 'never asked for'}",
            hint="add --force to try it out all the same; the reason and the verdict stay in the log",
        )


def _plan(project: Project, mode: Mode) -> Plan:
    settings = project.settings.canary
    if mode == "shadow" and project.settings.task.kind == "text":
        raise UsageError(
            "a shadow's answers are compared with the right ones, and free texts are hardly ever equal",
            hint="leave --shadow away: users then judge the challenger's answers",
        )
    shares = (settings.shadow_share,) if mode == "shadow" else settings.shares
    return Plan(mode=mode, shares=shares, alpha=settings.alpha, least=settings.least)


def _overtaken(project: Project, canary: Canary) -> tuple[End, str] | None:
    """How and why a canary ends without a look at its evidence."""
    if how := overtaken(project, canary):
        return how
    why = unfit(project, get(project.store, canary.challenger))
    return ("rolled back", f"{canary.challenger} must not answer: {why}") if why else None


def _go_up(project: Project, canary: Canary, found: Found) -> Step:
    why = f"benefit is proven: {told(found)}"
    if canary.plan.mode == "shadow":
        return Step("ended", end(project, canary, "proven", why, found), found)
    if canary.stage + 1 < len(canary.plan.shares):
        return Step("ramped", ramp_canary(project.store, canary, found.evidence, reason=why, by=MACHINE), found)
    promote(project.store, canary.challenger, why, f"canary {canary.number}", over=canary.against)
    failpoint("canary.promoted")
    return Step("ended", end(project, canary, "promoted", why, found), found)
