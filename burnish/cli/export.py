"""The command that hands a version to other tools: export."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, opened, working
from burnish.cli.terminal import print_json, print_text, tell
from burnish.cli.ui import demand_libraries


class Form(StrEnum):
    """What is written."""

    peft = "peft"
    merged = "merged"
    gguf = "gguf"
    ollama = "ollama"
    vllm = "vllm"


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("export")(export_model)


def export_model(
    form: Annotated[Form, typer.Option("--format", help="The tool that it is for.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to be written; a new one.")],
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="champion, or a version's name.")] = "champion",
    project: ProjectOption = HERE,
    force: Annotated[bool, typer.Option("--force", help="Also replace a folder that burnish did not write.")] = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a version for another tool, read it back, and check that it answers as it was measured."""
    desk = opened(project, changes)
    if form in (Form.gguf, Form.ollama):
        demand_libraries("export", "gguf")
    from burnish.loop.exporting import export
    from burnish.records import as_json as data_of

    with working(quiet=quiet) as (talk, _):
        done = export(desk, model, form.value, to, talk, force=force)
        for warning in done.warnings:
            talk.warn(warning)
    if as_json:
        print_json({"schema_version": 1, **data_of(done)})
        return
    print_text(done.folder)
    tell(f"{done.model}: {'unchanged, ' if done.unchanged else ''}{done.parity.sentence()}")
    tell(f"start it:\n  cd {shlex.quote(done.folder)}" + "".join(f"\n  {line}" for line in done.start))
