"""What the monitor said of traffic: its alarms with their requests, as far as those are still kept; it never looks.

A page that looked would move the place up to which was looked, for everybody.
"""

from typing import NamedTuple

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse

from burnish.loop.normal import model_in_use
from burnish.loop.project import Project
from burnish.loop.requests import different_texts, requests_of
from burnish.loop.slice_candidates import candidate_slices
from burnish.loop.watch_state import load_state, logged_alarms
from burnish.monitor.alarms import Alarm
from burnish.web.desk import Desk, page

MOST_ALARMS = 20


class Group(NamedTuple):
    """Requests of an alarm that have terms in common, or all of them."""

    terms: tuple[str, ...]
    num_rows: int
    texts: list[tuple[str, int]]
    """The first different ones that are still kept, each with how often it was asked."""


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the page of the monitor."""

    @app.get("/watch")
    def watch(request: Request) -> HTMLResponse:
        project = desk.open()
        alarms = logged_alarms(project)
        newest = list(reversed(alarms[-MOST_ALARMS:]))
        return page(
            request,
            "watch",
            project,
            state=load_state(project),
            in_use=model_in_use(project)[0],
            option=project.option,
            settings=project.settings.watch,
            alarms=[(alarm, groups_of(project, alarm)) for alarm in newest],
            num_alarms=len(alarms),
            slices=candidate_slices(project),
        )


def groups_of(project: Project, alarm: Alarm) -> tuple[Group, ...]:
    """The requests of an alarm for reading; none where it is about all requests alike."""
    if not alarm.rows:
        return ()
    kept = {row.seq: row.text for row in requests_of(project, alarm.model, alarm.first - 1, alarm.last)}
    parts = [(cluster.terms, cluster.rows) for cluster in alarm.clusters] or [((), alarm.rows)]
    return tuple(Group(terms, len(rows), different_texts(rows, kept)) for terms, rows in parts)
