"""Who asks, and what they may: the guard finds out once, and every page can ask `who`.

A project without users has one reader, whoever has the server's own token, and that one may do everything.
"""

from collections.abc import Mapping

from starlette.requests import Request

from burnish.store.users import User, UserRole
from burnish.web.forms import line_of

USER = "burnish.user"
"""Where the guard leaves the user of a request."""
READING = ("GET", "HEAD", "OPTIONS")
APPROVE = "/models/approve"
FOR_REVIEWERS = ("/batches", "/review", "/static")
"""What reviewers see beside the overview: what they judge, and nothing that would tell them the answer."""
FOR_APPROVERS = ("/models",)
"""What approvers may change."""


def who(request: Request) -> User | None:
    """The user whose session this request brought; None in a project without users."""
    found: User | None = request.scope.get(USER)
    return found


def may(role: UserRole, method: str, path: str) -> bool:
    """Whether a role may ask for a page: reviewers what they judge, engineers all but approving, approvers read all and
    move the champion. What nobody thought of is closed to reviewers, and for approvers to be read."""
    if role == "reviewer":
        return path == "/" or _is_below(path, FOR_REVIEWERS)
    if role == "engineer":
        return not _is_below(path, (APPROVE,))
    return method in READING or _is_below(path, FOR_APPROVERS)


def may_open(user: User | None, path: str) -> bool:
    """Whether a page is worth a link in what this user sees."""
    return user is None or may(user.role, "GET", path)


def name_of(request: Request, form: Mapping[str, str], field: str, what: str) -> str:
    """Who acts: the user of the session, whatever the form says; without users the name that the form gives.

    Raises HTTPException 400, naming `what`, when nobody is known and the form has no name.
    """
    user = who(request)
    return line_of(form, field, what) if user is None else user.name


def _is_below(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)
