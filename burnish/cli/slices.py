"""Commands about slices that traffic suggests: slices list, accept, dismiss."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, opened
from burnish.cli.terminal import print_found, print_json, print_table, print_text, tell

if TYPE_CHECKING:
    from burnish.loop.slice_candidates import CandidateSlice
    from burnish.loop.traffic_slices import Act
    from burnish.records import Interval

group = typer.Typer(
    help="Slices that traffic suggests: look at their evidence, accept or dismiss them.", no_args_is_help=True
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a slice, as `slices list` gives it.")]
ByOption = Annotated[str, typer.Option("--by", help="Who decides it; kept in the log.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the log.")]


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.add_typer(group, name="slices")


@group.command("list")
def list_slices(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show every slice that an alarm has suggested, with what later traffic and people say of it."""
    from burnish.loop.slice_candidates import candidate_slices
    from burnish.records import as_json as data_of

    found = candidate_slices(opened(project))
    if as_json:
        print_json({"schema_version": 1, "slices": [data_of(one) for one in found]})
    elif found:
        show_slices(found)
    else:
        tell("no alarm has suggested a slice yet: burnish watch")


@group.command("accept")
def accept_slice(
    name: NameArgument, by: ByOption, reason: ReasonOption, project: ProjectOption = HERE, as_json: JsonOption = False
) -> None:
    """Use a slice from the next round on: measured, planned for and reported like a declared one."""
    _decide(project, name, "accepted", by, reason, as_json=as_json)


@group.command("dismiss")
def dismiss_slice(
    name: NameArgument, by: ByOption, reason: ReasonOption, project: ProjectOption = HERE, as_json: JsonOption = False
) -> None:
    """Leave a slice out, also one that was accepted; alarms about the same terms suggest it no more."""
    _decide(project, name, "dismissed", by, reason, as_json=as_json)


def show_slices(found: Sequence["CandidateSlice"]) -> None:
    """A table of slices with their evidence; nothing where there is none."""
    if not found:
        return
    rows: list[list[object]] = [
        [
            one.name,
            ", ".join(one.terms),
            one.state,
            f"{_percent(one.usual)} at most {one.usual.high or 0.0:.1%}",
            f"{_percent(one.later)} of {one.later.n:,}",
            f"e {one.evidence:.3g} of {one.bar:.3g}" + (", proven" if one.is_confirmed else ""),
            f"{_percent(one.answered)} of {one.answered.n}",
        ]
        for one in found
    ]
    columns = ["slice", "texts with one of", "state", "in own rows", "in requests since", "more common", "right"]
    print_table("slices that traffic suggests", columns, rows)
    if any(one.state == "candidate" for one in found):
        print_text('  run: burnish slices accept NAME --by NAME --reason "..."')


def _percent(share: "Interval") -> str:
    return "-" if share.value is None else f"{share.value:.1%}"


def _decide(project: Path, name: str, act: "Act", by: str, reason: str, *, as_json: bool) -> None:
    from burnish.loop.slice_candidates import decide_slice
    from burnish.records import as_json as data_of

    found = decide_slice(opened(project), name, act, by=by, reason=reason)
    print_found({"slice": data_of(found)}, f"{found.name}: {found.state}", as_json=as_json)
