"""Two models side by side on one prompt, typed or taken from dev_a; blind where wanted, until the better one is picked.

A pick is shown and not kept: a row of dev_a must never train, and a typed prompt is no row of the project.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from burnish.data.dataset import load_examples
from burnish.data.dedup import prompt_text
from burnish.data.quality import mask
from burnish.loop.project import Project
from burnish.registry import champion, models
from burnish.store.roles import current_roles
from burnish.web.comparison import (
    LONGEST_PROMPT,
    PICKS,
    ROLE,
    Asked,
    Blind,
    Compared,
    Piece,
    asked_in,
    compare,
    row_of,
    word_differences,
)
from burnish.web.desk import Desk, number_of, page
from burnish.web.forms import form_of
from burnish.web.worker import Worker

PAGE_ROWS = 6


class Shown(NamedTuple):
    """One answer as it is shown."""

    heading: str
    pieces: list[Piece]
    labels: list[tuple[str, float]]
    is_cut: bool


def add_to(app: FastAPI, desk: Desk, worker: Worker) -> None:
    """Adds the page, its question and the pick of a blind comparison."""
    blind = Blind()

    @app.get("/compare")
    def show(request: Request) -> HTMLResponse:
        project = desk.open()
        known = request.query_params
        usual = _usual(project)
        asked = Asked(known.get("one", usual[0]), known.get("two", usual[1]), row=known.get("row", ""))
        if asked.row:
            row_of(project, asked.row)
        return _page(request, project, asked)

    @app.post("/compare")
    def ask(request: Request) -> HTMLResponse:
        project, asked = desk.open(), asked_in(form_of(request))
        try:
            compared = compare(project, worker, asked)
        except HTTPException as error:
            return _page(request, project, asked, fault=error.detail, status=error.status_code)
        key = blind.keep(compared) if asked.blind else ""
        return _page(request, project, asked, compared, key=key)

    @app.post("/compare/pick")
    def pick(request: Request) -> HTMLResponse:
        project, form = desk.open(), form_of(request)
        picked = form.get("pick", "")
        if picked not in PICKS:
            raise HTTPException(400, "Pick one of the three answers.")
        compared = blind.take(form.get("key", ""))
        return _page(request, project, compared.asked, compared, picked=picked)


def ending(worker: Worker) -> Any:
    """What the server does at its end: no process of models stays behind."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.close()

    return lifespan


def _usual(project: Project) -> tuple[str, str]:
    """The champion, and the newest model beside it."""
    names = [version.name for version in reversed(models(project.store))]
    now = champion(project.store)
    first = now.name if now else next(iter(names), "")
    return first, next((name for name in names if name != first), first)


def _page(
    request: Request,
    project: Project,
    asked: Asked,
    compared: Compared | None = None,
    *,
    key: str = "",
    picked: str = "",
    fault: str = "",
    status: int = 200,
) -> HTMLResponse:
    """The form as it was filled in, the answers, and rows to take; names stay away while `key` waits for a pick."""
    roles = current_roles(project.store)
    rows = [row for row in load_examples(project.store) if roles.get(row.id) == ROLE]
    last = max(1, -(-len(rows) // PAGE_ROWS))
    number = number_of(request, "page", least=1, most=last, usual=1)
    taken = next((row for row in rows if row.id == asked.row), None) if asked.row else None
    return page(
        request,
        "compare",
        project,
        status=status,
        names=[version.name for version in reversed(models(project.store))],
        kind=project.settings.task.kind,
        asked=asked,
        taken=mask(prompt_text(taken)) if taken else "",
        on_file=mask(taken.answer) if taken and compared else "",
        shown=_shown(compared, is_blind=bool(key)) if compared else [],
        key=key,
        picks=PICKS,
        verdict=_verdict(compared, picked) if compared and picked else "",
        fault=fault,
        rows=[(row.id, mask(prompt_text(row))) for row in rows[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]],
        number=number,
        last=last,
        limits={"prompt": LONGEST_PROMPT, "usual": project.settings.task.max_new_tokens},
    )


def _shown(compared: Compared, *, is_blind: bool) -> list[Shown]:
    """The answers with their differences; to a row of the project masked as its own texts are."""
    texts = [mask(answer["text"]) if compared.asked.row else answer["text"] for answer in compared.answers]
    headings = ("Answer A", "Answer B") if is_blind else compared.names
    return [
        Shown(heading, pieces, [(label, share) for label, share in answer["labels"]], answer["is_cut"])
        for heading, pieces, answer in zip(headings, word_differences(*texts), compared.answers, strict=True)
    ]


def _verdict(compared: Compared, picked: str) -> str:
    a, b = compared.names
    words = {"a": f"You found {a} better", "b": f"You found {b} better", "same": "You saw no difference"}
    return f"{words[picked]}. A was {a}, B was {b}."
