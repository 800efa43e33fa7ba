"""The rows of the project that came from outside, filtered and a page at a time; what lies in a vault stays sealed."""

from collections import Counter
from typing import NamedTuple

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse

from burnish.data.dataset import load_examples
from burnish.data.provenance import provenance
from burnish.data.quality import mask
from burnish.data.slices import MOST_VALUES
from burnish.loop.project import Project
from burnish.records import Example
from burnish.store.batches import batches
from burnish.store.roles import current_roles
from burnish.web.desk import Desk, number_of, page

NO_ROLE = "no role yet"
PAGE_ROWS = 50
MOST_CHOICES = 200
"""Values of slices that can be chosen: the most frequent ones."""


class Row(NamedTuple):
    """A row as it may be shown."""

    id: str
    role: str
    prompt: str
    answer: str
    slices: dict[str, str]
    source: str
    origin: str
    is_sealed: bool


class Wanted(NamedTuple):
    """What the reader asks for; empty: everything."""

    role: str = ""
    part: str = ""
    """"column=value"."""
    origin: str = ""


class Found(NamedTuple):
    """One page of what was asked for, and what could be asked for."""

    rows: list[Row]
    total: int
    roles: dict[str, int]
    parts: list[str]
    origins: dict[str, int]


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the page of rows."""

    @app.get("/data")
    def browse(request: Request) -> HTMLResponse:
        project, asked = desk.open(), request.query_params
        wanted = Wanted(asked.get("role", ""), asked.get("part", ""), asked.get("origin", ""))
        number = number_of(request, "page", least=1, most=10**8, usual=1)
        found = find(project, wanted, number)
        last = max(1, -(-found.total // PAGE_ROWS))
        return page(
            request,
            "data",
            project,
            found=found,
            wanted=wanted,
            number=min(number, last),
            last=last,
            batches=batches(project.store),
        )


def find(project: Project, wanted: Wanted, number: int) -> Found:
    """Page `number` of the rows that fit, with counts over all rows; reads every row once."""
    roles, origins, parts = Counter[str](), Counter[str](), Counter[str]()
    known = current_roles(project.store)
    rows: list[Row] = []
    total, first = 0, (number - 1) * PAGE_ROWS
    for example in load_examples(project.store):
        role, origin = known.get(example.id, NO_ROLE), provenance(example)
        own = [f"{column}={value}" for column, value in example.slices.items()]
        roles[role] += 1
        origins[origin] += 1
        parts.update(own)
        if wanted.role in ("", role) and wanted.origin in ("", origin) and wanted.part in ("", *own):
            rows += [_row(example, role)] if first <= total < first + PAGE_ROWS else []
            total += 1
    return Found(rows, total, dict(sorted(roles.items())), choices(parts), dict(sorted(origins.items())))


def choices(parts: Counter[str]) -> list[str]:
    """The values of columns that have few; dates and numbers of customers are no choice."""
    values = Counter(part.partition("=")[0] for part in parts)
    few = Counter({part: count for part, count in parts.items() if values[part.partition("=")[0]] <= MOST_VALUES})
    return sorted(part for part, _ in few.most_common(MOST_CHOICES))


def _row(example: Example, role: str) -> Row:
    """The row with its text masked, and without any text while a vault holds it."""
    is_sealed = role.startswith("vault")
    return Row(
        id=example.id,
        role=role,
        prompt="" if is_sealed else mask(example.prompt[-1].content if example.prompt else ""),
        answer="" if is_sealed else mask(example.answer),
        slices=dict(example.slices),
        source=example.source,
        origin=provenance(example),
        is_sealed=is_sealed,
    )
