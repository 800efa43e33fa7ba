"""What a reader is told when something goes wrong: what they can act on, and never a path, a stack or a row."""

import logging
import re
import secrets

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from burnish.errors import BurnishError, BusyError, DataError, UsageError
from burnish.web.desk import shared_values, templates
from burnish.web.guard import TOLD

LOG = logging.getLogger("burnish.web")
PATH = re.compile(r"(?:[\w.~-]*[/\\]){2,}|[A-Za-z]:\\|\.burnish|(?:^|\s)[/\\]\w")
"""Anything that looks like a place on the disk."""
GENERIC = "Something went wrong here, and it was not you."


def add_to(app: FastAPI) -> None:
    """Makes every error of the pages a page."""
    app.add_exception_handler(HTTPException, _told)
    app.add_exception_handler(RequestValidationError, _no_page)
    app.add_exception_handler(BurnishError, _ours)
    app.add_exception_handler(Exception, _unexpected)


def told(error: BurnishError) -> str:
    """The error's own words where they are meant for whoever asked and name no place on the disk; else nothing."""
    is_theirs = isinstance(error, UsageError | DataError | BusyError)
    return "" if not is_theirs or PATH.search(error.message) else error.message


def _told(request: Request, error: Exception) -> HTMLResponse:
    assert isinstance(error, HTTPException)
    usual = {404: "There is no such page.", 405: "This page cannot be asked that way."}
    return fault_page(request, usual.get(error.status_code, str(error.detail)), error.status_code)


def _no_page(request: Request, error: Exception) -> HTMLResponse:
    return fault_page(request, "There is no such page.", 404)


def _ours(request: Request, error: Exception) -> HTMLResponse:
    assert isinstance(error, BurnishError)
    if words := told(error):
        return fault_page(request, f"{words[:1].upper()}{words[1:]}.", 409 if isinstance(error, BusyError) else 400)
    return _unexpected(request, error)


def _unexpected(request: Request, error: Exception) -> HTMLResponse:
    number = secrets.token_hex(4)
    LOG.error("error %s at %s %s", number, request.method, ascii(request.url.path), exc_info=error)
    request.scope[TOLD] = True
    return fault_page(request, GENERIC, 500, number=number)


def fault_page(request: Request, text: str, status: int, *, number: str = "") -> HTMLResponse:
    """A page that says what is wrong; `number` finds the detail in the log."""
    shared = shared_values(request, here="", project="")
    shown = templates().get_template("fault.html.j2").render(shared | {"text": text, "number": number})
    return HTMLResponse(shown, status_code=status)
