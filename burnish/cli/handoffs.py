"""The command that says which cases go to a person, and how many fewer than before: handoffs."""

from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, opened, working
from burnish.cli.terminal import print_json, print_table, print_text


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("handoffs")(compare_handoffs)


def compare_handoffs(
    of: Annotated[str, typer.Option("--of", help="base, champion, or a version's name.")] = "champion",
    against: Annotated[str, typer.Option("--against", help="Another version.", show_default="the one before it")] = "",
    errors: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of wrong answers that may reach nobody, at most.")
    ] = 0.1,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say how many cases go to a person, against the version before: thresholds from dev_b, counted on dev_a."""
    from burnish.loop.project import followed

    place = opened(project)
    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        from burnish.loop.handing import handoffs_of_project

        found = handoffs_of_project(place, talk, of=of, against=against, target=errors, should_stop=should_stop)
    if as_json:
        from burnish.records import as_json as data_of

        print_json({"schema_version": 1, **data_of(found)})
        return
    from burnish.report.handed import COLUMNS, handoff_words

    told = handoff_words(found)
    assert told is not None
    print_text("\n".join([told.lead, *told.sides]))
    print_table("", list(COLUMNS), [list(row) for row in (*told.rows, *told.slices)])
    print_text("\n".join(told.notes))
