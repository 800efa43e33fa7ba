"""The server's pages put together: every part adds its own, and the guard stands before them all."""

import threading
from pathlib import Path

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from burnish.store.users import session_of, user_of
from burnish.web import batches, compare, costs, data, faults, live, models, overview, review, rounds, watch
from burnish.web.access import Access
from burnish.web.desk import HERE, Desk, templates
from burnish.web.guard import START, Guard, refusal
from burnish.web.worker import Worker

FILES = {
    "web.css": "text/css",
    "review.css": "text/css",
    "web.js": "text/javascript",
    "review.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""Everything that a page loads beside itself."""
SILENT: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Nothing is sent anywhere, whatever the environment asks of FastAPI."""


def make_pages(desk: Desk) -> FastAPI:
    """Every page, with nothing before them."""
    worker = Worker(desk.folder)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, telemetry=SILENT, lifespan=compare.ending(worker))
    faults.add_to(app)

    @app.get(START)
    def start(request: Request) -> Response:
        return _started(desk, request.query_params.get("token", ""))

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        return _file(name)

    for part in (overview, live, review, rounds, data, batches, models, costs, watch):
        part.add_to(app, desk)
    compare.add_to(app, desk, worker)
    return app


def make_app(folder: Path, access: Access, *, leaving: threading.Event | None = None) -> ASGIApp:
    """The pages of the project in `folder`, behind their guard; `leaving` is set when the server begins to end.

    Its lifespan has to be run, so that no process stays behind.
    """
    desk = Desk(folder=folder, access=access, leaving=leaving or threading.Event())
    return Guard(make_pages(desk), access, desk.users)


def _started(desk: Desk, token: str) -> Response:
    """Turns the token into a cookie, and goes on by a page of our own: a redirect would count as coming from the site
    that held the link, and a strict cookie does not travel then."""
    access, known, session = desk.access, desk.users(), session_of(token)
    if user_of(known, session) is None if known else not access.opens(token):
        return refusal(401)
    answer = HTMLResponse(
        '<!doctype html><html lang="en"><meta http-equiv="refresh" content="0; url=/"><title>burnish</title>'
        '<p><a href="/">Go on to the project</a></p></html>\n',
        headers={"referrer-policy": "no-referrer"},
    )
    answer.set_cookie(access.cookie, session, httponly=True, samesite="strict", path="/")
    return answer


def _file(name: str) -> Response:
    if name == "report.css":
        return Response(templates().get_template("page.css").render(), media_type="text/css")
    if name not in FILES:
        raise HTTPException(404)
    return Response((HERE / "static" / name).read_bytes(), media_type=FILES[name])
