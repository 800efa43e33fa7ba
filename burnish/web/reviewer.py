"""Who sits before the page: the user of the session, or a name that is asked once and kept in a cookie."""

from urllib.parse import quote, unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from burnish.web.access import Access
from burnish.web.who import who

LONGEST_NAME = 100
YEAR_S = 365 * 24 * 3600


def reviewer_of(request: Request, access: Access) -> str:
    """The reviewer's name: that of the user who asks; in a project without users the cookie's, empty where none is."""
    if (user := who(request)) is not None:
        return user.name
    name = unquote(request.cookies.get(_cookie(access), ""))
    return name if _is_name(name) else ""


def remember(answer: Response, access: Access, name: str) -> None:
    """Keeps a name in the browser for a year."""
    answer.set_cookie(_cookie(access), quote(name), max_age=YEAR_S, httponly=True, samesite="strict", path="/review")


def checked_name(text: str) -> str:
    """The name that somebody typed, its spaces in order. Raises HTTPException 400 for what cannot be one."""
    name = " ".join(text.split())
    if not _is_name(name):
        raise HTTPException(400, f"A name has 1 to {LONGEST_NAME} letters; yours cannot be kept.")
    return name


def _is_name(name: str) -> bool:
    return bool(name.strip()) and len(name) <= LONGEST_NAME and name.isprintable()


def _cookie(access: Access) -> str:
    return f"{access.cookie}-reviewer"
