"""What every stage cost, and what may still be spent."""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse

from burnish.budget import Budget
from burnish.web.desk import Desk, page


def add_to(app: FastAPI, desk: Desk) -> None:
    """Adds the page of costs."""

    @app.get("/costs")
    def costs(request: Request) -> HTMLResponse:
        project = desk.open()
        budget = Budget(store=project.store, settings=project.settings.budget)
        return page(
            request,
            "costs",
            project,
            stages=budget.by_stage(),
            total=budget.spent(),
            left=budget.left(),
            limits=project.settings.budget,
        )
