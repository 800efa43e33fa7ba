"""Models: every version with its scores and parents, the history of the champion, and moving it by hand."""

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from burnish.loop.project import Project
from burnish.loop.standing import promote_by_hand
from burnish.registry import champion, history, models, rollback
from burnish.web.desk import Desk, page
from burnish.web.forms import form_of, line_of

BY = "by hand in the browser"


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the page of models and its two acts."""

    @app.get("/models")
    def list_models(request: Request) -> HTMLResponse:
        project = desk.open()
        moves = history(project.store)
        return page(
            request,
            "models",
            project,
            now=champion(project.store),
            versions=list(reversed(models(project.store))),
            moves=list(reversed(moves)),
        )

    @app.post("/models/promote")
    def promote(request: Request) -> RedirectResponse:
        with desk.writing:
            form, project = form_of(request), desk.open()
            _demand_seen(project, form.get("seen"))
            reason, name = line_of(form, "reason", "The reason"), line_of(form, "name", "The model")
            promote_by_hand(project, name, reason=reason, force=form.get("force") == "yes")
        return RedirectResponse("/models", status_code=303)

    @app.post("/models/rollback")
    def roll_back(request: Request) -> RedirectResponse:
        with desk.writing:
            form, project = form_of(request), desk.open()
            _demand_seen(project, form.get("seen"))
            rollback(project.store, line_of(form, "reason", "The reason"), BY)
        return RedirectResponse("/models", status_code=303)


def _demand_seen(project: Project, seen: str | None) -> None:
    """Refuses an act on a champion that the reader did not see: a second click, an old tab, the back button."""
    now = champion(project.store)
    if seen != (now.name if now else ""):
        raise HTTPException(
            409, "The champion has changed since that page was opened. Nothing was done; look at it again."
        )
