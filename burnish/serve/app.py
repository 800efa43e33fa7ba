"""The routes: the OpenAI API, and what operators look at."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from burnish.records import ModelVersion
from burnish.serve import described, faults, feedback
from burnish.serve.asked import ChatAsked, TextAsked
from burnish.serve.exchange import Exchange, Service
from burnish.serve.faults import ApiError
from burnish.serve.guard import Door, Guard
from burnish.serve.keys import asker
from burnish.serve.projects import Served

SILENT: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Nothing is sent anywhere, whatever the environment asks of FastAPI."""


def make_app(service: Service, door: Door) -> ASGIApp:
    """The whole API behind its guard."""
    return Guard(make_routes(service), door)


def make_routes(service: Service) -> FastAPI:
    """Every route, with nothing before them."""
    app = described.Api(title="burnish", docs_url=None, redoc_url=None, telemetry=SILENT)
    faults.add_to(app)

    @app.post("/v1/chat/completions", response_model=None, responses=described.CHAT)
    async def chat(asked: ChatAsked, request: Request) -> Response:
        return await Exchange(service, asked, "chat").answer(request)

    @app.post("/v1/completions", response_model=None, responses=described.TEXT)
    async def complete(asked: TextAsked, request: Request) -> Response:
        return await Exchange(service, asked, "text").answer(request)

    @app.get("/v1/models", responses=described.MODELS)
    async def models(request: Request) -> dict[str, Any]:
        listed = await asyncio.to_thread(service.projects.listed, asker(request.scope))
        return {"object": "list", "data": [_model(service, *one) for one in listed]}

    @app.get("/v1/models/{name}", responses=described.MODEL)
    async def model(name: str, request: Request) -> dict[str, Any]:
        found = await asyncio.to_thread(service.projects.find, name, asker(request.scope))
        return _model(service, name, found.served, found.versions[0])

    feedback.add_to(app, service)
    _add_watch(app, service)
    return app


def _add_watch(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_class=PlainTextResponse, responses=described.WORDS)
    async def health() -> Response:
        if not service.engine.is_alive:
            return PlainTextResponse("the engine has ended\n", 503)
        return PlainTextResponse("alive\n")

    @app.get("/readyz", response_class=PlainTextResponse, responses=described.WORDS)
    async def ready() -> Response:
        word = await asyncio.to_thread(_readiness, service)
        return PlainTextResponse(f"{word}\n", 200 if word in ("ready", "behind") else 503)

    @app.get("/metrics", response_class=PlainTextResponse, responses=described.METRICS)
    async def metrics(request: Request) -> Response:
        key = asker(request.scope)
        if key and key.project is not None:
            raise HTTPException(404)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _readiness(service: Service) -> str:
    """ready; behind: not everything answers as it should, because a champion failed its checks; else why not."""
    if service.is_draining or not service.engine.is_alive:
        return "ending"
    if not service.engine.is_ready:
        return "restarting"
    words = [_readiness_of(service, served) for served in service.projects.all]
    able = {word for word in words if word in ("ready", "behind")}
    return words[0] if len(set(words)) == 1 or not able else "behind"


def _readiness_of(service: Service, served: Served) -> str:
    """The same for one project: behind where an earlier champion answers."""
    try:
        versions = served.catalog.find(served.name)
    except ApiError:
        return "no champion"
    refused = [version for version in versions if service.engine.pool.is_refused(served.name, version.name)]
    if len(refused) == len(versions):
        return "no champion can be loaded"
    return "behind" if versions[0] in refused else "ready"


def _model(service: Service, name: str, served: Served, version: ModelVersion) -> dict[str, Any]:
    """A model as the API lists it, with what burnish knows of it."""
    return {
        "id": name,
        "object": "model",
        "created": served.catalog.created(version),
        "owned_by": served.name,
        "root": version.name,
        "parent": version.base,
        "adapter_hash": version.adapter_hash,
        "decision": version.decision,
        "checked": service.engine.pool.checked(served.name, version.name),
    }
