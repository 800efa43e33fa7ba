"""The command that puts a project into a pipeline: ci init."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption
from burnish.cli.terminal import print_json, print_text, tell


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    group = typer.Typer(no_args_is_help=True, help="Pipelines that gate a merge, and examples for serving.")
    group.command("init")(init_pipeline)
    app.add_typer(group, name="ci")


def init_pipeline(
    data: Annotated[str, typer.Option("--data", metavar="FILE", help="Examples, from the repository's root.")],
    project: Annotated[str, typer.Option("--project", "-p", help="The project, from the repository's root.")],
    folder: Annotated[Path, typer.Option("--dir", help="The repository.", show_default="here")] = HERE,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there already.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write pipelines for GitHub and GitLab whose gate decides about a merge, a Containerfile and a systemd unit."""
    from burnish.ci.pipeline import write_pipeline

    written = write_pipeline(folder, project=project, data=data, force=force)
    if as_json:
        print_json({"schema_version": 1, "folder": str(folder), "files": written})
        return
    for name in written:
        print_text(name)
    tell("commit them; the gate's exit code decides: 0 promoted, 3 held, 4 people have to answer, 6 it could not tell")
