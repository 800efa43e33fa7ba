"""Commands that put a version into use: deploy NAME, at once or as a canary; deploy status, step, outcomes and stop.

Those that have answers compared, deploy judge and ask, are in cli/compare.py.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from burnish.cli.options import HERE, JsonOption, ProjectOption, opened
from burnish.cli.terminal import print_json, print_table, print_text, tell
from burnish.errors import EXIT_GATE_HELD, EXIT_WAITS

if TYPE_CHECKING:
    from burnish.loop.canary import Step
    from burnish.loop.project import Project
    from burnish.store.deployments import Canary

DEFAULT = "start"
ByOption = Annotated[str, typer.Option("--by", help="Who does it; kept in the log.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the log.")]


class Deploy(TyperGroup):
    """Commands of which the first may be left away: `deploy NAME` is `deploy start NAME`."""

    def named(self, words: list[str]) -> list[str]:
        """The words with the command that is meant."""
        return words if not words or words[0] in self.commands or words[0].startswith("-") else [DEFAULT, *words]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts in the command that was left away."""
        return super().parse_args(ctx, self.named(args))


group = typer.Typer(
    cls=Deploy,
    help="Put a version into use, at once or as a canary: deploy NAME, status, step, judge, ask, outcomes, stop.",
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.add_typer(group, name="deploy")


@group.command(DEFAULT)
def start_deployment(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a version.")],
    by: ByOption,
    reason: ReasonOption,
    project: ProjectOption = HERE,
    canary: Annotated[bool, typer.Option("--canary", help="First with a share of the conversations.")] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="With --canary: beside the champion, unseen.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also without a passing verdict of the gate.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion, or try it out first (--canary). "start" may be left away."""
    from burnish.errors import UsageError
    from burnish.loop.canary import start
    from burnish.loop.standing import promote_by_hand

    if shadow and not canary:
        raise UsageError("--shadow says how a canary runs", hint=f"burnish deploy {name} --canary --shadow")
    place = opened(project)
    if canary:
        begun = start(place, name, mode="shadow" if shadow else "split", by=by, reason=reason, force=force)
        _tell(place, begun, "started", as_json=as_json)
        return
    champion = promote_by_hand(place, name, by=by, reason=reason, force=force)
    if as_json:
        print_json({"schema_version": 1, "champion": champion, "reason": reason})
    else:
        print_text(f"champion: {champion}")


@group.command("status")
def show_status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show the canary that runs, its evidence, and how earlier ones ended."""
    from burnish.loop.canary import facts
    from burnish.loop.outcomes import look
    from burnish.store.deployments import canaries

    place = opened(project)
    known = canaries(place.store)
    told = [facts(place, one, look(place, one)) for one in known]
    if as_json:
        running = told[-1] if known and known[-1].is_running else None
        print_json({"schema_version": 1, "running": running, "canaries": told})
        return
    if not known:
        tell("there was no canary yet: burnish deploy NAME --canary")
        return
    rows: list[list[object]] = [
        [one["challenger"], one["against"], one["mode"], f"{one['share']:.0%}", one["outcome"], one["reason"]]
        for one in told
    ]
    print_table("", ["challenger", "against", "mode", "share", "outcome", "why"], rows)
    if known[-1].is_running:
        _tell_evidence(place, known[-1])


@group.command("step")
def take_step(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Look at the evidence and move the canary if it has to. Exit code 3 when it rolled back, 4 when it waits."""
    from burnish.loop.canary import step

    place = opened(project)
    done = step(place)
    if done.canary is None:
        if as_json:
            print_json({"schema_version": 1, "act": "none"})
        else:
            tell("no canary runs")
        return
    _tell(place, done.canary, done.act, as_json=as_json, found=done)
    if done.act == "waits":
        tell(f'hint: by hand it is promoted with burnish deploy {done.canary.challenger} --by NAME --reason "..."')
        raise typer.Exit(EXIT_WAITS)
    if done.canary.moves[-1].outcome == "rolled back":
        raise typer.Exit(EXIT_GATE_HELD)


@group.command("outcomes")
def take_outcomes(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL with response_id and value, 0 bad to 1 good.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Add what a judge, people or a scorer make of answers as outcomes of the canary."""
    from burnish.errors import UsageError
    from burnish.loop.outcomes import add_scores, read_scores
    from burnish.store.deployments import running_canary

    place = opened(project)
    canary = running_canary(place.store)
    if canary is None:
        raise UsageError("no canary runs", hint="see `burnish deploy status`")
    scores = read_scores(file, canary.plan.mode)
    new = add_scores(place, canary, scores)
    if as_json:
        print_json({"schema_version": 1, "read": len(scores), "new": new})
    else:
        print_text(f"{new} new outcomes of {len(scores)}")


@group.command("stop")
def stop_deployment(
    by: ByOption, reason: ReasonOption, project: ProjectOption = HERE, as_json: JsonOption = False
) -> None:
    """End the canary by hand: the champion answers alone from the next request on."""
    from burnish.loop.canary import stop

    place = opened(project)
    _tell(place, stop(place, by=by, reason=reason), "ended", as_json=as_json)


def _tell(place: "Project", canary: "Canary", act: str, *, as_json: bool, found: "Step | None" = None) -> None:
    from burnish.loop.canary import facts
    from burnish.loop.outcomes import look

    weighed = (found.found if found else None) or look(place, canary)
    if as_json:
        print_json({"schema_version": 1, "act": act, **facts(place, canary, weighed)})
        return
    last = canary.moves[-1]
    state = last.outcome or f"at {canary.share:.0%}{' unseen' if canary.plan.mode == 'shadow' else ''}"
    print_text(f"canary of {canary.challenger} against {canary.against}: {state}")
    if act == "ended":
        tell(last.reason)
    else:
        _tell_evidence(place, canary)


def _tell_evidence(place: "Project", canary: "Canary") -> None:
    from burnish.loop.canary import told
    from burnish.loop.canary_wait import waits_for
    from burnish.loop.outcomes import look

    bar = 1 / canary.plan.alpha
    found = look(place, canary)
    tell(f"{told(found)}; {bar:.3g} is proof of either")
    if waits := waits_for(place, canary, found):
        tell(waits)
    if found.is_judge_refused:
        tell("the judge leans to one side, as people's answers show: none of its comparisons counts")
    if not place.settings.serve.traffic.keep:
        tell("no evidence comes in: serve.traffic.keep is off")
