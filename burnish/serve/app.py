"""The routes: the OpenAI API, and what operators look at."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from burnish.records import ModelVersion
from burnish.serve import described, faults
from burnish.serve.asked import ChatAsked, TextAsked
from burnish.serve.exchange import Exchange, Service
from burnish.serve.faults import ApiError
from burnish.serve.guard import Door, Guard

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
    async def models() -> dict[str, Any]:
        listed = await asyncio.to_thread(service.catalog.listed)
        return {"object": "list", "data": [_model(service, name, version) for name, version in listed]}

    @app.get("/v1/models/{name}", responses=described.MODEL)
    async def model(name: str) -> dict[str, Any]:
        versions = await asyncio.to_thread(service.catalog.find, name)
        return _model(service, name, versions[0])

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
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _readiness(service: Service) -> str:
    """ready; behind: an earlier champion answers, because today's failed its checks; else why not."""
    if service.is_draining or not service.engine.is_alive:
        return "ending"
    try:
        versions = service.catalog.find(service.catalog.project)
    except ApiError:
        return "no champion"
    refused = [version for version in versions if service.engine.pool.is_refused(version.name)]
    if len(refused) == len(versions):
        return "no champion can be loaded"
    return "behind" if versions[0] in refused else "ready"


def _model(service: Service, name: str, version: ModelVersion) -> dict[str, Any]:
    """A model as the API lists it, with what burnish knows of it."""
    return {
        "id": name,
        "object": "model",
        "created": service.catalog.created(version),
        "owned_by": service.catalog.project,
        "root": version.name,
        "parent": version.base,
        "adapter_hash": version.adapter_hash,
        "decision": version.decision,
        "checked": service.engine.pool.checked(version.name),
    }
