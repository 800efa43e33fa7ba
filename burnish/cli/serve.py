"""The command that serves the models of one project or several over the OpenAI API: serve."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, SetOption, opened
from burnish.cli.terminal import make_talk, print_json, print_text, tell
from burnish.cli.ui import demand_libraries
from burnish.errors import UsageError

if TYPE_CHECKING:
    from burnish.loop.project import Project
    from burnish.records import ModelVersion
    from burnish.serve.exchange import Service


FOLDERS = "Folders of projects on one base, served together; without any, --project alone."


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("serve")(serve_models)


def serve_models(
    folders: Annotated[list[Path] | None, typer.Argument(metavar="[DIR]...", help=FOLDERS, show_default=False)] = None,
    project: ProjectOption = HERE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 8378,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with a key.")] = "127.0.0.1",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the OpenAI API: champions under their projects' names, every version under its own. Ctrl-C ends it."""
    desks = [opened(folder, overrides) for folder in _places(folders or [], project)]
    demand_libraries("serve", "fastapi", "uvicorn", "llguidance", "prometheus_client")
    from burnish.port import listen
    from burnish.serve.guard import door
    from burnish.serve.keys import KEY, keys_of

    with listen(host, port) as bound:
        number = bound.getsockname()[1]
        named = {desk.settings.project: desk.settings.serve.keys for desk in desks}
        keys = [key for name, own in named.items() for key in keys_of(name, own, os.environ)]
        way_in = door(host, number, os.environ.get(KEY), keys, list(named))
        service, versions = _service(desks, quiet=as_json)
        from burnish.loop.canary import watched
        from burnish.serve.server import serve

        url = f"http://{f'[{host}]' if ':' in host else host}:{number}/v1"
        models = [{"model": name, "version": version.name} for name, version in versions.items()]
        told = {"url": url, "host": host, "port": number, **models[0], "models": models}
        try:
            with ExitStack() as looking:
                for desk in desks:
                    looking.enter_context(watched(desk, make_talk(quiet=as_json)))
                serve(service, bound, way_in, lambda: _say(told, models, as_json=as_json))
        except KeyboardInterrupt:
            tell("ended")


def _places(folders: Sequence[Path], project: Path) -> list[Path]:
    if folders and project != HERE:
        shown = " ".join(map(str, folders))
        raise UsageError(
            f"--project {project} and the folders {shown} are both named",
            hint=f"name them all as folders: burnish serve {project} {shown}",
        )
    return list(folders) or [project]


def _service(desks: "Sequence[Project]", *, quiet: bool) -> "tuple[Service, dict[str, ModelVersion]]":
    """What answers, and the version that is each project's champion, loaded and checked."""
    from burnish.loop.kept import tainted_of
    from burnish.loop.one_base import shared_base
    from burnish.loop.probing import prober
    from burnish.loop.task import task_of_project
    from burnish.serve.server import Tenant, make_service, open_log, warm

    tenants = [
        Tenant(desk.store, desk.settings, task_of_project(desk), prober(desk), tainted_of(desk)) for desk in desks
    ]
    base = shared_base(desks, make_talk(quiet=quiet))
    for desk in desks:
        open_log(desk.store.root / "logs", desk.settings.project)
    service = make_service(base, tenants)
    return service, warm(service)


def _say(told: dict[str, object], models: list[dict[str, str]], *, as_json: bool) -> None:
    """The address, once it answers."""
    if as_json:
        print_json({"schema_version": 1, **told})
    else:
        print_text(str(told["url"]))
        known = ", ".join(f"{one['model']} is {one['version']}" for one in models)
        tell(f"model {known}; Ctrl-C ends the server")
