"""Models: every version with its scores and parents, what waits for approval, and moving the champion by hand."""

from collections.abc import Mapping
from typing import NamedTuple

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from burnish.loop.approval import answers, approve, is_stale, refuse, waiting
from burnish.loop.canary import in_words
from burnish.loop.kept import roll_back as go_back
from burnish.loop.past import results, with_scores
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.standing import promote_by_hand
from burnish.records import ModelVersion
from burnish.registry import champion, history, models
from burnish.web.desk import Desk, page
from burnish.web.forms import LONGEST_LINE, form_of, line_of
from burnish.web.who import APPROVE, may_open, name_of, who

BY = "by hand in the browser"


class Asked(NamedTuple):
    """A round that waits for an approval, with what its challenger was made from."""

    result: RoundResult
    made: ModelVersion
    is_stale: bool


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the page of models and its two acts."""

    @app.get("/models")
    def list_models(request: Request) -> HTMLResponse:
        project = desk.open()
        moves, past = history(project.store), results(project)
        return page(
            request,
            "models",
            project,
            now=champion(project.store),
            canary=in_words(project),
            versions=[with_scores(version, past) for version in reversed(models(project.store))],
            moves=list(reversed(moves)),
            asked=asked(project),
            answers=answers(project),
            may_approve=may_open(who(request), APPROVE),
            needs_name=who(request) is None and project.settings.approval.required,
        )

    @app.post("/models/promote")
    def promote(request: Request) -> RedirectResponse:
        with desk.writing:
            form, project = form_of(request), desk.open()
            _demand_seen(project, form.get("seen"))
            reason, name = line_of(form, "reason", "The reason"), line_of(form, "name", "The model")
            promote_by_hand(project, name, reason=reason, force=form.get("force") == "yes", by=_by(request, form))
        return RedirectResponse("/models", status_code=303)

    @app.post(APPROVE)
    def answer(request: Request) -> RedirectResponse:
        with desk.writing:
            form, project = form_of(request), desk.open()
            by = name_of(request, form, "by", "Your name")
            reason, number = line_of(form, "reason", "The reason"), line_of(form, "round", "The round")
            if form.get("answer") not in ("approve", "refuse") or not (number.isascii() and number.isdecimal()):
                raise HTTPException(400, "This form cannot be read.")
            act = approve if form["answer"] == "approve" else refuse
            act(project, int(number[:9]), by=by, reason=reason)
        return RedirectResponse("/models", status_code=303)

    @app.post("/models/rollback")
    def roll_back(request: Request) -> RedirectResponse:
        with desk.writing:
            form, project = form_of(request), desk.open()
            _demand_seen(project, form.get("seen"))
            user = who(request)
            by = f"{user.name}, {BY}" if user else BY
            go_back(project, reason=line_of(form, "reason", "The reason"), by=by)
        return RedirectResponse("/models", status_code=303)


def asked(project: Project) -> list[Asked]:
    """What waits for an approval, the newest first."""
    known = {version.name: version for version in models(project.store)}
    found = [Asked(one, known[one.challenger], is_stale(project, one)) for one in waiting(project)]
    return found[::-1]


def _by(request: Request, form: Mapping[str, str]) -> str:
    """Who promotes by hand: the user, or without users the name in the form, which only an approval asks for."""
    user = who(request)
    return user.name if user else " ".join(form.get("by", "").split())[:LONGEST_LINE]


def _demand_seen(project: Project, seen: str | None) -> None:
    """Refuses an act on a champion that the reader did not see: a second click, an old tab, the back button."""
    now = champion(project.store)
    if seen != (now.name if now else ""):
        raise HTTPException(
            409, "The champion has changed since that page was opened. Nothing was done; look at it again."
        )
