"""What every page needs: the project, opened anew for each request, and the templates that become pages."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse

from burnish.loop.project import Project, open_project
from burnish.report.facts import pages
from burnish.store.users import User, users
from burnish.web.access import Access
from burnish.web.opened import Opened
from burnish.web.who import may_open, who

HERE = Path(__file__).parent
PLACES = (
    ("/", "Overview", "o"),
    ("/review", "Review", "v"),
    ("/rounds", "Rounds", "r"),
    ("/data", "Data", "d"),
    ("/batches", "Batches", "b"),
    ("/models", "Models", "m"),
    ("/compare", "Compare", "x"),
    ("/costs", "Costs", "c"),
    ("/watch", "Watch", "w"),
)
"""Every page of the menu: path, name, and the key that follows g."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The project that a server shows."""

    folder: Path
    access: Access
    writing: threading.Lock = field(default_factory=threading.Lock)
    """Held by whatever changes the project, so that what it looked at is still so when it writes."""
    leaving: threading.Event = field(default_factory=threading.Event)
    """Set when the server ends, so that answers without an end do, too."""

    opened: Opened = field(default_factory=Opened)

    def open(self) -> Project:
        """The project as it is now, with the settings of this moment."""
        return open_project(self.folder, store=self.opened.store(self.folder))

    def users(self) -> Sequence[User]:
        """Those who may use the project now."""
        return users(self.opened.store(self.folder))


@cache
def templates() -> Environment:
    """The pages of this part, and those of a round's report, whose colours and filters they share."""
    found = pages(html=True)
    assert found.loader is not None
    found.loader = ChoiceLoader([FileSystemLoader(HERE / "templates"), found.loader])
    found.trim_blocks = found.lstrip_blocks = True
    return found


def page(request: Request, name: str, project: Project, *, status: int = 200, **values: Any) -> HTMLResponse:
    """One page; every value is escaped as it is written."""
    shared = shared_values(request, here=_place(request.url.path), project=project.settings.project)
    text = templates().get_template(f"{name}.html.j2").render(shared | values)
    return HTMLResponse(text, status_code=status)


def shared_values(request: Request, *, here: str, project: str) -> dict[str, Any]:
    """What the frame around every page shows: the menu as far as it is open to whoever asks, and who that is."""
    user = who(request)
    places = [place for place in PLACES if may_open(user, place[0])]
    return {"places": places, "here": here, "project": project, "user": user}


def _place(path: str) -> str:
    first = path.strip("/").partition("/")[0]
    return f"/{first}"


def number_of(request: Request, name: str, *, least: int, most: int, usual: int) -> int:
    """A whole number from the address, inside its bounds; the usual one where there is none."""
    text = request.query_params.get(name, "")
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    return min(max(int(text), least), most) if is_number else usual
