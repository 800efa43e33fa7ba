"""Rounds: the list, one round with what it was made from, and its stored report."""

import json
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from burnish.errors import BurnishError
from burnish.loop.past import results, round_folder
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.standing import report_in
from burnish.records import ModelVersion
from burnish.registry import models
from burnish.web.desk import Desk, page
from burnish.web.live import live

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""A stored report brings its own style and needs nothing else; nothing in it can run."""


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the pages about rounds."""

    @app.get("/rounds")
    def list_rounds(request: Request) -> HTMLResponse:
        project = desk.open()
        return page(request, "rounds", project, rounds=list(reversed(results(project))), live=live(project))

    @app.get("/rounds/{number}")
    def one_round(request: Request, number: int) -> HTMLResponse:
        project = desk.open()
        result = _result(project, number)
        return page(
            request,
            "round",
            project,
            r=result,
            told=_report(project, number),
            made=_version(project, result),
            files=sorted(path.name for path in round_folder(project, number).glob("report.*")),
        )

    @app.get("/rounds/{number}/report")
    def report(number: int) -> HTMLResponse:
        return HTMLResponse(_page_of(desk.open(), number), headers={"content-security-policy": REPORT_POLICY})


def _result(project: Project, number: int) -> RoundResult:
    found = next((one for one in results(project) if one.round == number), None)
    if found is None:
        raise HTTPException(404)
    return found


def _page_of(project: Project, number: int) -> str:
    folder = round_folder(project, _result(project, number).round)
    return (folder / "report.html").read_text(encoding="utf-8")


def _report(project: Project, number: int) -> dict[str, Any]:
    """The report's own sentences, already masked; nothing when its file is gone."""
    try:
        return dict(json.loads(report_in(project, number, "json")))
    except BurnishError:
        return {}


def _version(project: Project, result: RoundResult) -> ModelVersion | None:
    """What the round made; None when nothing was registered."""
    return next((one for one in models(project.store) if one.name == result.challenger), None)
