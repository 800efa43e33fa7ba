"""Synthetic batches: what they hold and who made each row, and the blind audit that lets them train or bars them."""

from collections import Counter
from typing import NamedTuple

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from burnish.data.dataset import is_made
from burnish.data.dedup import prompt_text
from burnish.errors import DataError
from burnish.loop.auditing import UNSURE, Held, held_batches, judge_answers, sample_of
from burnish.loop.project import Project
from burnish.loop.task import task_of_project
from burnish.loop.trusted import state_of
from burnish.records import Example, Provenance
from burnish.store.batches import batches
from burnish.synthesize.batch import SyntheticBatch, read_batch
from burnish.web.desk import Desk, number_of, page
from burnish.web.faults import told
from burnish.web.forms import form_of
from burnish.web.who import name_of

PAGE_ROWS = 25
ANSWER = "answer:"
"""Begins the name of a field that holds the answer to a row; the row's id follows."""
KEYS = "1234567890abcdefhilmnopqrstuvwxyz"
"""Keys of the answers, in their order; j and k move between rows, and g goes to another page."""
STATES = {
    "accepted": "trains",
    "unaudited": "trains without an audit",
    "waiting": "waits for its audit",
    "rejected": "barred by its audit",
}


class Shown(NamedTuple):
    """A synthetic row with whoever made it."""

    id: str
    text: str
    answer: str
    is_blind: bool
    """Its answer is kept back until the audit, which asks for it."""
    maker: str
    parents: tuple[str, ...]


class Listed(NamedTuple):
    """A batch in the list."""

    held: Held
    state: str
    makers: dict[str, int]


class Choice(NamedTuple):
    """An answer that can be given, and the key that gives it."""

    value: str
    text: str
    key: str


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the pages of batches."""

    @app.get("/batches")
    def list_batches(request: Request) -> HTMLResponse:
        project = desk.open()
        listed = [
            Listed(held, _state(project, held), _makers(_batch(project, held.name)))
            for held in reversed(held_batches(project))
        ]
        return page(request, "batches", project, listed=listed)

    @app.get("/batches/{name}")
    def one_batch(request: Request, name: str) -> HTMLResponse:
        project = desk.open()
        held, made = _held(project, name), _batch(project, name)
        last = max(1, -(-len(held.rows) // PAGE_ROWS))
        number = number_of(request, "page", least=1, most=last, usual=1)
        rows = _shown(project, held, made)[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
        return page(
            request,
            "batch",
            project,
            held=held,
            state=_state(project, held),
            made=made.report,
            makers=_makers(made),
            rows=rows,
            number=number,
            last=last,
        )

    @app.get("/batches/{name}/audit")
    def ask(request: Request, name: str) -> Response:
        project = desk.open()
        held = _held(project, name)
        return _audit_page(request, project, held) if held.audit.status == "not audited" else _back(name)

    @app.post("/batches/{name}/audit")
    def judge(request: Request, name: str) -> Response:
        with desk.writing:
            return _judged(request, desk.open(), name)


def _judged(request: Request, project: Project, name: str) -> Response:
    """Takes the answers once: whoever comes second is shown the verdict that is there, and changes nothing."""
    held, form = _held(project, name), form_of(request)
    if held.audit.status != "not audited":
        return _back(name)
    answers = {key.removeprefix(ANSWER): value for key, value in form.items() if key.startswith(ANSWER)}
    try:
        judge_answers(project, held, answers, by=name_of(request, form, "by", "Your name"))
    except (DataError, HTTPException) as error:
        words = told(error) if isinstance(error, DataError) else error.detail
        return _audit_page(request, project, held, answers, form.get("by", ""), words or "These answers do not fit.")
    return _back(name)


def _back(name: str) -> RedirectResponse:
    return RedirectResponse(f"/batches/{name}", status_code=303)


def _audit_page(
    request: Request,
    project: Project,
    held: Held,
    answers: dict[str, str] | None = None,
    by: str = "",
    fault: str = "",
) -> HTMLResponse:
    """The form; what was filled in already stays. A label task never sends the batch's own labels to the browser."""
    task = task_of_project(project)
    is_blind = task.kind == "label"
    rows = [(row.id, prompt_text(row), "" if is_blind else row.answer) for row in sample_of(project, held)]
    names = task.labels if is_blind else ("yes", "no")
    words = {"yes": "right", "no": "not right"}
    choices = [
        Choice(name, words.get(name, name) if not is_blind else name, KEYS[at : at + 1])
        for at, name in enumerate(names)
    ]
    choices.append(Choice(UNSURE, "cannot tell", "?"))
    return page(
        request,
        "audit",
        project,
        status=400 if fault else 200,
        held=held,
        rows=rows,
        choices=choices,
        answers=answers or {},
        prefix=ANSWER,
        by=by,
        fault=fault,
        is_blind=is_blind,
        needed=project.settings.synthesize.audit_needed,
    )


def _held(project: Project, name: str) -> Held:
    found = next((held for held in held_batches(project) if held.name == name), None)
    if found is None:
        raise HTTPException(404)
    return found


def _batch(project: Project, name: str) -> SyntheticBatch:
    """The sealed batch: its rows, where each is from, and its report."""
    found = next(one for one in batches(project.store) if one.name == name and is_made(project.store, one))
    return read_batch(project.store.path_of(found.artifact))


def _state(project: Project, held: Held) -> str:
    return STATES[state_of(project, held.name, len(held.rows))]


def _shown(project: Project, held: Held, made: SyntheticBatch) -> list[Shown]:
    """The rows in use. The audit's own keep their answer back until it is done, so that it stays blind."""
    asks = held.audit.status == "not audited" and task_of_project(project).kind == "label"
    blind = {row.id for row in sample_of(project, held)} if asks else set()
    origins = dict(zip((row.id for row in made.rows), made.provenance, strict=True))
    return [_row(row, origins.get(row.id), row.id in blind) for row in held.rows]


def _row(row: Example, origin: Provenance | None, is_blind: bool) -> Shown:
    answer = "" if is_blind else row.answer
    maker = maker_of(origin) if origin else "not known"
    return Shown(row.id, prompt_text(row), answer, is_blind, maker, origin.parents if origin else ())


def maker_of(origin: Provenance) -> str:
    """Who made a row, in words: the move, the model that wrote it, and the teacher that repaired it."""
    by = f" by {origin.generator[:12]}" if origin.generator else ""
    repaired = f", repaired by {origin.refiner[:40]}" if origin.refiner else ""
    return f"{origin.move}{by}{repaired}"


def _makers(made: SyntheticBatch) -> dict[str, int]:
    """Rows by whoever made them, most first."""
    return dict(Counter(maker_of(origin) for origin in made.provenance).most_common())
