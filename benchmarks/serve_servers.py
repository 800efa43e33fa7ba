"""Servers in processes of their own, stopped while others are measured; and the project that ours serves."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.machine import ROOT
from benchmarks.serve_clients import Ask, body_of, send

RANK = 16
SIZE = 0.03
"""Standard deviation of the adapters' weights: answers differ between adapters, and do not end early."""
START_S = 240.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """A process that answers at a port."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu_s(self) -> float:
        """Processor time that it has used so far, its children included."""
        whole = psutil.Process(self.process.pid)
        spent = [one.cpu_times() for one in (whole, *whole.children(recursive=True))]
        return sum(one.user + one.system for one in spent)

    def stop(self) -> None:
        """Freezes it, so that it takes nothing of the machine while another one is measured."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Thaws it."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """kill -9."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def end_servers_when_ended() -> None:
    """SIGTERM ends the benchmark as an error does, so that its servers are ended, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


class Absent(Exception):
    """A server that could not be started, with the reason."""


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return line.getsockname()[1]


def start(command: Sequence[str], port: int, model: str, threads: int, log: Path, **more: str) -> Server:
    """A server, once it answers a question to `model`. Raises Absent when it ends or takes too long."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false", **more}
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(command), stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env=environment, start_new_session=True
        )
    server = Server(process=process, port=port)
    try:
        if _answers(server, model):
            return server
    except BaseException:
        server.kill()
        raise
    server.kill()
    raise Absent((log.read_text(errors="replace").strip().splitlines() or ["no message"])[-1][:200])


def _answers(server: Server, model: str) -> bool:
    """Whether it comes to answer."""
    since = time.monotonic()
    while time.monotonic() - since < START_S and server.process.poll() is None:
        with suppress(OSError, ValueError):
            if send(server.port, body_of(Ask(model=model, text="hello", max_tokens=2))).ended:
                return True
        time.sleep(0.5)
    return False


@contextmanager
def running(starts: Mapping[str, "Start"]) -> Iterator[tuple[dict[str, Server], dict[str, str]]]:
    """All of these servers, frozen, and why some are absent."""
    servers: dict[str, Server] = {}
    absent: dict[str, str] = {}
    try:
        for name, one in starts.items():
            try:
                servers[name] = start(one.command, one.port, one.model, one.threads, one.log, **one.environment)
                servers[name].stop()
            except (Absent, OSError) as error:
                absent[name] = str(error)
        yield servers, absent
    finally:
        for server in servers.values():
            server.kill()


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a server is started."""

    command: Sequence[str]
    port: int
    model: str
    threads: int
    log: Path
    environment: Mapping[str, str]


def make_project(folder: Path, num_adapters: int, size: float = SIZE) -> list[tuple[str, Path]]:
    """A project on the built-in base with so many registered adapters of random weights: their names and folders."""
    from benchmarks.full import example_rows
    from burnish.config import Settings
    from burnish.data.intake import add_files
    from burnish.fakes import random_version
    from burnish.loop.project import create_project
    from burnish.loop.untuned import base_version
    from burnish.loop.workbench import Workbench
    from burnish.registry import promote, register
    from burnish.talk import Silence

    project = create_project(folder / "desk", Settings())
    add_files(project.store, project.settings, [example_rows(folder)], Silence(), skip_bad=True)
    bench = Workbench(project.settings, project.store.root, Silence())
    base = bench.base
    register(project.store, base_version(bench, project.settings))
    made = [random_version(project.store, base, f"a{at}", rank=RANK, seed=at, size=size) for at in range(num_adapters)]
    promote(project.store, "a0", "to be measured", "benchmark")
    return [(version.name, project.store.path_of(version.artifact)) for version in made]


def ours(desk: Path, port: int, threads: int, log: Path, precision: str) -> Start:
    """`burnish serve` of a project."""
    run = "from burnish.cli.main import main; main()"
    command = [sys.executable, "-c", run, "serve", "--project", str(desk), "--port", str(port)]
    command += ["--set", f"train.precision={precision}", "--json"]
    return Start(command=command, port=port, model="a0", threads=threads, log=log, environment={})


def naive(python: str, base: str, adapters: Sequence[tuple[str, Path]], threads: int, log: Path, kind: str) -> Start:
    """The PEFT server that batches by adapter."""
    port = free_port()
    spec = json.dumps({"base": base, "adapters": {name: str(path) for name, path in adapters}, "dtype": kind})
    command = [python, "-m", "benchmarks.serve_peft", spec, str(port)]
    return Start(command=command, port=port, model="base", threads=threads, log=log, environment={})


def transformers_serve(python: str, base: str, threads: int, log: Path, *flags: str) -> Start:
    """`transformers serve` of the base."""
    port = free_port()
    command = [str(Path(python).parent / "transformers"), "serve", base, "--port", str(port), "--host", "127.0.0.1"]
    command += ["--device", "cpu", *flags]
    return Start(command=command, port=port, model=base, threads=threads, log=log, environment={})


def vllm_serve(
    python: str, base: str, adapters: Sequence[tuple[str, Path]], threads: int, log: Path, kind: str
) -> Start:
    """`vllm serve` with every adapter."""
    port = free_port()
    command = [str(Path(python).parent / "vllm"), "serve", base, "--port", str(port), "--host", "127.0.0.1"]
    command += ["--served-model-name", "base", "--dtype", kind, "--max-model-len", "512", "--enable-lora"]
    command += ["--max-loras", str(len(adapters)), "--max-lora-rank", str(RANK), "--max-num-seqs", "64"]
    command += ["--enforce-eager", "--lora-modules", *(f"{name}={path}" for name, path in adapters)]
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
    return Start(command=command, port=port, model="base", threads=threads, log=log, environment=environment)
