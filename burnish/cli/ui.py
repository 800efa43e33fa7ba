"""The command that opens a project in the browser: ui."""

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, opened
from burnish.cli.terminal import print_json, print_text, tell
from burnish.errors import BurnishError

if TYPE_CHECKING:
    from burnish.web.access import Access

TOKEN = "BURNISH_UI_TOKEN"
ANYONE = "anyone who has this address can use the project"
EACH = "each user comes in by {url}start?token=TOKEN, with their own token"


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("ui")(open_ui)


def open_ui(
    project: ProjectOption = HERE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 8377,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with a token.")
    ] = "127.0.0.1",
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the project in a browser: rounds, rows, synthetic batches and their audit, models, costs. Ctrl-C ends it."""
    place = opened(project)
    _demand_libraries()
    from burnish.store.users import users
    from burnish.web.access import check_access
    from burnish.web.server import listen, serve

    has_users = bool(users(place.store))
    token = check_access(host, os.environ.get(TOKEN), has_users=has_users)
    with listen(host, port) as bound:

        def say(access: "Access") -> None:
            url = access.url if has_users else access.start_url
            if as_json:
                print_json({"schema_version": 1, "url": url, "host": access.host, "port": access.port})
            else:
                print_text(url)
                tell(f"{EACH.format(url=url) if has_users else ANYONE}; Ctrl-C ends the server")
            if not (no_open or as_json) and sys.stdout.isatty() and _has_screen():
                import webbrowser

                webbrowser.open(url)

        try:
            serve(project, host, bound, token, say)
        except KeyboardInterrupt:
            tell("ended")


def _demand_libraries() -> None:
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise BurnishError(
            f"{missing[0]} is not installed, and this command needs it", hint="pip install 'burnish[ui]'"
        )


def _has_screen() -> bool:
    """Whether a browser would open in a window, and not in this terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
