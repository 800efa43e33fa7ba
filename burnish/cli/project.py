"""Commands about a project as a whole: init, config, doctor."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, SetOption, opened
from burnish.cli.terminal import print_json, print_table, print_text
from burnish.errors import UsageError

config = typer.Typer(help="Show settings and their schema.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command()(init)
    app.add_typer(config, name="config")
    app.command()(doctor)
    app.command()(restore)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A data file: its answers decide the kind of task.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="label, fields or text.")] = None,
    base: Annotated[str | None, typer.Option(help="builtin:NAME, a local folder, or a hub id.")] = None,
) -> None:
    """Make a project folder with a commented burnish.yaml."""
    from burnish.config import Settings
    from burnish.loop.attempt import settings_from
    from burnish.loop.project import SETTINGS_FILE, create_project, settings_with

    changes: dict[str, object] = {"project": folder.resolve().name}
    if base:
        changes["base"] = base
    if task and task not in ("label", "fields", "text"):
        raise UsageError(f"--task is {task!r}", hint="it is one of label, fields, text")
    settings = settings_with(Settings(), changes)
    if source and not task:
        settings = settings_from(str(source), settings)
    elif task:
        settings = settings_with(settings, {"task.kind": task})
    project = create_project(folder, settings)
    print_text(f"{project.folder / SETTINGS_FILE}: task {settings.task.kind}, base {settings.base}")
    step = f"burnish data add {source or 'FILE'} --project {folder}"
    sys.stderr.write(f"\nnext: {step}\n      burnish round --project {folder}\n")


@config.command("show")
def show_config(project: ProjectOption = HERE, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Print every setting as it is now."""
    import yaml

    settings = opened(project, changes).settings.model_dump(mode="json")
    if as_json:
        print_json({"schema_version": 1, "settings": settings})
    else:
        print_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).rstrip())


@config.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of burnish.yaml, for editors."""
    from burnish.settings import json_schema

    print_json(json_schema())


def restore(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Bring a damaged project database back from its newest good daily copy; the damaged one is kept aside."""
    from burnish.cli.terminal import make_talk
    from burnish.store.backup import restore_backup

    done = restore_backup(project, make_talk(quiet=as_json))
    if as_json:
        print_json({"schema_version": 1, "backup": str(done.backup), "aside": str(done.aside)})
    else:
        print_text(f"restored from {done.backup}; what was there is in {done.aside}")


def doctor(
    project: ProjectOption = HERE,
    fast: Annotated[bool, typer.Option("--fast", help="Leave out the measurements.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Report versions, devices, speed, disk, and what is missing with the command that mends it."""
    from burnish.cli.health import examine

    health = examine(project, measure=not fast)
    if as_json:
        print_json({"schema_version": 1, "facts": health.facts, "missing": health.missing, "risks": health.risks})
    else:
        print_table("", ["what", "found"], [[name, value] for name, value in health.facts.items()])
        for problem in (*health.risks, *health.missing):
            print_text(f"\n{problem['what']}\n  mend it: {problem['mend']}")
        if not health.missing:
            print_text("\nnothing that a command needs is missing")
