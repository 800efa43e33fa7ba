"""The first page: what is in use, how the last rounds went, what waits for people, and what may still be spent."""

from typing import NamedTuple

from fastapi import FastAPI
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from burnish.budget import Budget
from burnish.loop.approval import waiting as waiting_rounds
from burnish.loop.asked import left_for_all
from burnish.loop.auditing import held_batches, sample_of
from burnish.loop.past import results, with_scores
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.loop.standing import standing
from burnish.registry import champion
from burnish.report.plots import history_plot
from burnish.report.record import PastRound
from burnish.report.words import metric_name, percent, span
from burnish.web.desk import Desk, page
from burnish.web.live import live
from burnish.web.who import APPROVE, may, who

SHOWN_ROUNDS = 12
WIDE, NARROW = 760, 346


class Waiting(NamedTuple):
    """Something that only people can do."""

    what: str
    why: str
    link: str
    num_rows: int
    form: str
    """Where the answer is sent, for whom that is open."""


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the overview."""

    @app.get("/")
    def overview(request: Request) -> HTMLResponse:
        project = desk.open()
        past, user, now = results(project), who(request), champion(project.store)
        return page(
            request,
            "overview",
            project,
            now=with_scores(now, past) if now else None,
            found=standing(project),
            last=list(reversed(past[-SHOWN_ROUNDS:])),
            curve=curve(past[-SHOWN_ROUNDS:]),
            waiting=[one for one in waiting(project) if user is None or may(user.role, "POST", one.form)],
            live=live(project),
            budget=project.settings.budget,
            left=Budget(store=project.store, settings=project.settings.budget).left(),
        )


def waiting(project: Project) -> list[Waiting]:
    """What waits for people now: rounds to approve, questions of the review queue, once for all, and batches that
    nobody audited, the newest first, for their rows are looked at last."""
    rounds = [
        Waiting(
            what=f"Approve or refuse round {result.round}",
            why=f"the gate passed {result.challenger}, and nobody has said yes or no",
            link="/models",
            num_rows=result.gain.n,
            form=APPROVE,
        )
        for result in reversed(waiting_rounds(project))
    ]
    left = left_for_all(project)
    questions = Waiting(
        what=f"Answer {left.num_items} questions" if left.num_items > 1 else "Answer a question",
        why=f"they take about {max(1, round(left.minutes))} minutes, one at a time",
        link="/review",
        num_rows=left.num_items,
        form="/review/decide",
    )
    audits = [
        Waiting(
            what=f"Audit the batch {held.name}",
            why=f"{len(held.rows)} synthetic rows wait for a judgement of {len(sample_of(project, held))} of them",
            link=f"/batches/{held.name}/audit",
            num_rows=len(sample_of(project, held)),
            form=f"/batches/{held.name}/audit",
        )
        for held in reversed(held_batches(project))
        if held.audit.status == "not audited"
    ]
    return [*rounds, *([questions] if left.num_items else []), *audits]


def curve(past: list[RoundResult]) -> tuple[Markup, Markup] | None:
    """Champion and challenger of each round with their intervals, for wide and for narrow screens; None without one."""
    if not past:
        return None
    rounds = [
        PastRound(round=r.round, decision=r.decision, before=r.before, after=r.after, approval=r.approval) for r in past
    ]
    told = "; ".join(
        f"round {r.round} {percent(r.before.value)} {span(r.before)} to {percent(r.after.value)} {span(r.after)}"
        for r in rounds
    )
    axis = metric_name(past[-1].metric)
    wide, narrow = (history_plot(rounds, width, f"{axis}: {told}", axis=axis.lower()) for width in (WIDE, NARROW))
    return wide, narrow
