"""What a form sent: plain names and texts, with limits; no file, no nesting."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

BODY = "burnish.body"
"""Where the guard leaves the body of a request."""
MOST_FIELDS = 2_500
LONGEST_LINE = 500
"""Characters of a reason or a name."""


def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form; of two with one name the last. Raises HTTPException 400 for what is no form."""
    try:
        text = bytes(request.scope[BODY]).decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(400, "This form cannot be read.") from error
    return dict(pairs)


def line_of(form: Mapping[str, str], name: str, what: str) -> str:
    """One filled-in line. Raises HTTPException 400, naming `what` is missing or too long."""
    line = " ".join(form.get(name, "").split())
    if not line:
        raise HTTPException(400, f"{what} is missing: go back and fill it in.")
    if len(line) > LONGEST_LINE:
        raise HTTPException(400, f"{what} is longer than {LONGEST_LINE} characters.")
    return line
