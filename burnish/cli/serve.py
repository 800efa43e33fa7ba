"""The command that serves a project's models over the OpenAI API: serve."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, SetOption, opened
from burnish.cli.terminal import make_talk, print_json, print_text, tell
from burnish.cli.ui import demand_libraries

if TYPE_CHECKING:
    from burnish.loop.project import Project
    from burnish.records import ModelVersion
    from burnish.serve.exchange import Service


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("serve")(serve_models)


def serve_models(
    project: ProjectOption = HERE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 8378,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with a key.")] = "127.0.0.1",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the OpenAI API: the champion under the project's name, every version under its own. Ctrl-C ends it."""
    desk = opened(project, overrides)
    demand_libraries("serve", "fastapi", "uvicorn", "llguidance", "prometheus_client")
    from burnish.port import listen
    from burnish.serve.guard import KEY, door

    with listen(host, port) as bound:
        number = bound.getsockname()[1]
        way_in = door(host, number, os.environ.get(KEY))
        service, version = _service(desk, quiet=as_json)
        from burnish.loop.canary import watched
        from burnish.serve.server import serve

        url = f"http://{f'[{host}]' if ':' in host else host}:{number}/v1"
        told = {"url": url, "host": host, "port": number, "model": desk.settings.project, "version": version.name}
        try:
            with watched(desk, make_talk(quiet=as_json)):
                serve(service, bound, way_in, lambda: _say(told, as_json=as_json))
        except KeyboardInterrupt:
            tell("ended")


def _service(desk: "Project", *, quiet: bool) -> "tuple[Service, ModelVersion]":
    """What answers, and the version that is champion, loaded and checked."""
    from burnish.loop.probing import prober, served_task
    from burnish.loop.workbench import Workbench
    from burnish.serve.server import make_service, open_log, warm

    task = served_task(desk)
    open_log(desk.store.root / "logs")
    base = Workbench(desk.settings, desk.store.root, make_talk(quiet=quiet)).base
    service = make_service(base, desk.store, desk.settings, task, prober(desk))
    return service, warm(service)


def _say(told: dict[str, object], *, as_json: bool) -> None:
    """The address, once it answers."""
    if as_json:
        print_json({"schema_version": 1, **told})
    else:
        print_text(str(told["url"]))
        tell(f"model {told['model']} is {told['version']}; Ctrl-C ends the server")
