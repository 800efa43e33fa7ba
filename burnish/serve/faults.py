"""What a client is told when something goes wrong: OpenAI's error object, and never a path, a stack or a prompt."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

LOG = logging.getLogger("burnish.serve")
PROJECT = "burnish.project"
"""Where a request's scope and a line of the log say whose they are; lines of nobody concern all."""
TOLD = "burnish.told"
"""Set in a request's scope when its error was written to the log."""
KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
"""Types of an error by its status; other 4xx are invalid_request_error, 5xx server_error."""


class ApiError(Exception):
    """A refusal that the client is told of, as the OpenAI API does it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.retry_s = status, message, param, code, retry_s
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The error object."""
        kind = KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def answer(self) -> JSONResponse:
        """The error as a response."""
        headers = {} if self.retry_s is None else {"retry-after": str(self.retry_s)}
        return JSONResponse(self.body, self.status, self.headers | headers)


def log_of(project: str | None) -> "logging.LoggerAdapter[logging.Logger]":
    """The log with the name of the project that its lines are about; None: everybody."""
    return logging.LoggerAdapter(LOG, {PROJECT: project})


def is_line_of(project: str) -> Callable[[logging.LogRecord], bool]:
    """Whether a line belongs into the log of a project: it is about that one, or about nobody."""
    return lambda record: getattr(record, PROJECT, None) in (None, project)


def unexpected(error: BaseException, where: str, project: str | None = None) -> ApiError:
    """An error of ours: its detail goes to the log under a number, the client gets the number."""
    number = secrets.token_hex(4)
    log_of(project).error("error %s at %s", number, ascii(where), exc_info=error)
    return ApiError(500, f"Something went wrong here, and it was not you. Error {number}.", code="internal_error")


def add_to(app: FastAPI) -> None:
    """Makes every error of the API an error object."""
    app.add_exception_handler(ApiError, _told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _ours)


def _told(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error.answer()


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return of_validation(error.errors()).answer()


def of_validation(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """The first thing that is wrong with a body, by the name of its parameter."""
    first = errors[0]
    place = [part for part in first["loc"] if part != "body"]
    named = [str(part) for part in place if isinstance(part, str) and not part.startswith(("list[", "function-"))]
    if first["type"] in ("json_invalid", "model_attributes_type", "missing") and not named:
        return ApiError(400, "The body of the request is no JSON object.", code="invalid_json")
    param = named[0] if named else None
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"{param} is not supported here.", param=param, code="unsupported_parameter")
    message = str(first["msg"]).removeprefix("Value error, ")
    return ApiError(400, f"{'.'.join(map(str, place))}: {message}", param=param, code="invalid_value")


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    said = {404: "There is nothing at this address.", 405: "This address cannot be asked that way."}
    message = said.get(error.status_code, "The body of the request cannot be read.")
    answer = ApiError(error.status_code, message).answer()
    answer.headers.update(error.headers or {})  # such as Allow
    return answer


def _ours(request: Request, error: Exception) -> JSONResponse:
    request.scope[TOLD] = True
    return unexpected(error, request.url.path, request.scope.get(PROJECT)).answer()
