"""The command that says where a model is weak: diagnose."""

from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, opened, working
from burnish.cli.terminal import print_found


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("diagnose")(diagnose_model)


def diagnose_model(
    model: Annotated[str, typer.Option("--model", help="base, champion, or a version's name.")] = "champion",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the slices in which a model is weak, with likely causes; each is looked for on dev_a and tested on dev_b."""
    from burnish.loop.project import followed

    place = opened(project)
    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        from burnish.loop.diagnosing import diagnose_project

        found = diagnose_project(place, talk, model=model, should_stop=should_stop)
    print_found(found.as_json(), found.as_text().rstrip(), as_json=as_json)
