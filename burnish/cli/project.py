"""Commands about a project as a whole: init, config, doctor."""

import shlex
from pathlib import Path
from typing import Annotated, get_args

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, SetOption, local_base, opened
from burnish.cli.terminal import make_talk, plain, print_found, print_json, print_table, print_text, tell
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
    from burnish.records import TaskKind

    if task and task not in get_args(TaskKind):
        raise UsageError(f"--task is {task!r}", hint=f"it is one of {', '.join(get_args(TaskKind))}")
    changes: dict[str, object] = {
        "project": plain(folder.resolve().name),
        "base": local_base(base, folder) or Settings().base,
    }
    settings = settings_with(Settings(), changes)
    if source and not task:
        settings = settings_from(str(source), settings)
    elif task:
        settings = settings_with(settings, {"task.kind": task})
    project = create_project(folder, settings)
    print_text(f"{project.folder / SETTINGS_FILE}: task {settings.task.kind}, base {settings.base}")
    where = f"--project {shlex.quote(str(folder))}"
    add = f"burnish data add {shlex.quote(str(source)) if source else 'FILE'} {where}"
    tell(f"\nnext: {add}\n      burnish round {where}")


@config.command("show")
def show_config(project: ProjectOption = HERE, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Print every setting as it is now."""
    import yaml

    settings = opened(project, changes).settings.model_dump(mode="json")
    print_found(
        {"settings": settings}, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).rstrip(), as_json=as_json
    )


@config.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of burnish.yaml, for editors."""
    from burnish.settings import json_schema

    print_json(json_schema())


def restore(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Bring a damaged project database back from its newest good daily copy; the damaged one is kept aside."""
    from burnish.store.backup import restore_backup

    done = restore_backup(project, make_talk(quiet=as_json))
    print_found(
        {"backup": str(done.backup), "aside": str(done.aside)},
        f"restored from {done.backup}; what was there is in {done.aside}",
        as_json=as_json,
    )


def doctor(
    project: ProjectOption = HERE,
    fast: Annotated[bool, typer.Option("--fast", help="Leave out the measurements.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Report versions, devices, speed, disk, and what is missing with the command that mends it."""
    from burnish.cli.health import examine

    health = examine(project, measure=not fast)
    if as_json:
        print_json({"schema_version": 1, **health.as_json()})
        return
    print_table("", ["what", "found"], health.as_table())
    for problem in (*health.risks, *health.missing):
        print_text(f"\n{problem.what}\n  mend it: {problem.mend}")
    if not health.missing:
        print_text("\nnothing that a command needs is missing")
