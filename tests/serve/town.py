"""A real server on a free port of this machine, over a small trained project and some adapters of strong character."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from openai import OpenAI

from burnish.loop.kept import tainted_of
from burnish.loop.probing import prober
from burnish.loop.project import Project, settings_with
from burnish.loop.task import task_of_project
from burnish.loop.workbench import Workbench
from burnish.model.adapter import load_adapter
from burnish.model.base import Base
from burnish.model.generate import generate
from burnish.model.generator import Generated
from burnish.model.lora import attach
from burnish.port import listen
from burnish.records import Message, ModelVersion
from burnish.serve.exchange import Service
from burnish.serve.guard import door
from burnish.serve.keys import Key
from burnish.serve.pool import Pool
from burnish.serve.reads import Check, Source
from burnish.serve.server import Tenant, make_service, server_of, warm
from burnish.talk import Silence

NAMES = ("ada", "bea", "cyd", "dot", "eve", "fay", "gus")
"""Registered versions, each of its own rank and seed, besides those of the round."""


@dataclass(frozen=True, kw_only=True)
class Town:
    """A server that listens."""

    service: Service
    port: int
    plain: httpx2.Client
    _clients: dict[str, OpenAI] = field(default_factory=dict)

    def client(self, key: str = "none") -> OpenAI:
        """The real OpenAI client, without its retries; threads may share it, each on a connection of its own."""
        if key not in self._clients:
            address = f"http://127.0.0.1:{self.port}/v1"
            self._clients[key] = OpenAI(base_url=address, api_key=key, max_retries=0, timeout=60.0)
        return self._clients[key]

    def close(self) -> None:
        """Hangs up."""
        for client in self._clients.values():
            client.close()

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """A plain request."""
        return self.plain.request(method, path, **options)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """A page with some headers."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: dict[str, Any] | bytes) -> httpx2.Response:
        """A body as JSON, or as it is."""
        if isinstance(body, bytes):
            return self.ask("POST", path, content=body, headers={"content-type": "application/json"})
        return self.ask("POST", path, json=body)

    def raw(self, request: str) -> bytes:
        """What comes back for some bytes; nothing where the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            try:
                line.sendall(request.encode())
                return line.recv(4096)
            except OSError:
                return b""


def bench_of(project: Project) -> Base:
    """The base of a project, loaded anew."""
    return Workbench(project.settings, project.store.root, Silence()).base


def unasked(base: Base, version: ModelVersion) -> Callable[[], str]:
    """A check that compares nothing."""
    return lambda: ""


@contextmanager
def serving(
    project: Project,
    *others: Project,
    key: str | None = None,
    keys: Sequence[Key] = (),
    check: Check | None = None,
    **settings: object,
) -> Iterator[Town]:
    """Answers for the projects while the block runs; settings are those of `serve`, the same for all."""
    tenants = [tenant(one, check, **settings) for one in (project, *others)]
    service = make_service(bench_of(project), tenants)
    with listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        server = server_of(service, door("127.0.0.1", port, key, keys, [one.settings.project for one in tenants]))
        bound.listen(64)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        plain = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60.0, trust_env=False)
        town = Town(service=service, port=port, plain=plain)
        try:
            warm(service)
            town.client()  # made here, as several threads at once would each make one
            with plain, closing(town):
                yield town
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            service.shadow.close(20)
            assert service.engine.close(20)
            for served in service.projects.all:
                served.recorder.close(20)
            service.engine.pool.close()


def tenant(project: Project, check: Check | None = None, **settings: object) -> Tenant:
    """The project as a server takes it in."""
    changed = settings_with(project.settings, {f"serve.{name}": value for name, value in settings.items()})
    return Tenant(project.store, changed, task_of_project(project), check or prober(project), tainted_of(project))


def pool_of(project: Project, base: Base | None = None) -> Pool:
    """A pool with memory for one adapter, without probes."""
    source = Source(store=project.store, check=unasked)
    return Pool(base or bench_of(project), {project.settings.project: source}, adapter_bytes=1)


def user(text: str) -> list[dict[str, str]]:
    """The messages of one question."""
    return [{"role": "user", "content": text}]


def chat(town: Town, model: str, text: str, **wishes: object) -> Any:
    """One question to a model by the OpenAI client."""
    return town.client().chat.completions.create(model=model, messages=user(text), **wishes)


_alone: dict[tuple[str, str, int], Generated] = {}
_bases: dict[str, Base] = {}


def alone(project: Project, version: ModelVersion, text: str, max_tokens: int) -> Generated:
    """What a version answers by itself, without a server, a bank of others, or company."""
    key = (version.adapter_hash, text, max_tokens)
    if key not in _alone:
        base = _bases.setdefault(project.settings.base, bench_of(project))
        prompt = base.chat.render_prompt([Message(role="user", content=text)])
        folder = project.store.root / version.artifact
        with wearing(base, folder) if version.artifact else nullcontext():
            (_alone[key],) = generate(base, [prompt], max_new_tokens=max_tokens)
    return _alone[key]


@contextmanager
def wearing(base: Base, folder: Path) -> Iterator[None]:
    """The base with the adapter in a folder in use."""
    spec, state = load_adapter(folder, base)
    bank = attach(base.model, [spec])
    bank.load(0, state)
    with bank.use(0):
        yield
    bank.detach()
