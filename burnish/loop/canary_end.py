"""How a canary ends without a person: on its evidence, or because another champion came, whatever brought that one."""

from contextlib import suppress

from burnish.errors import BusyError
from burnish.loop.outcomes import Found, look
from burnish.loop.project import Project
from burnish.registry import champion
from burnish.store.deployments import Canary, End, end_canary, running_canary

MACHINE = "burnish"
"""Who moves a canary on evidence."""


def end(project: Project, canary: Canary, outcome: End, why: str, found: Found | None = None) -> Canary:
    """Ends it with the evidence there is. Raises BusyError when another process has just moved it."""
    evidence = (found or look(project, canary)).evidence
    return end_canary(project.store, canary, outcome, evidence, reason=why, by=MACHINE)


def overtaken(project: Project, canary: Canary) -> tuple[End, str] | None:
    """How and why a canary ends whose champion is champion no more."""
    now = champion(project.store)
    if now is not None and now.name == canary.against:
        return None
    if now is not None and now.name == canary.challenger:
        return "promoted", f"{now.name} is the champion"
    return "stopped", f"the champion is {now.name if now else 'none'}, and no longer {canary.against}"


def end_overtaken(project: Project) -> None:
    """For whoever has moved the champion: a canary against the one before ends, so that going back revives none."""
    canary = running_canary(project.store)
    if canary is not None and (how := overtaken(project, canary)) is not None:
        with suppress(BusyError):  # another process has ended it
            end(project, canary, *how)
