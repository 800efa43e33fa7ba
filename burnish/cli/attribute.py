"""The command that says which batch of data helped: attribute."""

from typing import TYPE_CHECKING, Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, opened, working
from burnish.cli.terminal import print_json, print_table, print_text

if TYPE_CHECKING:
    from burnish.loop.attributed import AttributionPlan, AttributionResult
    from burnish.loop.project import Project


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("attribute")(attribute_batches)


def attribute_batches(
    project: ProjectOption = HERE,
    repeats: Annotated[int, typer.Option(help="Trainings with all batches, and without each.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and for how long.")] = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find which batch of data helped, by training without each in turn, and what a point of gain cost."""
    from burnish.loop.project import followed

    place = opened(project, changes)
    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        from burnish.loop.attributing import attribute_project, plan_attribution

        if dry_run:
            _tell_plan(plan_attribution(place, talk, repeats=repeats), as_json=as_json)
            return
        found = attribute_project(place, talk, repeats=repeats, should_stop=should_stop)
    _tell(found, place, as_json=as_json)


def _tell_plan(plan: "AttributionPlan", *, as_json: bool) -> None:
    if as_json:
        print_json({"schema_version": 1, "dry_run": True, **plan.as_json()})
    else:
        print_text(plan.as_text())


def _tell(found: "AttributionResult", place: "Project", *, as_json: bool) -> None:
    from burnish.loop.attributed import COLUMNS

    if as_json:
        print_json({"schema_version": 1, **found.as_json(), "is_new": found.is_new})
        return
    print_table("", list(COLUMNS), found.table())
    print_text("\n".join(found.sentences()))
    print_text(f"drawing: {place.folder / found.plot}")
