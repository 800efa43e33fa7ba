"""The review page: one question at a time, one key an answer, and the next question is there already.

An answer is on disk before the page says so. Sent twice it counts once, and a late one never replaces another's.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from burnish.errors import BurnishError, BusyError, UsageError
from burnish.loop.asked import left_for_all, standing_of
from burnish.loop.auditing import held_batches
from burnish.loop.decided import release_audits
from burnish.loop.project import Project, moment
from burnish.loop.reviewing import claim, decide
from burnish.store.claims import Claim, held_items, undo_decision
from burnish.store.leases import LEASE_S
from burnish.store.open_items import was_asked
from burnish.store.reviews import ReviewItem, find_item, last_decision
from burnish.web.answered import wish_of
from burnish.web.desk import Desk, page
from burnish.web.faults import told
from burnish.web.forms import form_of
from burnish.web.planner import Planner
from burnish.web.question import Question, decided_words, question_of
from burnish.web.reviewer import checked_name, remember, reviewer_of
from burnish.web.taught import TaskKeeper
from burnish.web.who import who

AHEAD = 2
"""Questions that a reviewer holds: the one on the screen, and the next."""
PAGE_AT_ONCE = "return=representation"
"""What the page's script prefers (RFC 7240): the next page as the answer to a form. Without it the browser is sent on,
so that a reload sends no form again."""
REASONS = (
    ("correct", "more correct", "c"),
    ("complete", "more complete", "m"),
    ("clear", "clearer", "l"),
    ("tone", "better in tone", "t"),
    ("safe", "safer", "f"),
)
"""Why an answer is preferred: the code that is kept, its words, its key."""
DONE = {
    "accepted": "That was the last answer of an audit: enough was right, and its batch may train.",
    "rejected": "That was the last answer of an audit: too little was right, and its batch is barred.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What all requests of the page share."""

    desk: Desk
    planner: Planner
    keeper: TaskKeeper


class Act(NamedTuple):
    """What a form asks to be done to an item."""

    room: Room
    project: Project
    item: ReviewItem
    reviewer: str
    form: Mapping[str, str]

    @property
    def turn(self) -> int:
        """The turn that the form was made for; 0 where it names none."""
        text = self.form.get("turn", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


class Notice(NamedTuple):
    """What the page says above the question."""

    text: str = ""
    is_fault: bool = False
    kept: str = ""
    """What a reviewer wrote that was not taken."""


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the page and its acts."""
    room = Room(desk=desk, planner=Planner(desk), keeper=TaskKeeper())

    @app.get("/review")
    def review(request: Request) -> Response:
        reviewer = reviewer_of(request, desk.access)
        if not reviewer or ("who" in request.query_params and who(request) is None):
            return _name_page(request, desk, reviewer)
        return _page(room, request, reviewer, Notice(DONE.get(request.query_params.get("done", ""), "")))

    @app.post("/review/name")
    def name(request: Request) -> Response:
        return _named(request, desk)

    @app.post("/review/decide")
    def take(request: Request) -> Response:
        return _done(room, request, _decide)

    @app.post("/review/undo")
    def undo(request: Request) -> Response:
        return _done(room, request, _undo)

    @app.post("/review/plan")
    def plan(request: Request) -> Response:
        room.planner.start()
        return _back()


# Acts -----------------------------------------------------------------------------------------------------------------


def _done(room: Room, request: Request, do: Callable[[Act], None]) -> Response:
    """Does what a form asks, for whoever the page was made for; a refusal is told above the next question."""
    form, reviewer = form_of(request), reviewer_of(request, room.desk.access)
    if not reviewer or form.get("by") != reviewer:
        was, now = form.get("by", "")[:40] or "nobody", reviewer or "nobody"
        fault = f"That page was made for {was}, and here is {now} now. Nothing was saved."
        return _name_page(request, room.desk, reviewer, fault)
    project = room.desk.open()
    act = Act(room, project, find_item(project.store, form.get("item", "")), reviewer, form)
    try:
        with room.desk.writing:
            do(act)
            verdict = _verdict(act)
    except (BusyError, UsageError) as error:
        notice = Notice(_refusal(error, act), is_fault=True, kept=form.get("text", ""))
        return _page(room, request, reviewer, notice, status=409 if isinstance(error, BusyError) else 400)
    if request.headers.get("prefer") == PAGE_AT_ONCE:
        return _page(room, request, reviewer, Notice(DONE.get(verdict, "")))
    return _back(f"?done={verdict}" if verdict in DONE else "")


def _decide(act: Act) -> None:
    now_s = time.time()
    task = act.room.keeper.of(act.project).task
    wish = wish_of(act.form, act.item, task, now_s)
    decide(act.project, task, act.item.name, act.reviewer, act.turn, wish, now_s=now_s)


def _undo(act: Act) -> None:
    undo_decision(act.project.store, act.item.name, act.reviewer, act.turn, now_s=time.time())


def _verdict(act: Act) -> str:
    """What the audit that the item belongs to has come to now; empty for other items and for an audit that goes on."""
    if act.item.purpose != "audit":
        return ""
    own = [audit.status for audit in release_audits(act.project) if audit.batch == act.item.batch]
    return own[0] if own else ""


def _refusal(error: BurnishError, act: Act) -> str:
    """Why nothing was written, in a reviewer's words, and what to do."""
    why = told(error).replace(act.item.name, "this question").replace(f"{act.reviewer} has", "you have")
    why = why or "this answer could not be saved"
    shown = act.form.get("shown", "")
    is_over = isinstance(error, BusyError) and shown.isdecimal() and time.time() - float(shown) > LEASE_S
    late = f"The {LEASE_S / 60:.0f} minutes in which it was kept for you were over. " if is_over else ""
    return f"{late}{why[:1].upper()}{why[1:]}. {error.hint[:1].upper()}{error.hint[1:]}."


# Pages ----------------------------------------------------------------------------------------------------------------


def _page(room: Room, request: Request, reviewer: str, notice: Notice, *, status: int = 200) -> HTMLResponse:
    """What the reviewer holds, the next question in front; what is left, what can be taken back, whether to rest."""
    project, now_s = room.desk.open(), time.time()
    is_planning = room.planner.is_busy  # asked first: a plan that ends meanwhile is seen at the next look
    return page(
        request,
        "review",
        project,
        status=status,
        reviewer=reviewer,
        **_shown(room, project, reviewer, now_s),
        notice=notice,
        reasons=REASONS,
        is_planning=is_planning,
        plan_words=room.planner.words,
        shown=int(now_s),
        kept_s=int(LEASE_S),
    )


def _shown(room: Room, project: Project, reviewer: str, now_s: float) -> dict[str, Any]:
    """What the page shows of the database: one transaction that only reads, where the reviewer holds fresh leases."""
    with moment(project) as seen:
        held = held_items(seen.store, reviewer, now_s=now_s, count=AHEAD)
        if held is not None:
            return _seen(room, seen, reviewer, held, now_s)
    claims = claim(project, reviewer, now_s=now_s, count=AHEAD)
    if not claims:
        _release_finished(room, project)
    with moment(project) as seen:
        return _seen(room, seen, reviewer, claims, now_s)


def _seen(room: Room, project: Project, reviewer: str, claims: Sequence[Claim], now_s: float) -> dict[str, Any]:
    standing, last = standing_of(project, reviewer, now_s=now_s), last_decision(project.store, reviewer)
    return {
        "questions": _questions(room, project, claims),
        "left": standing.left,
        "rest": standing.rest,
        "num_all": 0 if claims else left_for_all(project).num_items,
        "was_asked": bool(claims) or was_asked(project.store),
        "last": last[0] if last else None,
        "last_words": decided_words(*last) if last else "",
    }


def _questions(room: Room, project: Project, claims: Sequence[Claim]) -> list[Question]:
    if not claims:
        return []
    taught = room.keeper.of(project)
    return [question_of(one, taught.task, taught.known) for one in claims]


def _release_finished(room: Room, project: Project) -> None:
    """Judges audits whose last answer was written down by a server that was killed before it could judge them."""
    with room.desk.writing:
        if any(held.audit.status == "not audited" for held in held_batches(project)):
            release_audits(project)


def _named(request: Request, desk: Desk) -> Response:
    try:
        name = checked_name(form_of(request).get("name", ""))
    except HTTPException as error:
        return _name_page(request, desk, "", str(error.detail))
    answer = _back()
    remember(answer, desk.access, name)
    return answer


def _name_page(request: Request, desk: Desk, reviewer: str, fault: str = "") -> HTMLResponse:
    return page(request, "reviewer", desk.open(), status=400 if fault else 200, reviewer=reviewer, fault=fault)


def _back(query: str = "") -> RedirectResponse:
    return RedirectResponse(f"/review{query}", status_code=303)
